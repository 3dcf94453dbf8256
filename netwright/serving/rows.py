"""New rows in any form a user may have them, as a table like the one that was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netwright.base.errors import DataError
from netwright.base.schema import Column
from netwright.data import readers
from netwright.data.kinds import MEDIA
from netwright.data.readers import tables
from netwright.data.readers.cells import clean
from netwright.data.readers.text import content, decode
from netwright.data.table import ReadOptions, Table

if TYPE_CHECKING:
    import polars as pl

OTHERS = (".csv", ".tsv", ".tab", ".psv", ".data", ".dat", ".parquet", ".pq", ".json", ".jsonl", ".ndjson")
"""Endings of files that are tables, however little is in them."""
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
    return _pictures(_by_position(_read(rows, columns, options), rows, columns), columns)


def _read(rows: Any, columns: Sequence[Column], options: ReadOptions) -> Table:
    """The table; of a plain text where the model reads nothing else."""
    like = replace(options, like=tuple(column.name for column in columns))
    return _lines(rows, columns, like) or readers.read_like(rows, like)


def _lines(rows: Any, columns: Sequence[Column], options: ReadOptions) -> Table | None:
    """A plain text as a row a line, empty ones too, where the model takes a text and nothing beside it."""
    import polars as pl

    inputs = [column for column in columns if column.role == "input"]
    if len(inputs) != 1 or inputs[0].kind != "text" or not any(each.role == "target" for each in columns):
        return None
    path = Path(rows) if isinstance(rows, str | Path) else None
    if path is None or not path.is_file() or path.name.lower().removesuffix(".gz").endswith(OTHERS):
        return None
    text = decode(content(path), path)[0].replace("\r\n", "\n").removesuffix("\n")
    if not text.strip() or tables.is_table_of(text, inputs[0].name, len(columns)):
        return None
    options = replace(options, texts=(inputs[0].name,))
    lines = pl.DataFrame({inputs[0].name: text.split("\n")}, schema={inputs[0].name: pl.String})
    return Table(cells=clean(lines, options), source=path.name, options=options)


def _by_position(table: Table, rows: Any, columns: Sequence[Column]) -> Table:
    """Names by position for data that have none: those of all columns, or of all but the target."""
    nameless = readers.is_numbered("x" if isinstance(rows, np.ndarray) else "c", table.columns)
    every = [column.name for column in columns]
    for names in (every, [column.name for column in columns if column.role != "target"],
                  [column.name for column in columns if column.role == "input"]):  # fmt: skip
        if nameless and len(names) == len(table.columns):
            cells = table.cells.rename(dict(zip(table.columns, names, strict=True)))
            return replace(table, cells=cells)
    return table


def _pictures(table: Table, columns: Sequence[Column]) -> Table:
    """A folder of pictures or one picture under the name that the model's only input has."""
    inputs = [column for column in columns if column.role == "input"]
    found = [name for name, kind in table.kinds.items() if kind in MEDIA]
    if len(inputs) != 1 or inputs[0].kind not in MEDIA or inputs[0].name in table.columns or len(found) != 1:
        return table
    return replace(table, cells=table.cells.rename({found[0]: inputs[0].name}))


def _short_way(rows: Any, options: ReadOptions) -> pl.DataFrame | None:
    """Cleaned cells of frames and dicts, or None where a reader has to look."""
    import polars as pl

    if isinstance(rows, pl.DataFrame):
        if rows.height == 0:
            raise DataError("the frame has no rows.", hint="give one row or more.")
        return _few(rows, options) if rows.height <= FEW else clean(rows, options)
    if isinstance(rows, Mapping) and rows and all(_is_scalar(cell) for cell in rows.values()):
        return _frame([rows], options)
    several = isinstance(rows, list) and 0 < len(rows) <= FEW
    several = several and all(isinstance(row, Mapping) for row in rows)
    if several and all(_is_scalar(cell) for row in rows for cell in row.values()):
        return _frame(rows, options)
    return None


def _few(rows: pl.DataFrame, options: ReadOptions) -> pl.DataFrame:
    import polars as pl

    ready = [
        pl.Series(
            each.name, [_clean(cell, options.absent(each.name)) for cell in each.to_list()], dtype=pl.String
        )
        if each.dtype == pl.String
        else each
        for each in rows.get_columns()
    ]
    return pl.DataFrame(ready)


def _frame(rows: Sequence[Mapping[str, Any]], options: ReadOptions) -> pl.DataFrame:
    import polars as pl

    ready = []
    for name in dict.fromkeys(name for row in rows for name in row):
        absent = options.absent(name)
        cells = [_clean(row.get(name), absent) for row in rows]
        try:
            ready.append(pl.Series(str(name), cells, strict=False))
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"column '{name}' of the rows cannot be read: {error}.", hint="give plain values."
            ) from error
    return pl.DataFrame(ready)


def _clean(cell: Any, absent: Sequence[str]) -> Any:
    if isinstance(cell, str):
        stripped = cell.strip()
        return None if stripped in absent else stripped
    return cell.item() if hasattr(cell, "item") else cell


def _is_scalar(cell: Any) -> bool:
    if cell is None or isinstance(cell, str | int | float):
        return True
    return isinstance(cell, date) or (hasattr(cell, "item") and getattr(cell, "shape", None) == ())
