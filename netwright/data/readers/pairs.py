"""Pairs of texts: files in one folder whose lines belong together, such as train.en and train.nl."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from netwright.base.errors import DataError
from netwright.data.parts import PARTS
from netwright.data.readers.cells import clean
from netwright.data.readers.text import content, decode
from netwright.data.table import ReadOptions, Table

_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][a-z]{2,4})?", re.IGNORECASE)
FORMATS = frozenset(
    [
        "csv",
        "tsv",
        "tab",
        "txt",
        "dat",
        "psv",
        "pq",
        "npz",
        "md",
        "wav",
        "mp3",
        "ogg",
        "jpg",
        "png",
        "gif",
        "bmp",
        "tif",
        "svg",
        "pdf",
        "doc",
        "xml",
        "log",
        "zip",
        "bz",
        "xz",
        "tar",
        "py",
    ]
)
"""Endings of two or three letters that name no language."""
ORDER = ("train", "validation", "test")


def claims(source: Any) -> str | None:
    """None for a folder with train.L1 and train.L2, or with nothing but two files of one name."""
    if not isinstance(source, Path) or not source.is_dir():
        return "it is not a folder."
    return None if _sides(source) else "it has no train.L1 and train.L2, named by two languages."


def read(source: Path, options: ReadOptions) -> Table:
    """Two columns, named as the files end; the second, in order of the alphabet, is the target.

    Raises:
        DataError: If a file is lacking or empty, or two files differ in their number of lines.
    """
    import polars as pl

    sides = _sides(source)
    frames, given, start = [], {}, 0
    for part, files in sorted(_parts(source, sides).items(), key=lambda item: ORDER.index(item[0])):
        columns = {side: _lines(files[side]) for side in sides}
        _check(files, columns)
        count = len(columns[sides[0]])
        frames.append(pl.DataFrame(columns, schema=dict.fromkeys(sides, pl.String)))
        given[part] = np.arange(start, start + count, dtype=np.int64)
        start += count
    options = replace(options, texts=tuple(sides))
    return Table(
        cells=clean(pl.concat(frames), options),
        source=source.name or str(source),
        shape="pairs",
        given=given if len(given) > 1 else {},
        roles={sides[1]: "target"},
        kinds=dict.fromkeys(sides, "text"),
        root=source,
        options=options,
    )


def unnested(table: Table) -> Table:
    """Records {"translation": {"en": ..., "nl": ...}} as two columns; other tables as they are."""
    import polars as pl

    kind = table.cells.schema.get("translation")
    if not isinstance(kind, pl.Struct) or len(kind.fields) != 2:
        return table
    sides = [each.name for each in kind.fields]
    options = replace(table.options, texts=tuple(sides))
    cells = clean(table.cells.select(pl.col("translation").struct.unnest()).cast(pl.String), options)
    return replace(
        table,
        cells=cells,
        shape="pairs",
        roles={sides[1]: "target"},
        kinds=dict.fromkeys(sides, "text"),
        options=options,
    )


def is_language(name: str) -> bool:
    """Whether a name looks like the code of a language: "en", "nld", "pt-BR"."""
    return bool(_LANGUAGE.fullmatch(name))


def _sides(source: Path) -> list[str]:
    """The two endings, in order of the alphabet; none where the folder holds no pairs."""
    files = _named(source)
    found = sorted({side for part, side in files if part == "train"})
    if len(found) == 2:
        return found
    beside = [each for each in source.iterdir() if not each.name.startswith(".")]
    if len(beside) != 2 or not all(map(_is_side, beside)):
        return []
    (one, first), (two, second) = map(_cut, beside)
    return sorted((first, second)) if one == two else []


def _cut(path: Path) -> tuple[str, str]:
    stem, _, side = path.name.removesuffix(".gz").rpartition(".")
    return stem, side


def _is_side(path: Path) -> bool:
    """Whether a file is called NAME.LANGUAGE; the endings of other formats are none."""
    side = _cut(path)[1]
    return path.is_file() and is_language(side) and side.lower() not in FORMATS


def _named(source: Path) -> dict[tuple[str, str], Path]:
    """Part and ending of each file that is named so."""
    found = {}
    for path in sorted(source.iterdir()):
        stem, side = _cut(path)
        part = PARTS.get(stem.lower())
        if part and _is_side(path):
            found[part, side] = path
    return found


def _parts(source: Path, sides: list[str]) -> dict[str, dict[str, Path]]:
    """The files of each part by their ending."""
    named = _named(source)
    if not named:
        return {"train": {_cut(path)[1]: path for path in source.iterdir() if not path.name.startswith(".")}}
    found: dict[str, dict[str, Path]] = {}
    for (part, side), path in named.items():
        found.setdefault(part, {})[side] = path
    for part, files in found.items():
        lacking = [side for side in sides if side not in files]
        if lacking:
            raise DataError(
                f"the folder '{source}' has '{next(iter(files.values())).name}' and no {part} file that ends "
                f"in '.{lacking[0]}'.",
                hint="pairs need both files of every part.",
            )
    return found


def _lines(path: Path) -> list[str]:
    raw = content(path)
    if not raw.strip():
        raise DataError(f"'{path}' is empty.", hint="give a file with one sentence a line.")
    text = decode(raw, path)[0].replace("\r\n", "\n").removesuffix("\n")
    return text.split("\n")


def _check(files: dict[str, Path], columns: dict[str, list[str]]) -> None:
    (one, first), (two, second) = columns.items()
    if len(first) != len(second):
        raise DataError(
            f"'{files[one]}' has {len(first):,} lines and '{files[two]}' has {len(second):,}.",
            hint="line N of one file belongs to line N of the other: give files with as many lines.",
        )
