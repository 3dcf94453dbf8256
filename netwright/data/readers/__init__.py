"""One kind of source a file. A new reader is one file here and one line in `READERS`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from netwright.base.errors import DataError
from netwright.base.registry import Registry
from netwright.data.rest import Limit
from netwright.data.table import ReadOptions, Table

READERS = Registry(
    "reader",
    {
        "python": "netwright.data.readers.python",
        "arrays": "netwright.data.readers.arrays",
        "ratings": "netwright.data.readers.ratings",
        "corpus": "netwright.data.readers.corpus",
        "pairs": "netwright.data.readers.pairs",
        "folders": "netwright.data.readers.folders",
        "parquet": "netwright.data.readers.parquet",
        "ndjson": "netwright.data.readers.ndjson",
        "tables": "netwright.data.readers.tables",
    },
)
"""Name -> module with `claims(source)`, None or one sentence why not, and `read(source, options)`."""

MAX_COLUMNS = 100_000


def read(source: Any, options: ReadOptions | None = None, limit: Limit | None = None) -> Table:
    """The table a source holds; of one that takes more memory than it may, a sample, and its `rest`.

    Args:
        source: A path to a file or folder, or Python data.
        options: What the user says about it.
        limit: What reading may take; None: whatever is needed.

    Raises:
        DataError: If no reader takes it, with one sentence a reader; or what the reader found wrong.
    """
    if isinstance(source, str | Path):
        source = _existing(Path(source))
    refusals = []
    for name in READERS:
        reader = READERS[name]
        refusal = reader.claims(source)
        if refusal is None:
            return _checked(_guarded(reader, source, options or ReadOptions(), limit))
        refusals.append(f"{name}: {refusal}")
    raise DataError(
        f"'{source}' cannot be read. " + " ".join(refusals)
        if isinstance(source, Path)
        else f"data of type {type(source).__name__} cannot be read.",
        hint="give a table (CSV, Parquet, NDJSON), a folder of pictures, arrays or a data frame.",
    )


def read_like(source: Any, options: ReadOptions) -> Table:
    """The table that belongs to one with the columns `options.like`.

    Where these are only places, c1 and so on, a first line that names none of them is data.
    """
    plain = replace(options, header="none")
    names = list(options.like or ())
    if not isinstance(source, str | Path) or not is_numbered("c", names):
        return read(source, options)
    try:
        table = read(source, options)
    except DataError:
        return read(source, plain)
    return table if set(names) & set(table.columns) else read(source, plain)


def is_numbered(letter: str, names: Sequence[str]) -> bool:
    """Whether the columns are called by their places: c1, c2, …"""
    return list(names) == [f"{letter}{place}" for place in range(1, len(names) + 1)]


def _guarded(reader: Any, source: Any, options: ReadOptions, limit: Limit | None) -> Table:
    """The table, with what libraries raise on damaged files turned into our error."""
    import polars as pl

    try:
        if limit is not None and isinstance(source, Path):
            return _within(reader, source, options, limit)
        table: Table = reader.read(source, options)
        return table
    except DataError:
        raise
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).splitlines()[0][:200]
    except (OSError, EOFError, ValueError, MemoryError, UnicodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]
    raise DataError(
        f"'{source if isinstance(source, Path) else 'the data'}' cannot be read: {reason}.",
        hint="the file is damaged or of another format than its name says.",
    )


def _within(reader: Any, source: Path, options: ReadOptions, limit: Limit) -> Table:
    """The table, or a sample of it where it would take too much; what a reader cannot sample is read whole.

    Raises:
        DataError: If all rows were needed at once.
    """
    larger = hasattr(reader, "sampled") and reader.takes(source) > limit.bytes
    if larger and limit.whole:
        raise too_large(source.name, limit.whole)
    table: Table = reader.sampled(source, options, limit.bytes) if larger else reader.read(source, options)
    return table


def too_large(source: str, whole: str) -> DataError:
    """The error for what needs all rows of a source at once that takes more memory than it may."""
    return DataError(
        f"{source} takes more memory than is allowed, and {whole} needs all its rows at once.",
        hint=f"allow more with --memory, cut the file, or go without {whole}.",
    )


def _existing(path: Path) -> Path:
    try:
        there = path.exists()
    except (OSError, ValueError):
        there = False
    if there:
        return path
    folder = path.parent if path.parent.is_dir() else Path()
    siblings = [each.name for each in sorted(folder.iterdir())[:10_000]] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, siblings, n=1)
    hint = f"did you mean '{folder / close[0]}'?" if close else "check the path."
    raise DataError(f"there is no file or folder '{path}'.", hint=hint)


def _checked(table: Table) -> Table:
    from netwright.data.readers.pairs import unnested

    table = unnested(table)
    if table.height == 0:
        raise DataError(f"{table.source} has no rows.", hint="give a file with a row of data or more.")
    if len(table.columns) > MAX_COLUMNS:
        raise DataError(
            f"{table.source} has {len(table.columns):,} columns.", hint=f"{MAX_COLUMNS:,} is the most."
        )
    return table
