"""Cells that say when, as numbers that sort: typed dates, dates as strings, years, epoch seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from netwright.data.kinds.date import FORMATS, TYPED, find_format, parse
from netwright.data.kinds.numerals import numbers

if TYPE_CHECKING:
    import polars as pl

ZONED = "zoned"
FORMS = frozenset(("", TYPED, ZONED, *FORMATS))
"""All that `form_of` can give."""
_ZONED = r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d(?:\.\d+)?)? ?(Z|UTC|[+-]\d\d:?\d\d)$"


def form_of(cells: pl.Series) -> str:
    """How cells say when: a format of `FORMATS`, TYPED, ZONED, or "" for numbers."""
    import polars as pl

    form = find_format(cells)
    if form or cells.dtype != pl.String or np.isfinite(numbers(cells, comma=False)).any():
        return form
    return ZONED


def moments(cells: pl.Series, form: str | None = None) -> npt.NDArray[np.float64]:
    """(N,) float64 that ascends with time; NaN where a cell is missing or cannot be read.

    Dates of one format are days since 1970; other columns are read as numbers.

    Args:
        cells: The column.
        form: What `form_of` found; None: it is looked for in these cells.
    """
    import polars as pl

    form = form_of(cells) if form is None else form
    if form == ZONED:
        return _zoned(cells.cast(pl.String))
    return parse(cells, form) if form else numbers(cells, comma=False)


def _zoned(cells: pl.Series) -> npt.NDArray[np.float64]:
    """ISO 8601 with an offset from UTC."""
    import polars as pl

    groups = cells.str.extract_groups(_ZONED).struct.unnest()
    day, minute, second, zone = (pl.col(name) for name in groups.columns)
    offset = zone.replace({"Z": "+0000", "UTC": "+0000"}).str.replace(":", "", literal=True)
    text = pl.concat_str(day, pl.lit(" "), minute, second.fill_null(":00"), offset)
    read = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%z", strict=False, time_unit="us")
    return groups.select(read.dt.epoch("us").cast(pl.Float64)).to_series().to_numpy() / 86_400e6
