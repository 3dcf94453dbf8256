"""Folders: pictures, clips or texts in a folder a class; tables for train, validation and test; a flat pile."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from netwright.base.errors import DataError
from netwright.base.schema import Finding
from netwright.data.readers import media, ndjson, parquet, tables, text
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
    """None for a folder, and for a single picture or clip."""
    if isinstance(source, Path) and (source.is_dir() or media.kind_of(source.name)):
        return None
    return "it is not a folder, a picture or a clip."


def read(source: Path, options: ReadOptions) -> Table:
    """A table of media and labels, or the tables of the folder.

    Raises:
        DataError: If the folder holds nothing that can be read, one class only, or too many bad files.
    """
    if source.is_file():
        return _listed([(source, None, "train")], source, options)
    table_files = [each for each in _visible(source) if each.is_file() and _is_table(each)]
    listed = next((each for each in table_files if each.stem.lower() == "metadata"), None)
    if listed:
        return _with_metadata(listed, options)
    if table_files:
        return _tables(table_files, source, options)
    listed_parts = _metadata_of_parts(source)
    if listed_parts:
        return _joined({part: _within(path, options) for part, path in listed_parts.items()}, source)
    found = list(_walk(source, options))
    if not found:
        kinds = sorted({each.suffix.lower() or "no suffix" for each in _files(source)})[:5]
        raise DataError(
            f"the folder '{source}' has no pictures, clips, texts or tables"
            + (f" (it has files with {', '.join(kinds)})." if kinds else " (it is empty)."),
            hint="give a folder with one folder of pictures, clips or texts a class, or a table.",
        )
    return _listed(found, source, options)


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
    """Each picture, clip or text in a folder of its class, with class and part."""
    folders = [each for each in _visible(source) if each.is_dir()]
    parted = bool(folders) and all(each.name.lower() in PARTS for each in folders)
    tops = [(each, PARTS[each.name.lower()]) for each in folders] if parted else [(source, "train")]
    for top, part in tops:
        for entry in _visible(top):
            if entry.is_dir():
                inside = (each for each in _files(entry) if _kind(each))
                yield from ((each, entry.name, part) for each in inside if _inside(each, source, options))
            elif media.kind_of(entry.name) and _inside(entry, source, options):
                yield entry, None, part


def _inside(path: Path, root: Path, options: ReadOptions) -> bool:
    """Whether a link stays within the folder."""
    if options.allow_outside or not path.is_symlink():
        return True
    return os.path.realpath(path).startswith(os.path.realpath(root) + os.sep)


def _kind(path: Path) -> str | None:
    """The kind of a file in the folder of a class."""
    return "text" if path.name.lower().endswith(".txt") else media.kind_of(path.name)


def _listed(found: list[tuple[Path, str | None, str]], source: Path, options: ReadOptions) -> Table:
    """A table of the files, their labels and parts; of the kind that most files are."""
    import polars as pl

    counts = Counter(_kind(path) for path, _, _ in found)
    kind = str(counts.most_common(1)[0][0])
    found = [each for each in found if _kind(each[0]) == kind]
    labels = [label for _, label, _ in found]
    cells: list[Any] = [_content(path) if kind == "text" else str(path.absolute()) for path, _, _ in found]
    columns: dict[str, list[Any]] = {kind: cells}
    labelled = any(label is not None for label in labels)
    if labelled:
        columns["label"] = labels
    given = _given([part for _, _, part in found])
    return Table(
        cells=pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)),
        source=source.name or str(source),
        given=given,
        roles={"label": "target"} if labelled else {},
        kinds={kind: kind, "label": "category"} if labelled else {kind: kind},
        root=source if source.is_dir() else source.parent,
        options=options,
        findings=_others(counts, kind, source),
    )


def _content(path: Path) -> str:
    return text.decode(text.content(path), path)[0]


def _others(counts: Counter[str | None], kind: str, source: Path) -> tuple[Finding, ...]:
    """What is said about files of another kind than most."""
    rest = sum(counts.values()) - counts[kind]
    if not rest:
        return ()
    what = f"{rest:,} files are of another kind than the {counts[kind]:,} of {kind}"
    return (Finding(name="other files", what=what, where=str(source), count=rest, done="left out"),)


def _given(parts: list[str]) -> dict[str, Any]:
    names = np.array(parts)
    if len(set(parts)) < 2:
        return {}
    return {part: np.flatnonzero(names == part).astype(np.int64) for part in dict.fromkeys(parts)}


def _with_metadata(path: Path, options: ReadOptions) -> Table:
    table = _one(path, options)
    if "file_name" not in table.columns:
        return table
    tops = [str(name or "").split("/")[0].lower() for name in table.column("file_name").to_list()]
    split = any(name.lower() == "split" for name in table.columns)
    parted = not split and all(top in PARTS for top in tops)
    given = _given([PARTS[top] for top in tops]) if parted else {}
    return replace(table, source=path.parent.name, given=given)


def _metadata_of_parts(source: Path) -> dict[str, Path]:
    """Part -> its metadata, where all folders are parts and each has its own."""
    found = {}
    for folder in (each for each in _visible(source) if each.is_dir()):
        part = PARTS.get(folder.name.lower())
        inside = [each for each in _visible(folder) if each.stem.lower() == "metadata" and _is_table(each)]
        if part is None or not inside:
            return {}
        found[part] = inside[0]
    return found if "train" in found else {}


def _within(path: Path, options: ReadOptions) -> Table:
    """The table of a part, its files named from the folder above."""
    import polars as pl

    table = _one(path, options)
    if "file_name" not in table.columns:
        return replace(table, source=f"{path.parent.name}/{path.name}")
    named = pl.concat_str(pl.lit(path.parent.name + "/"), pl.col("file_name")).alias("file_name")
    return replace(
        table,
        cells=table.cells.with_columns(named),
        source=f"{path.parent.name}/{path.name}",
        root=path.parent.parent,
    )


def _one(path: Path, options: ReadOptions) -> Table:
    for reader in (parquet, ndjson, tables):
        if reader.claims(path) is None:
            table: Table = reader.read(path, options)
            return table
    raise DataError(f"'{path}' cannot be read.", hint="give CSV, Parquet or NDJSON.")


def _tables(files: list[Path], source: Path, options: ReadOptions) -> Table:
    """One table, or the train, validation and test tables of a folder as one."""
    if len(files) == 1:
        return _one(files[0], options)
    named = {PARTS.get(each.name.split(".")[0].lower(), ""): each for each in files}
    if "" in named or len(named) < len(files) or "train" not in named:
        raise DataError(
            f"the folder '{source}' has {len(files)} tables: {', '.join(f.name for f in files[:5])}.",
            hint="name one of them, or call them train, validation and test.",
        )
    train = _one(named["train"], options)
    like = replace(options, like=tuple(train.columns))
    rest = {part: _one(path, like) for part, path in named.items() if part != "train"}
    return _joined({"train": train, **rest}, source)


def _joined(named: Mapping[str, Table], source: Path) -> Table:
    """The tables of the parts as one."""
    import polars as pl

    train = named["train"]
    given: dict[str, Rows] = {}
    frames, start = [], 0
    for part in ("train", "validation", "test"):
        if part not in named:
            continue
        table = named[part]
        unlike = set(train.columns) ^ set(table.columns)
        if unlike:
            raise DataError(
                f"'{table.source}' and '{train.source}' differ in column '{sorted(unlike)[0]}'.",
                hint="all files need the same columns.",
            )
        frames.append(table.cells.select(train.columns))
        given[part] = np.arange(start, start + table.height, dtype=np.int64)
        start += table.height
    cells = pl.concat(frames, how="vertical_relaxed")
    return replace(train, cells=cells, source=source.name, given=given)
