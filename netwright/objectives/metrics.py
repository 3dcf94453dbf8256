"""How good answers are: each metric turns a frame of statistics, one row an example, into one number.

Frames: classify has `truth` and `prediction` (codes; truth -1 is a label unseen in training, which counts
as a label of its own that is never met), `log_loss`, and for two classes `p_positive`, the probability of
class 1. Regress has `truth` and `prediction`. Tag has `truth:L`, `score:L` and `prediction:L` for each
label L. What cannot be measured (no rows, one class) is NaN, without a warning.
"""

# N = rows, L = labels: classes of a classify frame, or the labels of a tag frame

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from netwright.base.errors import unknown

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
NAN = float("nan")
ANSWERS = ("truth", "prediction")


class Column(Protocol):
    """Values, one a row."""

    def to_numpy(self) -> npt.NDArray[Any]:
        """(N,)."""


class Frame(Protocol):
    """What a metric reads: a frame of polars, or rows redrawn from one."""

    @property
    def height(self) -> int:
        """N."""

    @property
    def columns(self) -> list[str]:
        """Their names, in order."""

    def __getitem__(self, name: str, /) -> Column:
        """One of them."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measure of how good answers are.

    Attributes:
        name: The word for it in `--metric`, on the card and in JSON.
        better: Which way is better.
        reduce: Frame of statistics -> the number; NaN where it cannot be measured.
        words: What the number means, one sentence for people.
        reads: Columns that `reduce` looks at, so that redrawing gathers no others: "truth" stands for
            `truth` and for every `truth:L`. Empty: all.
        binary_only: Whether it needs exactly two classes.
    """

    name: str
    better: Literal["higher", "lower"]
    reduce: Callable[[Frame], float]
    words: str
    reads: tuple[str, ...] = ()
    binary_only: bool = False

    def beats(self, value: float, other: float) -> bool:
        """Whether `value` is better than `other`; never if one of them is NaN."""
        return value > other if self.better == "higher" else value < other


def lead_by(metrics: Sequence[Metric], name: str) -> tuple[Metric, ...]:
    """The metrics with the one called `name` first.

    Raises:
        UnknownName: If none is called so.
    """
    by_name = {each.name: each for each in metrics}
    if name not in by_name:
        raise unknown("metric", name, by_name)
    return (by_name[name], *(each for each in metrics if each.name != name))


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else NAN


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean()) if values.size else NAN


# ---- classify


def _hits(frame: Frame) -> tuple[Ints, Ints, Ints]:
    """Per label (L,): rows that are rightly called so, rows that are so, rows that are called so."""
    truth = frame["truth"].to_numpy() + 1  # -1, unseen in training, becomes label 0
    said = frame["prediction"].to_numpy() + 1
    width = int(max(truth.max(), said.max())) + 1 if len(truth) else 0
    right = np.bincount(truth[truth == said], minlength=width)
    return right, np.bincount(truth, minlength=width), np.bincount(said, minlength=width)


def _accuracy(frame: Frame) -> float:
    return _mean(frame["truth"].to_numpy() == frame["prediction"].to_numpy())


def _balanced_accuracy(frame: Frame) -> float:
    right, true, _ = _hits(frame)
    there = true > 0
    return _mean(right[there] / true[there])


def _f1(frame: Frame) -> float:
    truth = frame["truth"].to_numpy() == 1
    said = frame["prediction"].to_numpy() == 1
    return _ratio(2.0 * np.count_nonzero(truth & said), int(truth.sum()) + int(said.sum()))


def _f1_macro(frame: Frame) -> float:
    right, true, said = _hits(frame)
    there = (true + said) > 0
    return _mean(2.0 * right[there] / (true + said)[there])


def _log_loss(frame: Frame) -> float:
    losses = frame["log_loss"].to_numpy()
    return _mean(losses[frame["truth"].to_numpy() >= 0])


def _roc_auc(frame: Frame) -> float:
    """Share of (positive, negative) pairs in the right order, ties half: by rank in the sorted negatives."""
    truth, score = frame["truth"].to_numpy(), frame["p_positive"].to_numpy()
    negatives = np.sort(score[truth == 0])
    positives = np.sort(score[truth == 1])
    below = np.searchsorted(negatives, positives, side="left")
    up_to = np.searchsorted(negatives, positives, side="right")
    return _ratio(0.5 * float((below + up_to).sum()), len(positives) * len(negatives))


def _cohen_kappa(frame: Frame) -> float:
    right, true, said = (each.astype(np.float64) for each in _hits(frame))
    rows = true.sum()
    chance = float(true @ said)
    return _ratio(float(rows * right.sum()) - chance, float(rows * rows) - chance)


CLASSIFY: tuple[Metric, ...] = (
    Metric(
        name="accuracy",
        better="higher",
        reduce=_accuracy,
        words="Share of rows whose class is predicted rightly.",
        reads=ANSWERS,
    ),
    Metric(
        name="balanced_accuracy",
        better="higher",
        reduce=_balanced_accuracy,
        words="Share predicted rightly within each class, averaged so that rare classes count as much.",
        reads=ANSWERS,
    ),
    Metric(
        name="f1",
        better="higher",
        reduce=_f1,
        words="Harmonic mean of precision and recall of the second of the two classes.",
        binary_only=True,
        reads=ANSWERS,
    ),
    Metric(
        name="f1_macro",
        better="higher",
        reduce=_f1_macro,
        words="Harmonic mean of precision and recall of each class, averaged over classes.",
        reads=ANSWERS,
    ),
    Metric(
        name="log_loss",
        better="lower",
        reduce=_log_loss,
        words="Mean surprise at the true class in nats; classes unseen in training are left out.",
        reads=("truth", "log_loss"),
    ),
    Metric(
        name="roc_auc",
        better="higher",
        reduce=_roc_auc,
        words="Chance that a row of the second class gets a higher probability of it than one of the first.",
        binary_only=True,
        reads=("truth", "p_positive"),
    ),
    Metric(
        name="cohen_kappa",
        better="higher",
        reduce=_cohen_kappa,
        words="Agreement with the truth beyond chance: 0 is chance, 1 is perfect.",
        reads=ANSWERS,
    ),
)
"""For classes. `f1` takes class 1, the second in sorted order, as the positive one: the class that
`p_positive` and `--threshold` speak of, and scikit-learn's convention."""


