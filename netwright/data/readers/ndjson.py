"""JSON records: one object a line, or one list of objects."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from netwright.base.errors import DataError
from netwright.data.readers.cells import clean
from netwright.data.readers.text import content
from netwright.data.table import ReadOptions, Table

SUFFIXES = (".ndjson", ".jsonl", ".json")


def claims(source: Any) -> str | None:
    """None for .ndjson, .jsonl and .json, gzipped or not."""
    if isinstance(source, Path) and source.is_file():
        name = source.name.lower().removesuffix(".gz")
        if name.endswith(SUFFIXES):
            return None
    return "it is not a .ndjson, .jsonl or .json file."


def read(source: Path, options: ReadOptions) -> Table:
    """The table; types stay as the records have them.

    Raises:
        DataError: If a line is not a record.
    """
    import polars as pl

    raw = content(source)
    if not raw.strip():
        raise DataError(f"'{source}' is empty.", hint="give a file with a record a line.")
    if raw.lstrip()[:1] == b"[":
        records = json.loads(raw)
        frame = pl.DataFrame(records, infer_schema_length=None, strict=False)
    else:
        _check_lines(raw, source)
        frame = pl.read_ndjson(io.BytesIO(raw), infer_schema_length=None)
    return Table(cells=clean(frame, options), source=source.name, root=source.parent, options=options)


def _check_lines(raw: bytes, source: Path) -> None:
    for number, line in enumerate(raw.splitlines(), start=1):
        text = line.strip()
        if text and not (text.startswith(b"{") and text.endswith(b"}")):
            raise DataError(
                f"line {number} of '{source}' is not a JSON record: {text[:60]!r}.",
                hint="each line must be one {...} object.",
            )
