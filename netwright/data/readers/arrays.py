"""Arrays in files: NumPy's .npz, and the idx-ubyte files of MNIST, gzipped or not."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netwright.base.errors import DataError
from netwright.data.readers.python import from_array
from netwright.data.readers.text import content
from netwright.data.table import ReadOptions, Table

if TYPE_CHECKING:
    import polars as pl

INPUTS = ("x", "images", "image", "data", "inputs", "features")
TARGETS = ("y", "labels", "label", "target", "targets")
MOST_BYTES = 8_000_000_000


def claims(source: Any) -> str | None:
    """None for .npz and idx files, and folders that hold idx images."""
    if isinstance(source, Path):
        if source.is_file() and (source.suffix.lower() == ".npz" or "idx" in source.name.lower()):
            return None
        if source.is_dir() and _idx_files(source):
            return None
    return "it is not an .npz or idx-ubyte file."


def read(source: Path, options: ReadOptions) -> Table:
    """Columns `image` (or x1…) and `label`; parts as the names of the arrays or files say.

    Raises:
        DataError: If the arrays are damaged, unknown or do not fit each other.
    """
    parts = _from_npz(source) if source.suffix.lower() == ".npz" else _from_idx(source)
    if not parts:
        raise DataError(f"'{source}' has no images.", hint="give images and labels.")
    frames, given, start = [], {}, 0
    order = ("train", "all", "validation", "test")  # training rows first: test rows move nothing
    for name, (x, y) in sorted(parts.items(), key=lambda part: order.index(part[0])):
        frame = _frame(x, y, source)
        given[name] = np.arange(start, start + frame.height, dtype=np.int64)
        start += frame.height
        frames.append(frame)
    import polars as pl

    cells = pl.concat(frames)
    labelled = "label" in cells.columns
    return Table(
        cells=cells,
        source=source.name,
        given=given if len(given) > 1 else {},
        roles={"label": "target"} if labelled else {},
        kinds={"image": "image"} if "image" in cells.columns else {},
        root=source.parent,
        options=options,
    )


def _frame(x: Any, y: Any, source: Path) -> pl.DataFrame:
    frame = from_array(x)
    if y is None:
        return frame
    import polars as pl

    labels = np.asarray(y).reshape(-1) if np.asarray(y).size == len(frame) else np.asarray(y)
    if len(labels) != frame.height or labels.ndim != 1:
        raise DataError(
            f"'{source}' has {frame.height:,} inputs and {len(labels):,} labels.",
            hint="the arrays do not belong together.",
        )
    return frame.with_columns(pl.Series("label", labels))


def _from_npz(source: Path) -> dict[str, tuple[Any, Any]]:
    try:
        with zipfile.ZipFile(source) as archive:
            size = sum(each.file_size for each in archive.infolist())
        if size > MOST_BYTES:
            raise DataError(f"'{source}' unpacks to {size:,} bytes.", hint="that is too much.")
        with np.load(source, allow_pickle=False) as opened:
            arrays = {name.lower(): opened[name] for name in opened.files}
    except (zipfile.BadZipFile, ValueError, KeyError, OSError, NotImplementedError) as error:
        raise DataError(
            f"'{source}' cannot be read: {error}.", hint="save arrays of numbers with numpy.savez."
        ) from error
    parts = {}
    for part, suffix in (("train", "_train"), ("validation", "_val"), ("test", "_test")):
        x = _first(arrays, [name + suffix for name in INPUTS] + [f"{part}_{n}" for n in INPUTS])
        y = _first(arrays, [name + suffix for name in TARGETS] + [f"{part}_{n}" for n in TARGETS])
        if x is not None:
            parts[part] = (x, y)
    if not parts:
        x, y = _first(arrays, list(INPUTS)), _first(arrays, list(TARGETS))
        if x is None:
            known = ", ".join(arrays) or "none"
            raise DataError(
                f"'{source}' has no array of a known name (it has {known}).",
                hint="call them x_train, y_train, x_test, y_test, or X and y.",
            )
        parts["all"] = (x, y)
    return parts


def _first(arrays: dict[str, Any], names: list[str]) -> Any:
    return next((arrays[name] for name in names if name in arrays), None)


def _idx_files(folder: Path) -> list[Path]:
    return [each for each in sorted(folder.iterdir()) if "idx3-ubyte" in each.name.lower()]


def _from_idx(source: Path) -> dict[str, tuple[Any, Any]]:
    files = _idx_files(source) if source.is_dir() else [source]
    parts = {}
    for images in files:
        name = images.name.lower()
        part = "test" if name.startswith(("t10k", "test")) or "-test-" in name else "train"
        labels = images.with_name(images.name.replace("images", "labels").replace("idx3", "idx1"))
        y = read_idx(labels) if labels != images and labels.exists() else None
        parts[part] = (read_idx(images), y)
    return parts


def read_idx(path: Path) -> Any:
    """The array of an idx file of unsigned bytes.

    Raises:
        DataError: If the file is not one, or shorter than it says.

    Reference: the format as described at http://yann.lecun.com/exdb/mnist/.
    """
    raw = content(path)
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08" or not 1 <= raw[3] <= 4:
        raise DataError(f"'{path}' is not an idx file of bytes.", hint="fetch the file again.")
    rank = raw[3]
    start = 4 + 4 * rank
    shape = np.frombuffer(raw[4:start], dtype=">u4").astype(np.int64)
    if len(shape) != rank or int(np.prod(shape.astype(object))) != len(raw) - start:
        raise DataError(
            f"'{path}' is cut short: {len(raw):,} bytes do not hold what its head says.",
            hint="fetch the file again.",
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)