# ---- regress


def _pairs(frame: Frame) -> tuple[Floats, Floats]:
    """Truth and prediction of the rows whose truth is known."""
    truth = frame["truth"].to_numpy().astype(np.float64, copy=False)
    said = frame["prediction"].to_numpy().astype(np.float64, copy=False)
    known = ~np.isnan(truth)
    return (truth, said) if known.all() else (truth[known], said[known])


def _r2(frame: Frame) -> float:
    truth, said = _pairs(frame)
    # a constant is asked for by its range: its variance may come out as 1e-33 instead of 0
    if len(truth) < 2 or float(np.ptp(truth)) == 0.0:
        return NAN
    # divided by the range first, so that squares of 1e200 do not overflow
    unit = float(np.ptp(truth))
    error = (truth - said) / unit
    spread = (truth - truth.mean()) / unit
    return float(1.0 - (error @ error) / (spread @ spread))


def _rmse(frame: Frame) -> float:
    truth, said = _pairs(frame)
    return float(np.sqrt(_mean((truth - said) ** 2)))


def _mae(frame: Frame) -> float:
    truth, said = _pairs(frame)
    return _mean(np.abs(truth - said))


def _median_absolute_error(frame: Frame) -> float:
    truth, said = _pairs(frame)
    return float(np.median(np.abs(truth - said))) if len(truth) else NAN


REGRESS: tuple[Metric, ...] = (
    Metric(
        name="r2",
        better="higher",
        reduce=_r2,
        words="Share of the target's variance that is explained: 0 is the mean, 1 is perfect.",
        reads=ANSWERS,
    ),
    Metric(
        name="rmse",
        better="lower",
        reduce=_rmse,
        words="Root of the mean squared error, in units of the target; large errors count most.",
        reads=ANSWERS,
    ),
    Metric(
        name="mae",
        better="lower",
        reduce=_mae,
        words="Mean size of the error, in units of the target.",
        reads=ANSWERS,
    ),
    Metric(
        name="median_absolute_error",
        better="lower",
        reduce=_median_absolute_error,
        words="Half of the errors are smaller than this, in units of the target.",
        reads=ANSWERS,
    ),
)
"""For numbers."""


# ---- tag


def tags(frame: Frame) -> list[str]:
    """The labels of a tag frame, in order."""
    return [name.removeprefix("truth:") for name in frame.columns if name.startswith("truth:")]


def _tables(frame: Frame) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Truth and prediction (N, L) of the rows whose labels are all known."""
    names = tags(frame)
    truth_NL = np.stack([frame[f"truth:{name}"].to_numpy() for name in names], axis=1)
    said_NL = np.stack([frame[f"prediction:{name}"].to_numpy() for name in names], axis=1)
    known = ~np.isnan(truth_NL.astype(np.float64, copy=False)).any(axis=1)
    return truth_NL[known] > 0.5, said_NL[known] > 0.5


def _tag_f1(frame: Frame) -> float:
    truth_NL, said_NL = _tables(frame)
    met = np.count_nonzero(truth_NL & said_NL)
    return _ratio(2.0 * met, int(np.count_nonzero(truth_NL) + np.count_nonzero(said_NL)))


def _tag_f1_macro(frame: Frame) -> float:
    truth_NL, said_NL = _tables(frame)
    met_L = (truth_NL & said_NL).sum(axis=0)
    sum_L = truth_NL.sum(axis=0) + said_NL.sum(axis=0)
    return _mean(2.0 * met_L[sum_L > 0] / sum_L[sum_L > 0])


def _exact_match(frame: Frame) -> float:
    truth_NL, said_NL = _tables(frame)
    return _mean((truth_NL == said_NL).all(axis=1))


def _hamming_loss(frame: Frame) -> float:
    truth_NL, said_NL = _tables(frame)
    return _mean(truth_NL != said_NL)


TAG: tuple[Metric, ...] = (
    Metric(
        name="f1",
        better="higher",
        reduce=_tag_f1,
        words="Harmonic mean of precision and recall over all labels together.",
        reads=ANSWERS,
    ),
    Metric(
        name="f1_macro",
        better="higher",
        reduce=_tag_f1_macro,
        words="Harmonic mean of precision and recall of each label, averaged over labels that occur.",
        reads=ANSWERS,
    ),
    Metric(
        name="exact_match",
        better="higher",
        reduce=_exact_match,
        words="Share of rows with every label right.",
        reads=ANSWERS,
    ),
    Metric(
        name="hamming_loss",
        better="lower",
        reduce=_hamming_loss,
        words="Share of single labels that are wrong.",
        reads=ANSWERS,
    ),
)
"""For several labels a row. `f1` is the micro average."""
