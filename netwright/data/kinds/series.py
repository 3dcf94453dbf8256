"""A series of numbers in one cell: recognised, not read yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, final

from netwright.base.schema import Choice
from netwright.data.kinds.kind import AbstractComing

if TYPE_CHECKING:
    import polars as pl

STEPS = 8
"""Numbers from which a cell is a series."""
_NUMBERS = re.compile(
    r"\[?\s*[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?(?:[\s,;]+[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?){7,}\s*\]?"
)


@final
class Series(AbstractComing):
    """Several numbers a cell, in order."""

    name = "series"
    coming = "series inputs arrive in a later version"

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
