"""Python data: polars and pandas frames, dicts of columns, lists of records, NumPy arrays, (X, y)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netwright.base.errors import DataError
from netwright.data.readers.cells import clean
from netwright.data.table import ReadOptions, Table

if TYPE_CHECKING:
    import polars as pl


def claims(source: Any) -> str | None:
    """None for anything that is no path."""
    if isinstance(source, str | Path):
        return "it is a path."
    return None


def read(source: Any, options: ReadOptions) -> Table:
    """The table; types stay.

    Raises:
        DataError: If the data have no columns or columns of unlike length.
    """
    roles: dict[str, Any] = {}
    if isinstance(source, tuple) and len(source) == 2:
        x, y = source
        frame = _frame(x)
        target = _series("y", y)
        if len(target) != frame.height:
            raise DataError(
                f"there are {frame.height} rows and {len(target)} targets.",
                hint="give one target a row.",
            )
        frame, roles = frame.with_columns(target), {"y": "target"}
    else:
        frame = _frame(source)
    kinds = {name: "image" for name, kind in frame.schema.items() if _is_picture(kind)}
    return Table(cells=clean(frame, options), source="the data", roles=roles, kinds=kinds, options=options)


def _frame(source: Any) -> pl.DataFrame:
    import polars as pl

    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, pl.LazyFrame | pl.Series):
        return source.lazy().collect() if isinstance(source, pl.LazyFrame) else source.to_frame()
    if isinstance(source, dict):
        return _from_columns(source)
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        return pl.DataFrame([_series(str(name), source[name]) for name in source.columns])
    if isinstance(source, list | tuple) and source and isinstance(source[0], dict):
        return pl.DataFrame(list(source), infer_schema_length=None, strict=False)
    if isinstance(source, np.ndarray | list | tuple):
        return from_array(np.asarray(source))
    raise DataError(
        f"data of type {type(source).__name__} cannot be read.",
        hint="give a data frame, a dict of columns, a list of records, or arrays.",
    )


def _from_columns(columns: dict[Any, Any]) -> pl.DataFrame:
    """A dict of columns, or of the cells of one row."""
    import polars as pl

    lone = all(np.ndim(cell) == 0 or isinstance(cell, str | bytes) for cell in columns.values())
    listed = {str(name): [cell] if lone else cell for name, cell in columns.items()}
    lengths = {len(column) for column in listed.values()}
    if len(lengths) > 1:
        raise DataError(
            f"the columns have unlike lengths: {sorted(lengths)}.", hint="give all the same length."
        )
    return pl.DataFrame([_series(name, column) for name, column in listed.items()])


def from_array(array: Any) -> pl.DataFrame:
    """Columns x1… of a matrix, or a column of pictures of a stack of uint8 images."""
    import polars as pl

    if array.dtype.names:
        return pl.DataFrame([_series(name, array[name]) for name in array.dtype.names])
    if array.ndim >= 3 and array.dtype == np.uint8:
        return pl.DataFrame([pl.Series("image", np.ascontiguousarray(array))])
    if array.ndim == 1:
        return pl.DataFrame([_series("x1", array)])
    if array.ndim != 2:
        raise DataError(
            f"an array of shape {array.shape} and type {array.dtype} cannot be read.",
            hint="give rows of numbers (N, F), or uint8 pictures (N, H, W) or (N, H, W, C).",
        )
    return pl.DataFrame([_series(f"x{i + 1}", array[:, i]) for i in range(array.shape[1])])


def _series(name: str, values: Any) -> pl.Series:
    import polars as pl

    if isinstance(values, pl.Series):
        return values.alias(name)
    if isinstance(values, np.ndarray) and values.dtype.kind in "biufM":
        return pl.Series(name, values)
    if hasattr(values, "to_numpy") and getattr(values.dtype, "kind", "O") in "biufM":
        return pl.Series(name, values.to_numpy())
    listed = [
        None if cell is None or (isinstance(cell, float) and math.isnan(cell)) else cell for cell in values
    ]
    listed = [None if str(cell) == "<NA>" else cell for cell in listed]
    return pl.Series(name, listed, strict=False)


def _is_picture(kind: Any) -> bool:
    import polars as pl

    if not isinstance(kind, pl.Array):
        return False
    shape = kind.shape
    inner = kind.inner
    while isinstance(inner, pl.Array):
        inner = inner.inner
    return inner == pl.UInt8 and len(shape) >= 2
