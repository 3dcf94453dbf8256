"""Files whose cells are separated by `::`: who, what, how good and when, as rating collections have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netwright.base.errors import DataError
from netwright.data.readers.cells import clean
from netwright.data.readers.text import content, decode
from netwright.data.table import ReadOptions, Table

MARK = "::"
NAMES = {2: ("user", "item"), 3: ("user", "item", "rating"), 4: ("user", "item", "rating", "time")}
SECONDS = 1e8
"""A third column of numbers beyond this says when, not how good."""


def claims(source: Any) -> str | None:
    """None for a file of text whose first lines are all cut by `::` into the same number of cells."""
    if not isinstance(source, Path) or not source.is_file():
        return "it is no file."
    with source.open("rb") as stream:
        head = stream.read(4_000)
    if b"::" not in head and head[:2] != b"\x1f\x8b":
        return "its cells are not separated by '::'."
    try:
        lines = decode(content(source), source)[0].splitlines()[:50]
    except DataError:
        return "it is no text."
    widths = {line.count(MARK) for line in lines if line.strip()}
    return None if len(widths) == 1 and min(widths) > 0 else "its cells are not separated by '::'."


def read(source: Path, options: ReadOptions) -> Table:
    """The table, all cells String; two to four columns of ratings have their roles by position.

    Raises:
        DataError: If a line has too many or too few cells.
    """
    import polars as pl

    lines = [line for line in decode(content(source), source)[0].splitlines() if line.strip()]
    rows = [line.split(MARK) for line in lines]
    width = len(rows[0])
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            raise DataError(
                f"line {number} of '{source}' has {len(row)} cells where the first line has {width}.",
                hint="mend that line: a missing or stray '::'.",
            )
    header = options.header == "auto" and _is_header(rows)
    worded = _worded(rows[1:] or rows)
    names = rows.pop(0) if header else _names(rows, options, worded)
    if not rows or len(set(names)) < width:
        raise DataError(f"'{source}' has no rows, or two columns of one name.", hint="mend its first line.")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    return Table(
        cells=clean(frame, options),
        source=source.name,
        shape="rows" if header or worded or width not in NAMES else "ratings",
        root=source.parent,
        options=options,
    )


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
