"""Folders: pictures in a folder a class, tables for train, validation and test, or a flat pile of pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from netwright.base.errors import DataError
from netwright.data.readers import media, ndjson, parquet, tables
from netwright.data.table import ReadOptions, Rows, Table

PARTS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
IGNORED = ("thumbs.db", "__macosx", "desktop.ini")


def claims(source: Any) -> str | None:
    """None for a folder, and for a single picture."""
    if isinstance(source, Path) and (source.is_dir() or media.is_picture_name(source.name)):
        return None
    return "it is not a folder or a picture."


def read(source: Path, options: ReadOptions) -> Table:
    """A table of pictures and labels, or the tables of the folder.

    Raises:
        DataError: If the folder holds nothing that can be read, one class only, or too many bad files.
    """
    if source.is_file():
        return _pictures([(source, None, "train")], source, options)
    table_files = [each for each in _visible(source) if each.is_file() and _is_table(each)]
    listed = next((each for each in table_files if each.stem.lower() == "metadata"), None)
    if listed:
        return _with_metadata(listed, options)
    if table_files:
        return _tables(table_files, source, options)
    found = list(_walk(source, options))
    if not found:
        kinds = sorted({each.suffix.lower() or "no suffix" for each in _files(source)})[:5]
        raise DataError(
            f"the folder '{source}' has no pictures and no tables"
            + (f" (it has files with {', '.join(kinds)})." if kinds else " (it is empty)."),
            hint="give a folder with one folder of pictures a class, or a table.",
        )
    return _pictures(found, source, options)


def _visible(folder: Path) -> list[Path]:
    return [
        each
        for each in sorted(folder.iterdir(), key=lambda path: path.name)
        if not each.name.startswith(".") and each.name.lower() not in IGNORED
    ]


def _files(folder: Path) -> Iterator[Path]:
    for each in _visible(folder):
        if each.is_dir():
            yield from _files(each)
        else:
            yield each


def _is_table(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return name.endswith((".csv", ".tsv", ".parquet", ".pq", *ndjson.SUFFIXES))


def _walk(source: Path, options: ReadOptions) -> Iterator[tuple[Path, str | None, str]]:
    """Each picture with its class and its part."""
    folders = [each for each in _visible(source) if each.is_dir()]
    parted = bool(folders) and all(each.name.lower() in PARTS for each in folders)
    tops = [(each, PARTS[each.name.lower()]) for each in folders] if parted else [(source, "train")]
    for top, part in tops:
        for entry in _visible(top):
            if entry.is_dir():
                inside = (each for each in _files(entry) if media.is_picture_name(each.name))
                yield from ((each, entry.name, part) for each in inside if _inside(each, source, options))
            elif media.is_picture_name(entry.name) and _inside(entry, source, options):
                yield entry, None, part


def _inside(path: Path, root: Path, options: ReadOptions) -> bool:
    """Whether a link stays within the folder."""
    if options.allow_outside or not path.is_symlink():
        return True
    return os.path.realpath(path).startswith(os.path.realpath(root) + os.sep)


def _pictures(found: list[tuple[Path, str | None, str]], source: Path, options: ReadOptions) -> Table:
    import polars as pl

    labels = [label for _, label, _ in found]
    columns: dict[str, list[Any]] = {"image": [str(path.absolute()) for path, _, _ in found]}
    labelled = any(label is not None for label in labels)
    if labelled:
        columns["label"] = labels
    given = _given([part for _, _, part in found])
    return Table(
        cells=pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)),
        source=source.name or str(source),
        given=given,
        roles={"label": "target"} if labelled else {},
        kinds={"image": "image", "label": "category"} if labelled else {"image": "image"},
        root=source if source.is_dir() else source.parent,
        options=options,
    )


def _given(parts: list[str]) -> dict[str, Any]:
    names = np.array(parts)
    if len(set(parts)) < 2:
        return {}
    return {part: np.flatnonzero(names == part).astype(np.int64) for part in dict.fromkeys(parts)}


def _with_metadata(path: Path, options: ReadOptions) -> Table:
    table = _one(path, options)
    if "file_name" in table.columns:
        return replace(table, source=path.parent.name)
    return table


def _one(path: Path, options: ReadOptions) -> Table:
    for reader in (parquet, ndjson, tables):
        if reader.claims(path) is None:
            table: Table = reader.read(path, options)
            return table
    raise DataError(f"'{path}' cannot be read.", hint="give CSV, Parquet or NDJSON.")


def _tables(files: list[Path], source: Path, options: ReadOptions) -> Table:
    """One table, or the train, validation and test tables of a folder as one."""
    import polars as pl

    if len(files) == 1:
        return _one(files[0], options)
    named = {PARTS.get(each.name.split(".")[0].lower(), ""): each for each in files}
    if "" in named or len(named) < len(files) or "train" not in named:
        raise DataError(
            f"the folder '{source}' has {len(files)} tables: {', '.join(f.name for f in files[:5])}.",
            hint="name one of them, or call them train, validation and test.",
        )
    train = _one(named["train"], options)
    given: dict[str, Rows] = {}
    frames, start = [], 0
    for part in ("train", "validation", "test"):
        if part not in named:
            continue
        table = train if part == "train" else _one(named[part], replace(options, like=tuple(train.columns)))
        unlike = set(train.columns) ^ set(table.columns)
        if unlike:
            raise DataError(
                f"'{named[part].name}' and '{named['train'].name}' differ in column '{sorted(unlike)[0]}'.",
                hint="all files need the same columns.",
            )
        frames.append(table.cells.select(train.columns))
        given[part] = np.arange(start, start + table.height, dtype=np.int64)
        start += table.height
    cells = pl.concat(frames, how="vertical_relaxed")
    return replace(train, cells=cells, source=source.name, given=given)
