"""Files whose cells are separated by `::`: who, what, how good and when, as rating collections have them."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.base.errors import DataError
from netwright.data.readers.cells import clean
from netwright.data.readers.text import content, decode
from netwright.data.table import ReadOptions, Table

if TYPE_CHECKING:
    import polars as pl

MARK = "::"
NAMES = {2: ("user", "item"), 3: ("user", "item", "rating"), 4: ("user", "item", "rating", "time")}
HEAD = 64_000
"""Bytes that are looked at to know such a file."""
SECONDS = 1e8
"""A third column of numbers beyond this says when, not how good."""


def claims(source: Any) -> str | None:
    """None for a file of text whose first lines are all cut by `::` into the same number of cells."""
    if not isinstance(source, Path) or not source.is_file():
        return "it is no file."
    try:
        lines = decode(_head(source), source)[0].splitlines()[:50]
    except (DataError, zlib.error):
        return "it is no text."
    widths = {line.count(MARK) for line in lines if line.strip()}
    return None if len(widths) == 1 and min(widths) > 0 else "its cells are not separated by '::'."


def _head(source: Path) -> bytes:
    """Whole lines of the beginning of a file; one that is packed is unpacked so far only."""
    with source.open("rb") as stream:
        raw = stream.read(HEAD)
    if raw[:2] == b"\x1f\x8b":
        raw = zlib.decompressobj(wbits=31).decompress(raw, HEAD)
    return raw[: raw.rfind(b"\n") + 1] or raw


def read(source: Path, options: ReadOptions) -> Table:
    """The table, all cells String; two to four columns of ratings have their roles by position.

    Raises:
        DataError: If a line has too many or too few cells.
    """
    import polars as pl

    lines = _lines(decode(content(source), source)[0])
    rows = [line.split(MARK) for line in lines["line"].head(51)]
    width = len(rows[0]) if rows else 0
    odd = lines.filter(pl.col("cells") != width)
    if odd.height:
        number, _, cells = odd.row(0)
        raise DataError(
            f"line {number} of '{source}' has {cells} cells where the first line has {width}.",
            hint="mend that line: a missing or stray '::'.",
        )
    header = options.header == "auto" and _is_header(rows)
    worded = _worded(rows[1:] or rows) if rows else False
    names = tuple(rows[0]) if header else _names(rows, options, worded) if rows else ()
    if lines.height <= header or len(set(names)) < width:
        raise DataError(f"'{source}' has no rows, or two columns of one name.", hint="mend its first line.")
    parts = lines["line"].slice(int(header)).str.split_exact(MARK, width - 1)
    return Table(
        cells=clean(parts.struct.rename_fields(list(names)).struct.unnest(), options),
        source=source.name,
        shape="rows" if header or worded or width not in NAMES else "ratings",
        root=source.parent,
        options=options,
    )


def _lines(text: str) -> pl.DataFrame:
    """Number, text and count of cells of each line that is not blank; nothing of it becomes a Python object."""
    import polars as pl

    whole = pl.Series("line", [text]).str.split("\n").explode().str.strip_chars_end("\r")
    numbered = pl.DataFrame(whole).with_row_index("number", offset=1)
    kept = numbered.filter(pl.col("line").str.strip_chars() != "")
    return kept.with_columns(cells=pl.col("line").str.count_matches(MARK, literal=True) + 1)


def _is_header(rows: list[list[str]]) -> bool:
    """Whether the first line has no number where the lines below it have."""
    return len(rows) > 1 and _any_number(rows[1]) and not _any_number(rows[0])


def _names(rows: list[list[str]], options: ReadOptions, worded: bool) -> tuple[str, ...]:
    width = len(rows[0])
    if options.like and len(options.like) == width:
        return options.like
    if worded or width not in NAMES:
        return tuple(f"c{place}" for place in range(1, width + 1))
    if width == 3 and _number(rows[0][2]) > SECONDS:
        return ("user", "item", "time")
    return NAMES[width]


def _worded(rows: list[list[str]]) -> bool:
    """Whether the third column holds words: titles beside identities, not ratings."""
    return len(rows[0]) > 2 and not any(_number(row[2]) == _number(row[2]) for row in rows[:50])


def _any_number(cells: list[str]) -> bool:
    return any(_number(cell) == _number(cell) for cell in cells)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
