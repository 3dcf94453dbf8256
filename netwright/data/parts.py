"""Parts that the source itself names: files of a folder, or a column that says train, validation or test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from netwright.base.errors import DataError
from netwright.base.schema import Finding
from netwright.data.table import Rows

if TYPE_CHECKING:
    from netwright.data.roles import Roles
    from netwright.data.table import Table

PARTS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training", "0", "0.0"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev", "1", "1.0"), "validation"),
    **dict.fromkeys(("test", "testing", "2", "2.0"), "test"),
}
"""Cell of a split column, in lower case -> part."""


def given_parts(table: Table, roles: Roles) -> tuple[dict[str, Rows], list[Finding]]:
    """The rows of each part the source names, ascending; a split column comes before the files.

    Raises:
        DataError: If a split column names no training rows.
    """
    columns = roles.names("split")
    if columns:
        return _from_column(table, columns[0])
    given = {name: np.unique(np.asarray(rows, dtype=np.int64)) for name, rows in table.given.items()}
    if len(given) == 1 and "train" in given:
        return {}, []
    return given, []


def _from_column(table: Table, name: str) -> tuple[dict[str, Rows], list[Finding]]:
    import polars as pl

    cells = table.cells[name].cast(pl.String, strict=False).str.strip_chars().str.to_lowercase()
    parts = cells.replace_strict(dict(PARTS), default=None, return_dtype=pl.String)
    given = {
        part: (parts == part).fill_null(value=False).arg_true().to_numpy().astype(np.int64)
        for part in ("train", "validation", "test")
    }
    if not len(given["train"]):
        raise DataError(
            f"column '{name}' ({table.source}) names no training rows.",
            hint="its cells must be train, validation or test; or leave the column out with --drop.",
        )
    lost = parts.null_count()
    if not lost:
        return {part: rows for part, rows in given.items() if len(rows)}, []
    finding = Finding(
        name="no part",
        what=f"{lost:,} cells of '{name}' are not train, validation or test",
        where=name,
        count=lost,
        done="these rows were left out of every part",
        severity="warning",
    )
    return {part: rows for part, rows in given.items() if len(rows)}, [finding]
