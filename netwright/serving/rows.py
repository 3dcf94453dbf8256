"""New rows in any form a user may have them, as a table like the one that was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netwright.base.errors import DataError
from netwright.base.schema import Column
from netwright.data import readers
from netwright.data.kinds import MEDIA
from netwright.data.readers.cells import clean
from netwright.data.table import MISSING, ReadOptions, Table

if TYPE_CHECKING:
    import polars as pl

FEW = 32
"""Up to so many rows of a frame are cleaned in Python: faster than starting a query."""


def as_table(rows: Any, columns: Sequence[Column], options: ReadOptions) -> Table:
    """The rows as a table; one row or a few take a short way that gives the same cells.

    Args:
        rows: A path, a polars or pandas frame, a dict (one row of scalars, or columns), a list of dicts,
            or arrays.
        columns: The columns of the training table, in order: names for data without them.
        options: How the training data were read.

    Raises:
        DataError: If they cannot be read.
    """
    if not any(column.kind in MEDIA for column in columns if column.role == "input"):
        cells = _short_way(rows, options)
        if cells is not None:
            return Table(cells=cells, source="the rows", options=options)
    return readers.read(_one_row_as_columns(rows), replace(options, like=_names(rows, columns)))


def _names(rows: Any, columns: Sequence[Column]) -> tuple[str, ...]:
    """Names for data without names: all columns, or the inputs where an array is just so wide."""
    every = tuple(column.name for column in columns)
    inputs = tuple(column.name for column in columns if column.role == "input")
    shape = getattr(rows, "shape", None)
    wide = shape[1] if isinstance(shape, tuple) and len(shape) == 2 else len(every)
    return inputs if wide == len(inputs) else every


def _short_way(rows: Any, options: ReadOptions) -> pl.DataFrame | None:
    """Cleaned cells of frames and dicts, or None where a reader has to look."""
    import polars as pl

    if isinstance(rows, pl.DataFrame):
        if rows.height == 0:
            raise DataError("the frame has no rows.", hint="give one row or more.")
        return clean(rows, options)
    if isinstance(rows, Mapping) and rows and all(_is_scalar(cell) for cell in rows.values()):
        return _frame([rows], options)
    several = isinstance(rows, list) and 0 < len(rows) <= FEW
    if several and all(isinstance(row, Mapping) for row in rows):
        if all(_is_scalar(cell) for row in rows for cell in row.values()):
            return _frame(rows, options)
    return None


def _frame(rows: Sequence[Mapping[str, Any]], options: ReadOptions) -> pl.DataFrame:
    import polars as pl

    tokens = {*MISSING, *options.missing}
    names = list(dict.fromkeys(name for row in rows for name in row))
    found = {}
    for name in names:
        cells = [_clean(row.get(name), tokens) for row in rows]
        try:
            found[str(name)] = pl.Series(cells, strict=False)
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"column '{name}' of the rows cannot be read: {error}.", hint="give plain values."
            ) from error
    return pl.DataFrame(found)


def _clean(cell: Any, tokens: set[str]) -> Any:
    if hasattr(cell, "item") and not isinstance(cell, str | bytes):
        cell = cell.item()
    if not isinstance(cell, str):
        return cell
    stripped = cell.strip()
    return None if stripped in tokens else stripped


def _is_scalar(cell: Any) -> bool:
    if cell is None or isinstance(cell, str | int | float):
        return True
    from datetime import date

    return isinstance(cell, date) or (hasattr(cell, "item") and getattr(cell, "shape", None) == ())


def _one_row_as_columns(rows: Any) -> Any:
    """A dict that is one row becomes columns of one cell; everything else is for the readers."""
    one = isinstance(rows, Mapping) and rows and not any(isinstance(c, list) for c in rows.values())
    if one and all(_is_scalar(cell) or isinstance(cell, bytes) for cell in rows.values()):
        return {name: [cell] for name, cell in rows.items()}
    return rows
