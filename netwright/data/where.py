"""Which rows a user means by WHERE: `0.2`, `last:0.2`, `rows:A-B`, `COL=VALUE`, `none`, or a path."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from netwright.base.errors import DataError, RecipeError, did_you_mean
from netwright.data.table import Rows

if TYPE_CHECKING:
    import polars as pl

    from netwright.data.table import Table

WhereKind = Literal["default", "none", "share", "last", "rows", "value", "rows_given", "path"]
_HINT = "write a share such as 0.2, last:0.2, rows:1-100, COL=VALUE, a path, or none."
_RANGE = re.compile(r"([0-9]{1,15})-([0-9]{1,15})")


@dataclass(frozen=True, kw_only=True)
class Where:
    """One WHERE, understood.

    Attributes:
        kind: "default": nothing was said; "path": text that is none of the other forms, for the caller to
            read, append to the table and pass on as "rows_given".
        share: Of "share" and "last": part of the rows, between 0 and 1.
        start: Of "rows": the first row, counted from 0.
        stop: Of "rows": one past the last row, counted from 0.
        column: Of "value".
        value: Of "value": the cell as text.
        rows: Of "rows_given": row numbers of the table.
        text: What the user wrote; for "rows_given" the file's name, if any.
    """

    kind: WhereKind = "default"
    share: float = 0.0
    start: int = 0
    stop: int = 0
    column: str = ""
    value: str = ""
    rows: Rows | None = field(default=None, compare=False)
    text: str = ""


def parse_where(text: str | float | None) -> Where:
    """Reads a WHERE. Rows of `rows:A-B` count from 1, and B is one of them, as people count.

    Raises:
        RecipeError: If a share is not between 0 and 1, or a range of rows is empty.
    """
    if text is None:
        return Where()
    said = str(text).strip()
    if said.lower() == "none":
        return Where(kind="none", text=said)
    if not said:
        raise RecipeError("the rows to set aside are named by an empty text.", hint=_HINT)
    if said.startswith("rows:"):
        return _parse_range(said)
    if said.startswith("last:") or _number(said) is not None:
        kind: WhereKind = "last" if said.startswith("last:") else "share"
        return Where(kind=kind, share=_share(said.removeprefix("last:"), said), text=said)
    column, equals, value = (part.strip() for part in said.partition("="))
    if equals and column:
        return Where(kind="value", column=column, value=value, text=said)
    return Where(kind="path", text=said)


def pick(where: Where, table: Table, among: Rows) -> Rows:
    """The rows of `among` that "last", "rows", "value" or "rows_given" names, ascending.

    Raises:
        DataError: If there are none, or a row or column is not in the table.
    """
    if where.kind == "last":
        count = min(max(1, round(where.share * len(among))), len(among) - 1)
        return among[len(among) - count :] if count > 0 else among[:0]
    if where.kind == "rows":
        named = _range(where, table)
    elif where.kind == "value":
        named = _equal(where, table)
    else:
        named = np.unique(np.asarray(where.rows, dtype=np.int64))
    taken = among[np.isin(among, named)]
    if not len(taken):
        hint = "choose rows that are there and whose target is not missing."
        raise DataError(f"no usable row of {table.source} is left by '{where.text}'.", hint=hint)
    return taken


def equals(cells: pl.Series, value: str) -> pl.Series:
    """True for the cells that read as `value`; numbers compare by value, so 1.0 equals 1."""
    import polars as pl

    same = cells.cast(pl.String, strict=False) == value
    number = _number(value)
    if number is not None and (cells.dtype == pl.String or cells.dtype.is_numeric()):
        same = same | (cells.cast(pl.Float64, strict=False) == number)
    return same.fill_null(value=False)


def _parse_range(said: str) -> Where:
    found = _RANGE.fullmatch(said.removeprefix("rows:").replace(",", "").replace(" ", ""))
    if found is None:
        raise RecipeError(f"'{said}' does not name rows.", hint="write rows:A-B, such as rows:1-100.")
    first, last = int(found[1]), int(found[2])
    if first < 1 or last < first:
        hint = "rows count from 1, and the first comes before the last: rows:1-100."
        raise RecipeError(f"'{said}' names no rows.", hint=hint)
    return Where(kind="rows", start=first - 1, stop=last, text=said)


def _range(where: Where, table: Table) -> Rows:
    if where.stop > table.height:
        hint = f"the last row is {table.height:,}."
        raise DataError(
            f"'{where.text}' goes beyond {table.source}, which has {table.height:,} rows.", hint=hint
        )
    return np.arange(where.start, where.stop, dtype=np.int64)


def _equal(where: Where, table: Table) -> Rows:
    if where.column not in table.columns:
        hint = did_you_mean(where.column, table.columns)
        raise DataError(f"{table.source} has no column called '{where.column}'.", hint=hint)
    cells = table.cells[where.column]
    same = equals(cells, where.value)
    if not same.any():
        shown = ", ".join(str(each) for each in cells.drop_nulls().unique(maintain_order=True).head(5))
        raise DataError(
            f"no cell of column '{where.column}' ({table.source}) is '{where.value}'.",
            hint=f"there is: {shown}.",
        )
    return same.arg_true().to_numpy().astype(np.int64)


def _share(text: str, said: str) -> float:
    share = _number(text)
    if share is None or not 0.0 < share < 1.0:
        hint = "write a share between 0 and 1, such as 0.2; or none."
        raise RecipeError(f"'{said}' is not a share of the rows.", hint=hint)
    return share


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
