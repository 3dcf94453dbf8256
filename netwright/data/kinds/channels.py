"""Series side by side, one column each: scaled by their training values, read as windows of one series."""

# N = moments, F = series, L = steps of a window

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
import torch

from netwright.base.errors import BundleError
from netwright.base.schema import JSON, Choice, Column, Field, Shape
from netwright.data.kinds import ragged
from netwright.data.kinds.kind import AbstractKind
from netwright.data.packed import Packed

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

LONGEST = 336
"""Steps a window looks back, at most, unless set by hand."""


@final
class Channels(AbstractKind):
    """Columns that are series over the rows; all share one network, and a window of one is an example."""

    name = "channels"
    takes = ("back",)

    def __init__(
        self, columns: Sequence[str], center: Sequence[float], scale: Sequence[float], back: int
    ) -> None:
        self.columns = tuple(columns)
        self.center, self.scale = np.array(center, dtype=np.float64), np.array(scale, dtype=np.float64)
        self.back = back

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """None: cells alone do not say that rows follow one another."""
        return None

    @classmethod
    def derive(
        cls, block: pl.DataFrame, examples: int, minutes: float, shape: Shape = "rows"
    ) -> Mapping[str, Choice]:
        """How far a window looks back, from the length of the training part."""
        back = int(max(1, min(LONGEST, block.height // 4)))
        return {"back": Choice(value=back, why=f"{block.height:,} training moments")}

    @classmethod
    def fit(cls, block: pl.DataFrame, columns: Sequence[Column]) -> Self:
        """Mean and spread of each series over the training rows.

        Raises:
            RecipeError: If the look-back is out of range.
        """
        values = block.to_numpy().astype(np.float64)
        asked = columns[0].settings.get("back") or cls.derive(block, 0, 1.0)["back"].value
        back = ragged.whole(asked, f"kind.{columns[0].name}.back", 1, max(1, block.height - 1))
        scale = values.std(0)
        return cls(block.columns, values.mean(0).tolist(), np.where(scale > 0, scale, 1.0).tolist(), back)

    def reads(self) -> tuple[str, ...]:
        """Names of the columns of the block."""
        return self.columns

    def field(self) -> Field:
        """Frames (L, 1), relative to their last step."""
        return Field(
            key=self.name,
            columns=self.columns,
            layout="frames",
            shape=(self.back, 1),
            even=True,
            anchored=True,
        )

    def encode(self, block: pl.DataFrame) -> Packed:
        """(N, F) float32 scaled values; the task cuts windows out of them."""
        values = (block.to_numpy().astype(np.float64) - self.center) / self.scale
        return Packed(torch.from_numpy(values.astype(np.float32)))

    def original(self, values_NF: Any) -> Any:
        """Scaled values in the units of the series."""
        return np.asarray(values_NF, dtype=np.float64) * self.scale + self.center

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Columns, scales and look-back."""
        facts = {"columns": list(self.columns), "back": self.back}
        return facts, {"center": torch.from_numpy(self.center), "scale": torch.from_numpy(self.scale)}

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted kind again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            columns, back = [str(name) for name in facts["columns"]], int(facts["back"])
            center, scale = tensors["center"].tolist(), tensors["scale"].tolist()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"the model's series cannot be read: {error}.") from error
        good = len(columns) == len(center) == len(scale) and np.isfinite([*center, *scale]).all()
        if not good or not columns or min(scale) <= 0 or not 1 <= back <= 1_000_000:
            raise BundleError("the model's series have scales that do not fit.")
        return cls(columns, center, scale, back)
