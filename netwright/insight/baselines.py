"""What an answer without any input is worth: the majority class, the mean, each label's majority."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from netwright.base.errors import unknown
from netwright.objectives.metrics import Metric, tags

LINEAR = "a linear model"


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A rival that the network has to beat on the same rows.

    Attributes:
        name: The word for it in JSON, such as "majority", "mean" or "linear".
        words: What it does, for a sentence: "always the most frequent class".
        values: Metric name -> value on the test rows.
        statistics: Its statistics on those rows, for a paired comparison.
    """

    name: str
    words: str
    values: Mapping[str, float]
    statistics: pl.DataFrame

    def facts(self, metric: str) -> dict[str, object]:
        """What the card keeps of it for the metric called `metric`."""
        return {"name": self.name, "words": self.words, "value": self.values.get(metric)}


def blind(task: str, train: pl.DataFrame, test: pl.DataFrame, metrics: Sequence[Metric]) -> Baseline:
    """The best constant answer for the training targets, measured on the test targets.

    Args:
        task: "classify", "regress" or "tag".
        train: Targets of the training rows, columns as in statistics: `truth`, or `truth:L` for each L.
        test: Targets of the test rows, the same columns.
        metrics: What is measured.

    Raises:
        UnknownName: If no blind answer is known for the task.
    """
    if task not in _BLIND:
        raise unknown("blind baseline", task, _BLIND)
    name, words, answer = _BLIND[task]
    return measured(name, words, answer(train, test), metrics)


def measured(name: str, words: str, statistics: pl.DataFrame, metrics: Sequence[Metric]) -> Baseline:
    """The baseline whose answers these statistics tell."""
    values = {each.name: each.reduce(statistics) for each in metrics}
    return Baseline(name=name, words=words, values=values, statistics=statistics)


def compare(metric: Metric, rivals: Sequence[Baseline], figure: Callable[[float], str]) -> str:
    """The rivals' values in a row: "0.114 for always the most frequent class, 0.926 for a linear model"."""
    return ", ".join(f"{figure(each.values[metric.name])} for {each.words}" for each in rivals)


def _majority(train: pl.DataFrame, test: pl.DataFrame) -> pl.DataFrame:
    known = train["truth"].to_numpy()
    known = known[known >= 0]
    counts = np.bincount(known, minlength=2)
    share = counts / max(int(counts.sum()), 1)
    truth = test["truth"].to_numpy()
    inside = np.where((truth >= 0) & (truth < len(share)), truth, 0)
    with np.errstate(divide="ignore"):  # a class without a training row: infinitely surprising
        surprise = -np.log(share[inside])
    columns = {
        "truth": truth,
        "prediction": np.full(len(truth), int(counts.argmax())),
        "log_loss": np.where(truth == inside, surprise, np.nan),
    }
    if len(counts) == 2:
        columns["p_positive"] = np.full(len(truth), share[1])
    return pl.DataFrame(columns)


def _mean(train: pl.DataFrame, test: pl.DataFrame) -> pl.DataFrame:
    known = train["truth"].to_numpy().astype(np.float64)
    known = known[np.isfinite(known)]
    mean = float(known.mean()) if len(known) else float("nan")
    truth = test["truth"].to_numpy().astype(np.float64)
    return pl.DataFrame({"truth": truth, "prediction": np.full(len(truth), mean)})


def _tag_majority(train: pl.DataFrame, test: pl.DataFrame) -> pl.DataFrame:
    columns: dict[str, object] = {}
    for tag in tags(test):
        known = train[f"truth:{tag}"].to_numpy().astype(np.float64)
        known = known[~np.isnan(known)]
        share = float(known.mean()) if len(known) else 0.0
        columns[f"truth:{tag}"] = test[f"truth:{tag}"]
        columns[f"score:{tag}"] = np.full(test.height, share)
        columns[f"prediction:{tag}"] = np.full(test.height, int(share >= 0.5))
    return pl.DataFrame(columns)


_Answer = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
_BLIND: Mapping[str, tuple[str, str, _Answer]] = {
    "classify": ("majority", "always the most frequent class", _majority),
    "regress": ("mean", "always the mean", _mean),
    "tag": ("majority", "always the more frequent answer for each label", _tag_majority),
}
