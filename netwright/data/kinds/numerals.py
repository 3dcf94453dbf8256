"""Numbers as people write them: `1,234.5`, `1 234`, `12 %`, `$4`, `1e3`, `1.234,5`; many at once or one cell.

Both ways obey the same grammar, so that one row gives the same bits as many.
"""

# N = rows

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

Floats = npt.NDArray[np.float64]

OUTER = " \t\r\n\u00a0"
"""Spaces around a cell that mean nothing."""

_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SIGN = "([+\u2212-]?)"
_SPACE = "[ \u00a0\u2009\u202f]"
_MONEY = "(?:[$€£¥₹]|USD|EUR|GBP|CHF)"
_HEAD = f"{_SIGN}{_SPACE}?{_MONEY}?{_SPACE}?{_SIGN}"
_TAIL = f"([eE][+-]?[0-9]+)?{_SPACE}?(?:%|{_MONEY})?"
_SPACED = "[1-9][0-9]{0,2}(?:[ \u00a0\u2009\u202f'’][0-9]{3})+"
_WITH_POINT = rf"{_HEAD}([1-9][0-9]{{0,2}}(?:,[0-9]{{3}})+|{_SPACED}|[0-9]*)(\.[0-9]*)?{_TAIL}"
_WITH_COMMA = rf"{_HEAD}([1-9][0-9]{{0,2}}(?:\.[0-9]{{3}})+|{_SPACED}|[0-9]*)([.,][0-9]*)?{_TAIL}"
_COMPILED = {False: re.compile(_WITH_POINT), True: re.compile(_WITH_COMMA)}
_FILLERS = "[ \u00a0\u2009\u202f'’.,]"
_GROUPED = r"^[+-]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+$"


def numbers(cells: pl.Series, *, comma: bool) -> Floats:
    """(N,) float64; NaN where a cell is missing, not a number, or not finite.

    Args:
        cells: Strings, or any type that counts: integers, floats, decimals, booleans, durations, times.
        comma: The decimal mark of strings is a comma.
    """
    import polars as pl

    if cells.dtype in (pl.Categorical, pl.Enum):
        cells = cells.cast(pl.String)
    if cells.dtype == pl.String:
        return _finite(_from_text(cells, comma=comma))
    if cells.dtype == pl.Duration:
        return _finite(cells.dt.total_microseconds().cast(pl.Float64).to_numpy() / 1e6)
    if cells.dtype == pl.Time:
        return _finite(cells.to_physical().cast(pl.Float64).to_numpy() / 1e9)
    if cells.dtype.is_numeric() or cells.dtype in (pl.Boolean, pl.Null):
        return _finite(cells.cast(pl.Float64).to_numpy())
    return np.full(len(cells), np.nan)


def number(cell: Any, *, comma: bool) -> float:
    """What `numbers` gives for one string, integer, float, boolean or None."""
    if cell is None:
        return math.nan
    value = _one_from_text(cell, comma=comma) if isinstance(cell, str) else float(cell)
    return value if math.isfinite(value) else math.nan


def has_comma(cells: pl.Series) -> bool:
    """Whether the decimal mark of these strings is plainly a comma: some are `1,5`, almost none `1.5`."""
    import polars as pl

    if cells.dtype != pl.String:
        return False
    plain = cells.cast(pl.Float64, strict=False)
    if plain.null_count() == cells.null_count():
        return False
    odd = cells.filter(plain.is_null() & cells.str.contains(",", literal=True).fill_null(False))
    if not len(odd):
        return False
    as_point, as_comma = np.isnan(_clean(odd, comma=False)), np.isnan(_clean(odd, comma=True))
    usual = cells.filter(plain.is_not_null())
    pointed = usual.str.contains(".", literal=True) & ~usual.str.contains(_GROUPED)
    against = int(pointed.sum()) + int((as_comma & ~as_point).sum())
    return int((as_point & ~as_comma).sum()) > 9 * against


def infinite(cells: pl.Series) -> int:
    """How many cells are infinite, in a float column or as a word."""
    import polars as pl

    if cells.dtype == pl.String:
        cells = cells.cast(pl.Float64, strict=False)
    if not cells.dtype.is_float():
        return 0
    return int(np.isinf(cells.to_numpy()).sum())


def shortest(value: float) -> str:
    """A number for a sentence: `17`, `0.25`, `1.5e+12`."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.6g}"


def _finite(values: Floats) -> Floats:
    good = np.isfinite(values)
    return values if good.all() else np.where(good, values, np.nan)


def _from_text(cells: pl.Series, *, comma: bool) -> Floats:
    """The common case is one cast of the whole column; only what it leaves is read by the grammar."""
    import polars as pl

    plain = cells.cast(pl.Float64, strict=False)
    values = plain.to_numpy()
    if comma:
        left = ~np.isnan(values) | plain.is_null().to_numpy()
    elif plain.null_count() == cells.null_count():
        return values
    else:
        left = plain.is_null().to_numpy()
    left = left & cells.is_not_null().to_numpy()
    values = values.copy()
    values[left] = _clean(cells.filter(pl.Series(left)), comma=comma)
    return values


def _clean(cells: pl.Series, *, comma: bool) -> Floats:
    import polars as pl

    pattern = f"^(?:{_WITH_COMMA if comma else _WITH_POINT})$"
    groups = pl.col("cell").str.strip_chars(OUTER).str.extract_groups(pattern)
    parts = cells.alias("cell").to_frame().select(groups.alias("g")).unnest("g")
    sign, sign_2, whole, fraction, power = (pl.col(name).fill_null("") for name in parts.columns)
    text = pl.concat_str(
        (sign + sign_2).str.replace_all("\u2212", "-", literal=True),
        whole.str.replace_all(_FILLERS, ""),
        fraction.str.replace(",", ".", literal=True),
        power,
    )
    return parts.select(text.cast(pl.Float64, strict=False)).to_series().to_numpy()


def _one_from_text(cell: str, *, comma: bool) -> float:
    if not comma and _PLAIN.fullmatch(cell):
        return float(cell)
    match = _COMPILED[comma].fullmatch(cell.strip(OUTER))
    if match is None:
        return math.nan
    sign, sign_2, whole, fraction, power = (part or "" for part in match.groups())
    signs = (sign + sign_2).replace("\u2212", "-")
    text = signs + re.sub(_FILLERS, "", whole) + fraction.replace(",", ".") + power
    return float(text) if _PLAIN.fullmatch(text) else math.nan
