"""Parquet files, the layout of Hugging Face data sets with pictures in it too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from netwright.base.errors import DataError
from netwright.data.readers.cells import clean
from netwright.data.table import ReadOptions, Table

MAX_CELLS = 2_000_000_000
TRIAL = """
import contextlib, sys
with contextlib.suppress(ImportError, ValueError):
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
import polars
polars.read_parquet(sys.argv[1], glob=False)
"""
"""Reads a file and forgets it."""


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


def _try_elsewhere(source: Path, memory: int) -> None:
    """Reads the file in a process of its own first: a damaged one can bring down the process that reads it.

    Raises:
        DataError: If that process fails.
    """
    command = [sys.executable, "-c", TRIAL, str(source.absolute()), str(memory)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise DataError(f"'{source}' is damaged: its columns cannot be read.", hint="write the file again.")
