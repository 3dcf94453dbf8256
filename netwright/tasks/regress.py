"""A number for each row."""

# K = members, B = examples

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.base.errors import BundleError, DataError, RecipeError
from netwright.base.schema import JSON, Shape
from netwright.data.kinds.numerals import has_comma, numbers
from netwright.data.packed import Packed
from netwright.objectives import intervals, losses, metrics
from netwright.tasks.labels import looks_like_classes
from netwright.tasks.settings import make
from netwright.tasks.task import AbstractTask, Claim

if TYPE_CHECKING:
    import polars as pl


class Regress(AbstractTask):
    """A standardised target, or the logarithm of it; split-conformal intervals.

    Intervals are symmetric on the scale that is learned, so on the user's scale they widen with the
    value where the logarithm is learned.

    Reference: Lei et al. 2018, https://arxiv.org/abs/1604.04173 (split conformal).
    """

    name = "regress"
    blind_words = ("mean", "always the mean")

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What `--set task.NAME=VALUE` may change."""

        scale: Literal["plain", "log"] = "plain"
        """The scale that is learned: the target's own, or its logarithm (of a target from 0 on)."""
        loss: Literal["squared", "huber", "absolute"] = "squared"
        """What is minimised on the learned scale."""
        coverage: float = 0.9
        """Share of rows whose truth the interval should hold, 0.5-0.99."""
        metric: str = ""
        """The headline metric; empty: r2."""

    def __init__(self, columns: Sequence[str], settings: Any, scale: Mapping[str, float]) -> None:
        self.columns = tuple(columns)
        self.settings = settings
        self.scale = dict(scale)
        self.outputs = 1
        self.half_width: float | None = None

    @classmethod
    def claims(cls, target: pl.DataFrame, shape: Shape) -> Claim | None:
        """A number."""
        if shape != "rows" or target.width != 1:
            return None
        cells = target.to_series()
        values = _numbers(cells)
        if cells.dtype.is_nested() or values is None:
            return None
        as_classes = looks_like_classes(cells)
        strength = 50 if as_classes and as_classes[0] >= 60 else 75
        distinct = len(np.unique(values))
        return Claim(strength=strength, why=f"it is a number with {distinct:,} different values")

    @classmethod
    def fit(cls, target: pl.DataFrame, settings: Mapping[str, JSON]) -> Self:
        """Scale of the training rows.

        Raises:
            DataError: If the target is not a number, or is constant.
        """
        made = make(cls.Settings, settings, "task")
        name = target.columns[0]
        values = _numbers(target.to_series())
        if values is None:
            raise DataError(
                f"target column '{name}' is not a number in most training rows.",
                hint="use --task classify, or choose another --target.",
            )
        if len(np.unique(values)) < 2:
            raise DataError(
                f"target column '{name}' is constant: {values[0]:g} in all training rows.",
                hint="there is nothing to learn; choose another --target.",
            )
        scale = _fit_scale(values, made.scale)
        scale["comma"] = float(has_comma(target.to_series()))
        return cls([name], made, scale)

    @property
    def metrics(self) -> Sequence[metrics.Metric]:
        """R² first."""
        return metrics.lead_by(metrics.REGRESS, self.settings.metric or "r2")

    def encode(self, target: pl.DataFrame) -> Tensor:
        """(N,) float32 on the learned scale; NaN where the cell is missing or no number."""
        values = numbers(target.to_series(), comma=bool(self.scale["comma"]))
        return torch.from_numpy(self._learned(values).astype(np.float32))

    def loss(self, output_KBO: Tensor, target: Tensor) -> Tensor:
        """Squared (Huber, absolute) error of each member, averaged over members: (B,)."""
        function = {
            "squared": losses.squared_error,
            "huber": losses.huber,
            "absolute": losses.absolute,
        }[self.settings.loss]
        return function(output_KBO.squeeze(-1), target.unsqueeze(0)).mean(0)

    def watch(self, output_KBO: Tensor, target: Tensor) -> dict[str, float]:
        """Mean squared error of the members' mean on the learned scale, and the headline."""
        known = ~torch.isnan(target)
        output_KBO, target = output_KBO[:, known], target[known]
        loss = (output_KBO.mean(0).squeeze(-1) - target).square().mean().item()
        score = self.metrics[0].reduce(self.statistics(output_KBO, Packed(target)))
        return {"loss": loss, "score": score}

    def refit(self, target: pl.DataFrame) -> Self:
        """The scale of these rows.

        Raises:
            DataError: If all of them are alike.
            RecipeError: If the logarithm is learned: its unit is the target's, and differs.
        """
        if self.scale["log"]:
            raise RecipeError(
                "folds learn the target's own scale, not its logarithm.",
                hint="leave out --folds or task.scale=log, or take the logarithm beforehand.",
            )
        return type(self).fit(target, asdict(self.settings))

    def onto(self, other: Self) -> tuple[float, float]:
        """From one standard scale to another."""
        spread = other.scale["spread"]
        return self.scale["spread"] / spread, (self.scale["center"] - other.scale["center"]) / spread

    def losses(self, output_SKBO: Tensor, target_SB: Tensor) -> Tensor:
        """(S,) mean squared errors of the members' mean on the learned scale."""
        known_SB = ~torch.isnan(target_SB)
        error_SB = (output_SKBO.mean(1).squeeze(-1) - target_SB.nan_to_num()).square() * known_SB
        return error_SB.double().sum(1) / known_SB.sum(1)

    def calibrate(self, output_KBO: Tensor, target: Tensor) -> Self:
        """The task with the interval's half width on the learned scale."""
        known = ~torch.isnan(target)
        residuals = (output_KBO[:, known].mean(0).squeeze(-1) - target[known]).abs()
        task = type(self)(self.columns, replace(self.settings), self.scale)
        if len(residuals) >= 10:
            values = residuals.double().cpu().numpy()
            task.half_width = float(intervals.conformal_quantile(values, self.settings.coverage))
        return task

    def answer(
        self,
        output_KBO: Tensor,
        *,
        top: int | None = None,
        threshold: float | None = None,
        probabilities: bool = True,
    ) -> pl.DataFrame:
        """`prediction`, `low` and `high`, in the units of the target."""
        import polars as pl

        prediction, low, high = self._predictions(output_KBO)
        return pl.DataFrame({"prediction": prediction, "low": low, "high": high})

    def statistics(self, output_KBO: Tensor, target: Packed) -> pl.DataFrame:
        """Columns `truth`, `prediction`, `low`, `high`, in the units of the target."""
        import polars as pl

        prediction, low, high = self._predictions(output_KBO)
        truth = self._original(target.values.double().cpu().numpy())
        columns = {"truth": truth, "prediction": prediction, "low": low, "high": high}
        return pl.DataFrame(columns)

    def constant(self, target: Tensor) -> Tensor:
        """The training mean, on the learned scale."""
        mean = np.array([self.scale["mean"]])
        return torch.from_numpy(self._learned(mean).astype(np.float32)).view(1, 1, 1)

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Scale, settings and interval width."""
        facts = {
            "column": self.columns[0],
            "settings": asdict(self.settings),
            "scale": self.scale,
            "half_width": self.half_width,
        }
        return facts, {}

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted task again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            settings = make(cls.Settings, facts["settings"], "task")
            scale = {name: float(facts["scale"][name]) for name in _SCALE}
            task = cls([str(facts["column"])], settings, scale)
            width = facts["half_width"]
            task.half_width = None if width is None else float(width)
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the model's task cannot be read: {error}.") from error
        return task

    def _learned(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if self.scale["log"]:
            values = np.log1p(np.maximum(values, 0.0) / self.scale["unit"])
        return (values - self.scale["center"]) / self.scale["spread"]

    def _original(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        values = values * self.scale["spread"] + self.scale["center"]
        if not self.scale["log"]:
            return values
        return np.expm1(np.clip(values, 0.0, 700.0)) * self.scale["unit"]

    def _predictions(self, output_KBO: Tensor) -> tuple[Any, Any, Any]:
        """Prediction, low and high; predictions stay within the range seen in training, and a tenth."""
        learned = output_KBO.double().mean(0).squeeze(-1).cpu().numpy()
        learned = np.clip(learned, self.scale["low"], self.scale["high"])
        prediction = self._original(learned)
        if self.half_width is None:
            empty = np.full(len(learned), np.nan)
            return prediction, empty, empty
        low = self._original(learned - self.half_width)
        return prediction, low, self._original(learned + self.half_width)


_SCALE = ("log", "unit", "center", "spread", "low", "high", "mean", "comma")


def _numbers(cells: pl.Series) -> npt.NDArray[np.float64] | None:
    """The finite numbers among the cells, or None if fewer than 95 % of those present are numbers."""

    if cells.dtype.is_temporal() or cells.dtype.is_nested():
        return None
    present = cells.drop_nulls()
    parsed = numbers(present, comma=has_comma(present))
    values = parsed[np.isfinite(parsed)]
    return values if len(values) and len(values) >= 0.95 * len(present) else None


def _fit_scale(values: npt.NDArray[np.float64], scale: str) -> dict[str, float]:
    """Center and spread of the learned scale, and the range that predictions are kept in."""
    log = scale == "log"
    positive = values[values > 0]
    unit = float(np.median(positive)) / 10.0 if log and len(positive) else 1.0
    learned = np.log1p(np.maximum(values, 0.0) / unit) if log else values
    center, spread = float(learned.mean()), float(learned.std()) or 1.0
    standard = (learned - center) / spread
    margin = 0.1 * float(standard.max() - standard.min())
    return {
        "log": float(log),
        "unit": unit,
        "center": center,
        "spread": spread,
        "low": float(standard.min()) - margin,
        "high": float(standard.max()) + margin,
        "mean": float(values.mean()),
    }
