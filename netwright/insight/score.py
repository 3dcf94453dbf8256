"""How good the network is on rows it never saw, how sure that is, and whether it earned its place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from netwright.insight.baselines import Baseline, compare
from netwright.insight.words import figure
from netwright.objectives.intervals import bootstrap_difference, interval
from netwright.objectives.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What was measured on one set of rows.

    Attributes:
        metric: The headline.
        value: Its value; NaN where it cannot be measured.
        low: Lower end of its 95 % interval.
        high: Upper end.
        values: Every metric by name.
        rows: How many examples it was measured on.
    """

    metric: Metric
    value: float
    low: float
    high: float
    values: Mapping[str, float]
    rows: int


def evaluate(
    statistics: pl.DataFrame,
    metrics: Sequence[Metric],
    *,
    seed: int,
    groups: pl.Series | None = None,
) -> Scores:
    """Every metric, and the 95 % interval of the first.

    Args:
        statistics: One row an example.
        metrics: What is measured, the headline first.
        seed: For the bootstrap.
        groups: Group of each row, where rows of one group are not independent.
    """
    low, high = interval(statistics, metrics[0], seed=seed, groups=groups)
    values = {each.name: each.reduce(statistics) for each in metrics}
    return Scores(
        metric=metrics[0],
        value=values[metrics[0].name],
        low=low,
        high=high,
        values=values,
        rows=statistics.height,
    )


def compared(
    scores: Scores,
    statistics: pl.DataFrame,
    *,
    rivals: Sequence[Baseline],
    seed: int,
    groups: pl.Series | None = None,
) -> list[Baseline]:
    """The rivals, each with where the network stands beside it: ahead or behind by more than the 95 % interval
    of their difference on the same rows, else level.

    Args:
        scores: Those of the network.
        statistics: Its statistics on the test rows.
        rivals: Blind and linear baselines on the same rows in the same order.
        seed: For the bootstrap.
        groups: As in `evaluate`.
    """
    metric = scores.metric
    sign = 1.0 if metric.better == "higher" else -1.0
    found = []
    for rival in rivals:
        if math.isnan(scores.value) or math.isnan(rival.values.get(metric.name, math.nan)):
            found.append(rival)
            continue
        low, high = bootstrap_difference(statistics, rival.statistics, metric, seed=seed, groups=groups)
        worst, best = (low, high) if sign > 0 else (-high, -low)
        found.append(replace(rival, network="ahead" if worst > 0 else "behind" if best < 0 else "level"))
    return found


def earned_place(scores: Scores, rivals: Sequence[Baseline]) -> str:
    """Whether the network earned its place, in words: it has where it is ahead of every rival.

    Args:
        scores: Those of the network.
        rivals: Baselines as `compared` gives them.
    """
    name = scores.metric.name
    if math.isnan(scores.value):
        return f"Not judged: {name} cannot be measured on these {scores.rows:,} test rows."
    rivals = [each for each in rivals if each.network]
    if not rivals:
        return "Not judged: there is no baseline to compare with."
    ahead, level, behind = (
        [each.words for each in rivals if each.network == place] for place in ("ahead", "level", "behind")
    )
    said = f"{name.replace('_', ' ')} {figure(scores.value)} against {compare(scores.metric, rivals, figure)}"
    if not level and not behind:
        return f"The network earned its place: {said}, more than chance explains."
    if behind:
        return f"The network did not earn its place: {' and '.join(behind)} is better ({said})."
    beaten = f", though it beats {' and '.join(ahead)}" if ahead else ""
    same = " or ".join(level)
    return f"A tie: the network cannot be told from {same} on {scores.rows:,} test rows{beaten} ({said})."
