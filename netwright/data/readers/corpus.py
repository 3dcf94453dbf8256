"""Running text: one file, or several behind one another, as short pieces in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from netwright.base.errors import DataError
from netwright.data.readers.tables import is_delimited
from netwright.data.readers.text import content, decode
from netwright.data.table import ReadOptions, Table

SUFFIXES = (".txt", ".text", ".md")
PIECE = 60
"""Characters of a row: parts of a text can be cut this finely."""
FEWEST = 1_000
"""Characters below which there is nothing to learn from."""
PARTS = {
    "train": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}


def claims(source: Any) -> str | None:
    """None for a text file that is no table, and for a folder of such files only."""
    if not isinstance(source, Path):
        return "it is no path."
    files = texts_in(source)
    if not files:
        return "it is not a text file, nor a folder of text files."
    if len(files) == 1 and is_delimited(decode(content(files[0]), files[0])[0]):
        return "its lines are rows of cells."
    return None


def texts_in(source: Path) -> list[Path]:
    """The text files of a folder that has nothing else, or the file itself."""
    if source.is_file():
        return [source] if source.name.lower().removesuffix(".gz").endswith(SUFFIXES) else []
    if not source.is_dir():
        return []
    visible = [each for each in sorted(source.iterdir()) if not each.name.startswith(".")]
    whole = all(each.is_file() and each.name.lower().endswith(SUFFIXES) for each in visible)
    return visible if whole else []


def read(source: Path, options: ReadOptions) -> Table:
    """Pieces of text, in order; files called train, validation and test are those parts.

    Raises:
        DataError: If there is hardly any text.
    """
    import polars as pl

    files = texts_in(source)
    named = [PARTS.get(each.stem.lower(), "") for each in files]
    order = list(range(len(files)))
    if "train" in named:
        rank = {"train": 0, "validation": 1, "test": 2}
        order = sorted((place for place in order if named[place]), key=lambda place: rank[named[place]])
    pieces: list[str] = []
    given: dict[str, Any] = {}
    for place in order:
        whole = decode(content(files[place]), files[place])[0].replace("\r\n", "\n")
        whole = whole if whole.endswith("\n") or len(order) == 1 else whole + "\n"
        cut = [whole[start : start + PIECE] for start in range(0, len(whole), PIECE)]
        if "train" in named:
            given[named[place]] = np.arange(len(pieces), len(pieces) + len(cut), dtype=np.int64)
        pieces += cut
    total = sum(map(len, pieces))
    if total < FEWEST:
        raise DataError(
            f"'{source}' has {total:,} characters of text.",
            hint=f"a network that writes needs {FEWEST:,} or more; give a longer text.",
        )
    return Table(
        cells=pl.DataFrame({"text": pieces}, schema={"text": pl.String}),
        source=source.name,
        shape="corpus",
        given=given if len(given) > 1 else {},
        kinds={"text": "text"},
        root=source if source.is_dir() else source.parent,
        options=options,
    )
