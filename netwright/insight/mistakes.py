"""Where the network errs: the worst rows, confused classes, errors along the range of a number."""

# C = classes

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from netwright.objectives import translations
from netwright.objectives.metrics import tags

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Rows whose truth lies in one range, or one label, and how they are answered.

    Attributes:
        low: Smallest truth.
        high: Largest truth.
        rows: How many.
        bias: Mean of prediction - truth; above 0 it predicts too much.
        error: Mean size of the error.
    """

    low: float
    high: float
    rows: int
    bias: float
    error: float


@dataclass(frozen=True)
class Recall:
    """How one class or label is met.

    Attributes:
        code: Code of the class, -1 for labels unseen in training; position of the label for tags.
        rows: Rows that are so.
        said: Rows that are called so.
        recall: Share of the rows that are so that are called so; NaN if there are none.
        precision: Share of the rows called so that are so; NaN if there are none.
    """

    code: int
    rows: int
    said: int
    recall: float
    precision: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        right = self.recall * self.rows if self.rows else 0.0
        total = self.rows + self.said
        return 2.0 * right / total if total else float("nan")


def confusion(statistics: pl.DataFrame, classes: int) -> Counts:
    """Rows by truth (down) and prediction (across): (C + 1, C), unseen labels in the last row."""
    truth = statistics["truth"].to_numpy().astype(np.int64)
    said = statistics["prediction"].to_numpy().astype(np.int64)
    flat = np.where(truth < 0, classes, truth) * classes + said
    counts = np.bincount(flat, minlength=(classes + 1) * classes)
    return counts.reshape(classes + 1, classes).astype(np.int64)


def confused(statistics: pl.DataFrame, limit: int = 20) -> list[tuple[int, int, int]]:
    """The most confused pairs, most frequent first: (truth, prediction, rows)."""
    pairs = (
        statistics.filter(pl.col("truth") != pl.col("prediction"))
        .group_by("truth", "prediction")
        .len("rows")
        .sort(["rows", "truth", "prediction"], descending=[True, False, False])
        .head(limit)
    )
    return [(int(truth), int(said), int(rows)) for truth, said, rows in pairs.iter_rows()]


def by_class(statistics: pl.DataFrame, classes: int) -> list[Recall]:
    """Recall and precision of every class; labels unseen in training last, if there are any."""
    truth = statistics["truth"].to_numpy().astype(np.int64)
    said = statistics["prediction"].to_numpy().astype(np.int64)
    known = np.where(truth < 0, classes, truth)
    true_C = np.bincount(known, minlength=classes + 1)
    said_C = np.bincount(said, minlength=classes + 1)
    right_C = np.bincount(known[known == said], minlength=classes + 1)
    rows = [_recall(code, int(true_C[code]), int(said_C[code]), int(right_C[code])) for code in range(classes)]
    unseen = int(true_C[classes])
    return [*rows, _recall(-1, unseen, 0, 0)] if unseen else rows


def by_tag(statistics: pl.DataFrame) -> list[tuple[str, Recall]]:
    """Recall and precision of every label of a tag frame."""
    found = []
    for place, tag in enumerate(tags(statistics)):
        truth = statistics[f"truth:{tag}"].to_numpy() > 0.5
        said = statistics[f"prediction:{tag}"].to_numpy() > 0.5
        counts = int(truth.sum()), int(said.sum()), int((truth & said).sum())
        found.append((tag, _recall(place, *counts)))
    return found


def _recall(code: int, rows: int, said: int, right: int) -> Recall:
    recall = right / rows if rows else float("nan")
    precision = right / said if said else float("nan")
    return Recall(code, rows, said, recall, precision)


def by_range(statistics: pl.DataFrame, parts: int = 5) -> list[Part]:
    """Errors by quantile of the truth: equal values stay in one part, so there may be fewer."""
    truth, error = _errors(statistics)
    if not len(truth):
        return []
    inner = np.quantile(truth, np.linspace(0, 1, parts + 1)[1:-1])
    place = np.searchsorted(np.unique(inner), truth, side="left")
    return [
        Part(
            float(truth[place == part].min()),
            float(truth[place == part].max()),
            int((place == part).sum()),
            float(error[place == part].mean()),
            float(np.abs(error[place == part]).mean()),
        )
        for part in np.unique(place)
    ]


def worst(statistics: pl.DataFrame, limit: int = 20) -> pl.DataFrame:
    """The worst rows, worst first, with their row numbers in a column `row`.

    Args:
        statistics: A column `row` names each row; without one they are numbered from 0.
        limit: How many rows at most.

    Returns:
        For classes the wrong rows, least likely truth first: `row, truth, prediction`, `confidence` where
        it is known, `log_loss`. For numbers the largest errors: `row, truth, prediction, error`. For tags
        the rows with the most wrong labels: `row, wrong, missed, extra` (labels joined by "; ").
    """
    frame = statistics if "row" in statistics.columns else statistics.with_row_index("row")
    if tags(frame):
        return _worst_tags(frame, limit)
    if "log_loss" in frame.columns:
        names = [each for each in ("confidence", "log_loss") if each in frame.columns]
        return (
            frame.filter(pl.col("truth") != pl.col("prediction"))
            .with_columns(pl.col("log_loss").fill_nan(float("inf")).alias("_surprise"))
            .sort(["_surprise", "row"], descending=[True, False])
            .select("row", "truth", "prediction", *names)
            .head(limit)
        )
    return (
        frame.filter(pl.col("truth").is_not_null() & pl.col("truth").is_not_nan())
        .with_columns((pl.col("prediction") - pl.col("truth")).alias("error"))
        .sort([pl.col("error").abs(), pl.col("row")], descending=[True, False])
        .select("row", "truth", "prediction", "error")
        .head(limit)
    )


def misheard(statistics: pl.DataFrame, limit: int = 20) -> list[dict[str, object]]:
    """The transcripts with the most wrong words, then characters, as `row, truth, prediction, word_edits`."""
    order = ["word_edits", "character_edits", "row"]
    found = statistics.filter(pl.col("character_edits") > 0).sort(order, descending=[True, True, False])
    return found.head(limit).select("row", "truth", "prediction", "word_edits").to_dicts()


def worst_sentences(statistics: pl.DataFrame, limit: int = 20) -> pl.DataFrame:
    """The answers least like their references, worst first: `row, reference, answer, alike` (chrF)."""
    alike = pl.Series("alike", translations.each_chrf(statistics), dtype=pl.Float64)
    return (
        statistics.with_columns(alike)
        .filter(pl.col("answer") != pl.col("reference"))
        .sort(["alike", "row"])
        .select("row", "reference", "answer", "alike")
        .head(limit)
    )


def _worst_tags(frame: pl.DataFrame, limit: int) -> pl.DataFrame:
    names = tags(frame)
    if not frame.height:
        return pl.DataFrame({"row": [], "wrong": [], "missed": [], "extra": []})
    truth = np.stack([frame[f"truth:{tag}"].to_numpy() > 0.5 for tag in names], axis=1)
    said = np.stack([frame[f"prediction:{tag}"].to_numpy() > 0.5 for tag in names], axis=1)
    wrong = (truth != said).sum(axis=1)
    picked = [int(at) for at in np.argsort(-wrong, kind="stable")[:limit] if wrong[at]]
    return pl.DataFrame(
        {
            "row": frame["row"].gather(picked),
            "wrong": wrong[picked],
            "missed": [_named(names, truth[at] & ~said[at]) for at in picked],
            "extra": [_named(names, said[at] & ~truth[at]) for at in picked],
        }
    )


def _named(names: list[str], chosen: npt.NDArray[np.bool_]) -> str:
    return "; ".join(name for name, is_on in zip(names, chosen.tolist(), strict=True) if is_on)


def _errors(statistics: pl.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Truth and prediction - truth of the rows whose truth is known."""
    truth = statistics["truth"].to_numpy().astype(np.float64)
    said = statistics["prediction"].to_numpy().astype(np.float64)
    known = np.isfinite(truth) & np.isfinite(said)
    return truth[known], (said - truth)[known]
