"""The table every source becomes: columns of cells as they were read, and what the source says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from netwright.base.schema import Finding, Role, Shape

if TYPE_CHECKING:
    import polars as pl

    from netwright.data.rest import Rest

Rows = npt.NDArray[np.int64]
"""Row numbers of a table."""

MISSING = ("", "NA", "N/A", "n/a", "na", "NaN", "nan", "null", "NULL", "None", "?")
"""Cells that mean "not there", besides those named by `--missing`."""
SAID = ("transcription", "transcript", "sentence", "text")
"""What a column is called that holds what people say; beside clips, what is spoken in them."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What the user says about the source.

    Attributes:
        header: "auto" looks whether the first line names the columns; "none" says it does not: `c1…`.
        missing: Cells that mean "not there", besides `MISSING`.
        allow_outside: Media paths in a table may lead out of the table's folder.
        like: Columns of the table this one belongs to: names for a file without a header.
        texts: Columns of sentences, in which every word is one: only an empty cell is "not there".
    """

    header: Literal["auto", "none"] = "auto"
    missing: tuple[str, ...] = ()
    allow_outside: bool = False
    like: tuple[str, ...] | None = None
    texts: tuple[str, ...] = ()

    def absent(self, column: str) -> tuple[str, ...]:
        """Cells of a column that mean "not there"."""
        return (*(("",) if column in self.texts else MISSING), *self.missing)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns of cells as read; no parser guessed a type.

    Attributes:
        cells: One polars column each. From text files all are String with None where missing; typed files
            and Python data keep their types. Pictures are String (a path: absolute, or relative to
            `root`), Binary (an encoded file), Struct with a Binary field "bytes", or Array of UInt8
            (H, W) or (H, W, C) (pixels).
        source: What to call the source in a message, such as "houses.csv".
        shape: How the source is laid out.
        given: Parts the source itself names ("train", "validation", "test") -> row numbers.
        roles: Roles the source itself names, such as {"label": "target"} for folders.
        kinds: Kinds the source itself knows, such as {"image": "image"}.
        root: The folder that relative media paths start from.
        findings: What the reader accepted and wants said.
        options: How it was read; predict reads new files the same way.
        rest: The rows of a source larger than memory that are not among these; they are learned from too.
    """

    cells: pl.DataFrame
    source: str
    shape: Shape = "rows"
    given: Mapping[str, Rows] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    root: Path | None = None
    findings: tuple[Finding, ...] = ()
    options: ReadOptions = field(default_factory=ReadOptions)
    rest: Rest | None = None

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        return self.cells.columns

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.cells.height

    def column(self, name: str, rows: Rows | None = None) -> pl.Series:
        """One column of these rows (all rows: None); cheap however wide the table is."""
        cells = self.cells.get_column(name)
        return cells if rows is None else cells.gather(rows)

    def frame(self, columns: Sequence[str], rows: Rows | None = None) -> pl.DataFrame:
        """These columns of these rows (all rows: None), in the order asked for."""
        if not columns:  # polars would take no names for all of them
            return self.cells.select([])
        chosen = self.cells[list(columns)]
        return chosen if rows is None else chosen[rows]
