"""How good the network is on rows it never saw, how sure that is, and whether it earned its place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def earned_place(
    scores: Scores,
    statistics: pl.DataFrame,
    *,
    rivals: Sequence[Baseline],
    seed: int,
    groups: pl.Series | None = None,
) -> str:
    """Whether the network earned its place, in words.

    It has where it beats every rival by more than the 95 % interval of their difference on the same rows.

    Args:
        scores: Those of the network.
        statistics: Its statistics on the test rows.
        rivals: Blind and linear baselines on the same rows in the same order.
        seed: For the bootstrap.
        groups: As in `evaluate`.
    """
    name = scores.metric.name
    rivals = [each for each in rivals if not math.isnan(each.values.get(name, math.nan))]
    if math.isnan(scores.value):
        return f"Not judged: {name} cannot be measured on these {scores.rows:,} test rows."
    if not rivals:
        return "Not judged: there is no baseline to compare with."
    ahead, level, behind = _standing(scores, statistics, rivals, seed, groups)
    said = f"{name.replace('_', ' ')} {figure(scores.value)} against {compare(scores.metric, rivals, figure)}"
    if not level and not behind:
        return f"The network earned its place: {said}, more than chance explains."
    if behind:
        better = " and ".join(each.words for each in behind)
        return f"The network did not earn its place: {better} is better ({said})."
    same = " or ".join(each.words for each in level)
    beaten = f", though it beats {' and '.join(each.words for each in ahead)}" if ahead else ""
    return f"A tie: the network cannot be told from {same} on {scores.rows:,} test rows{beaten} ({said})."


def _standing(
    scores: Scores,
    statistics: pl.DataFrame,
    rivals: Sequence[Baseline],
    seed: int,
    groups: pl.Series | None,
) -> tuple[list[Baseline], list[Baseline], list[Baseline]]:
    """The rivals that are beaten, those that are level, and those that are better."""
    ahead: list[Baseline] = []
    level: list[Baseline] = []
    behind: list[Baseline] = []
    sign = 1.0 if scores.metric.better == "higher" else -1.0
    for rival in rivals:
        low, high = bootstrap_difference(statistics, rival.statistics, scores.metric, seed=seed, groups=groups)
        worst, best = (low, high) if sign > 0 else (-high, -low)
        place = ahead if worst > 0 else behind if best < 0 else level
        place.append(rival)
    return ahead, level, behind
