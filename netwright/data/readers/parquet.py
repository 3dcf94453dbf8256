"""Parquet files, the layout of Hugging Face data sets with pictures in it too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.base.errors import DataError
from netwright.data.readers.cells import clean
from netwright.data.rest import Rest, detached, piece_bytes, sample_of
from netwright.data.table import ReadOptions, Table

if TYPE_CHECKING:
    import polars as pl

MAX_CELLS = 2_000_000_000
TRIAL = """
import contextlib, sys
with contextlib.suppress(ImportError, ValueError):
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
import polars
step = int(sys.argv[3])
if not step:
    polars.read_parquet(sys.argv[1], glob=False)
else:
    scan = polars.scan_parquet(sys.argv[1], glob=False)
    for start in range(0, scan.select(polars.len()).collect().item(), step):
        scan.slice(start, step).collect()
"""
"""Reads a file, so many rows at once or all, and forgets it."""
TIMES = 4
"""Memory that reading a file at once needs, in sizes of its cells."""
SLICE = 12
"""Part of the allowed memory that is read at once: a page of each column is unpacked for it, however little."""
LOOKED, LARGE = 1_000, 4_000_000
"""Rows that tell how large one is, and the bytes that they have together at most, about."""


def claims(source: Any) -> str | None:
    """None for a file that begins or is named as Parquet."""
    if isinstance(source, Path) and source.is_file() and source.suffix.lower() in (".parquet", ".pq"):
        return None
    return "it is not a .parquet file."


def read(source: Path, options: ReadOptions) -> Table:
    """The table; types stay as the file has them.

    Raises:
        DataError: If it claims more cells than can be held, or is damaged.
    """
    import polars as pl

    schema = pl.read_parquet_schema(source)
    rows = pl.scan_parquet(source).select(pl.len()).collect().item()
    if rows * max(1, len(schema)) > MAX_CELLS:
        raise DataError(
            f"'{source}' says it has {rows:,} rows and {len(schema):,} columns.",
            hint="that is more than fits in memory; cut it into smaller files.",
        )
    _try_elsewhere(source, 4_000_000_000 + 64 * rows * len(schema))
    cells = clean(pl.read_parquet(source, glob=False), options)
    return Table(cells=cells, source=source.name, root=source.parent, options=options)


def takes(source: Path) -> int:
    """Bytes that `read` needs at its worst, about: the cells as read, cleaned, and as tensors.

    Raises:
        DataError: If the first rows cannot be read.
    """
    import polars as pl

    rows = pl.scan_parquet(source, glob=False).select(pl.len()).collect().item()
    return int(TIMES * rows * _row_bytes(source, rows)) if rows else 0


def sampled(source: Path, options: ReadOptions, memory: int) -> Table:
    """The table of an evenly spread sample of the rows; `rest` reads the others.

    Raises:
        DataError: If the file is damaged.
    """
    import polars as pl

    rows = pl.scan_parquet(source, glob=False).select(pl.len()).collect().item()
    row_bytes = _row_bytes(source, rows)
    step = max(1, int(memory / SLICE / row_bytes))
    _try_elsewhere(source, 4_000_000_000 + 64 * memory, step)
    chosen, few = sample_of(rows, row_bytes, memory), max(1, int(piece_bytes(memory) / row_bytes))

    def frames(*, others: bool) -> Iterator[pl.DataFrame]:
        for start in range(0, rows, step):
            frame = pl.scan_parquet(source, glob=False).slice(start, step).collect()
            frame = frame.filter(pl.Series(chosen.holds(start, frame.height) != others))
            for piece in frame.iter_slices(few) if others else [frame]:
                yield clean(piece, options)

    cells = pl.concat([detached(frame) for frame in frames(others=False)], rechunk=True)
    rest = Rest(rows=rows - cells.height, read=lambda: frames(others=True))
    return Table(cells=cells, source=source.name, root=source.parent, options=options, rest=rest)


def _row_bytes(source: Path, rows: int) -> float:
    """Memory that one row takes, of the first rows and some in the middle: few of them where they are large."""
    import polars as pl

    few = max(1, min(LOOKED, LARGE // (source.stat().st_size // max(1, rows) + 1)))
    scan = pl.scan_parquet(source, glob=False)
    some = pl.concat([scan.slice(start, few).collect() for start in {0, rows // 2}])
    return max(1.0, some.estimated_size() / max(1, some.height))


def _try_elsewhere(source: Path, memory: int, step: int = 0) -> None:
    """Reads the file in a process of its own first: a damaged one can bring down the process that reads it.

    Args:
        source: The file.
        memory: Bytes of address space that the process may use.
        step: Rows that it reads at once; 0: all.

    Raises:
        DataError: If that process fails.
    """
    command = [sys.executable, "-c", TRIAL, str(source.absolute()), str(memory), str(step)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise DataError(f"'{source}' is damaged: its columns cannot be read.", hint="write the file again.")
