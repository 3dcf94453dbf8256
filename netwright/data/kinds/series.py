"""A series of numbers in one cell: signals, one value a step."""

# N = rows, T = steps

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from netwright.base.errors import BundleError
from netwright.base.schema import JSON, Choice, Column, Field, Shape
from netwright.data.kinds import ragged
from netwright.data.kinds.kind import AbstractKind
from netwright.data.packed import Packed

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

STEPS = 8
"""Numbers from which a cell is a series."""
LONGEST = 4_096
"""Steps that a network reads, at most, unless set by hand."""
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_NUMBERS = re.compile(rf"\[?\s*{_NUMBER}(?:[\s,;]+{_NUMBER}){{7,}}\s*\]?")
_EACH = re.compile(_NUMBER)


@final
class Series(AbstractKind):
    """Several numbers a cell, in order."""

    name = "series"
    takes = ("longest",)

    def __init__(self, column: str, longest: int, center: float, scale: float) -> None:
        self.column, self.longest, self.center, self.scale = column, longest, center, scale

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """Lists of numbers, or strings of at least eight numbers."""
        import polars as pl

        dtype = sample.dtype
        if isinstance(dtype, pl.List | pl.Array):
            inner = dtype.inner
            if inner is None or not inner.is_numeric():
                return None
            return Choice(value=cls.name, why="lists of numbers")
        if dtype != pl.String:
            return None
        step = max(1, len(sample) // 20)
        cells = [cell for cell in sample.gather_every(step).to_list() if cell]
        good = sum(_NUMBERS.fullmatch(cell[:10_000]) is not None for cell in cells)
        if not good or good < 0.95 * len(cells):
            return None
        return Choice(value=cls.name, why=f"cells of {STEPS} and more numbers")

    @classmethod
    def derive(
        cls, block: pl.DataFrame, examples: int, minutes: float, shape: Shape = "rows"
    ) -> Mapping[str, Choice]:
        """The length from the training cells."""
        longest = int(_lists(block.to_series()).list.len().max() or 1)  # type: ignore[arg-type]
        why = f"up to {longest:,} steps" + ("; longer ones are cut" if longest > LONGEST else "")
        return {"longest": Choice(value=min(LONGEST, longest), why=why)}

    @classmethod
    def fit(cls, block: pl.DataFrame, columns: Sequence[Column]) -> Self:
        """Mean and spread of all training values.

        Raises:
            RecipeError: If a setting is out of range.
        """
        name, cells = columns[0].name, block.to_series()
        asked = columns[0].settings.get("longest") or cls.derive(block, 0, 1.0)["longest"].value
        longest = ragged.whole(asked, f"kind.{name}.longest", 1, 1_000_000)
        flat = _lists(cells).explode().drop_nulls().to_numpy()
        flat = flat[np.isfinite(flat)]
        center, scale = (float(flat.mean()), float(flat.std())) if len(flat) else (0.0, 1.0)
        return cls(name, longest, center, scale or 1.0)

    def reads(self) -> tuple[str, ...]:
        """Names of the columns of the block."""
        return (self.column,)

    def field(self) -> Field:
        """Frames (T, 1)."""
        return Field(
            key=f"series:{self.column}",
            columns=(self.column,),
            layout="frames",
            shape=(self.longest, 1),
            center=(self.center,),
            scale=(self.scale,),
        )

    def encode(self, block: pl.DataFrame) -> Packed:
        """One number a step, cut at the longest."""
        return ragged.packed(_lists(block[self.column]), 1, self.longest)

    def notes(self, block: pl.DataFrame) -> list[str]:
        """Series that are cut, or not there."""
        steps = _lists(block[self.column]).list.len().fill_null(0).to_list()
        cut = f"{self.column} is cut after {self.longest:,} steps"
        return [cut if n > self.longest else "" if n else f"{self.column} is empty" for n in steps]

    def mismatch(self, block: pl.DataFrame) -> str | None:
        """Cells that hold no numbers."""
        cells = block[self.column]
        if cells.null_count() == len(cells) or _lists(cells).list.len().sum():
            return None
        return f"column '{self.column}' held series in training, here {str(cells.drop_nulls()[0])[:40]!r}"

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Length and scale."""
        names = ("column", "longest", "center", "scale")
        return {name: getattr(self, name) for name in names}, {}

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted kind again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            longest, center, scale = int(facts["longest"]), float(facts["center"]), float(facts["scale"])
            column = str(facts["column"])
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the model's series column cannot be read: {error}.") from error
        if not (1 <= longest <= 1_000_000 and np.isfinite([center, scale]).all() and scale > 0):
            raise BundleError("the model's series column has a scale that does not fit.")
        return cls(column, longest, center, scale)


def _lists(cells: pl.Series) -> pl.Series:
    """Lists of numbers of lists, arrays or texts."""
    import polars as pl

    if cells.dtype == pl.String:
        found = [None if cell is None else [float(each) for each in _EACH.findall(cell)] for cell in cells]
        return pl.Series(cells.name, found, dtype=pl.List(pl.Float64))
    if isinstance(cells.dtype, pl.List | pl.Array):
        return cells.cast(pl.List(pl.Float64), strict=False)
    return pl.Series(cells.name, [None] * len(cells), dtype=pl.List(pl.Float64))
