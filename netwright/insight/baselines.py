"""What simpler means make of the same rows: the rivals that a network has to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from netwright.objectives.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A rival that the network has to beat on the same rows.

    Attributes:
        name: The word for it in JSON, such as "majority", "mean" or "linear".
        words: What it does, for a sentence: "always the most frequent class".
        values: Metric name -> value on the test rows.
        statistics: Its statistics on those rows, for a paired comparison.
        network: Where the network stands beside it: "ahead", "level", "behind", or "" where that is not known.
    """

    name: str
    words: str
    values: Mapping[str, float]
    statistics: pl.DataFrame
    network: str = ""

    def facts(self, metric: str) -> dict[str, object]:
        """What the card keeps of it for the metric called `metric`."""
        said: dict[str, object] = {"name": self.name, "words": self.words, "value": self.values.get(metric)}
        return {**said, "network": self.network} if self.network else said


def measured(name: str, words: str, statistics: pl.DataFrame, metrics: Sequence[Metric]) -> Baseline:
    """The baseline whose answers these statistics tell."""
    values = {each.name: each.reduce(statistics) for each in metrics}
    return Baseline(name=name, words=words, values=values, statistics=statistics)


def compare(metric: Metric, rivals: Sequence[Baseline], figure: Callable[[float], str]) -> str:
    """The rivals' values in a row: "0.114 for always the most frequent class, 0.926 for a linear model"."""
    return ", ".join(f"{figure(each.values[metric.name])} for {each.words}" for each in rivals)
