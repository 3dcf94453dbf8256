"""Fingerprints of rows, pictures and texts: equal things have equal ones, similar things similar ones."""

# N = rows, P = pictures, H = hashes of a signature, S = shingles

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from netwright.base import seeds
from netwright.data.readers.media import FORMATS, MOST_PIXELS, PICTURES

if TYPE_CHECKING:
    import polars as pl
    from PIL import Image

    from netwright.data.table import Rows, Table

U64 = npt.NDArray[np.uint64]
Answer = TypeVar("Answer")

SMALLEST = 64
"""Pictures with a shorter side below this many pixels have no `dhash64`: too many look alike."""
_THREADS = 4
_GLANCE = 20
_CHUNK = 4096
_HANDFUL = 32


def row_hashes(
    table: Table, columns: Sequence[str], rows: Rows | None = None, *, labels: Sequence[str] = ()
) -> U64:
    """(N,) hashes: equal where all cells of the columns are equal. Pictures compare by their bytes or pixels.

    Columns of labels compare without case, doubled spaces and a trailing full stop. The numbers mean nothing
    from one run to the next; only whether two are equal does.
    """
    import polars as pl

    frame = table.frame(columns, rows)
    height = frame.height
    if not columns or not height:
        return np.arange(height, dtype=np.uint64)
    pictures = [name for name in columns if is_picture(table, name)]
    opaque = [name for name in columns if frame[name].dtype == pl.Object]
    frame = frame.with_columns(
        *(pl.Series(name, picture_hashes(frame[name], table)) for name in pictures),
        *(pl.Series(name, [str(cell) for cell in frame[name]]) for name in opaque),
        *(canonical(frame[name]) for name in labels if name not in (*pictures, *opaque)),
    )
    return frame.hash_rows(seed=0).to_numpy().astype(np.uint64)


def canonical(cells: pl.Series) -> pl.Series:
    """Labels without what people write by accident; other types as they are."""
    import polars as pl

    if cells.dtype in (pl.Categorical, pl.Enum):
        cells = cells.cast(pl.String)
    if cells.dtype != pl.String:
        return cells
    distinct = cells.drop_nulls().unique()
    return cells.replace_strict(
        distinct, pl.Series([plain(each) for each in distinct], dtype=pl.String), default=None
    )


def plain(label: str) -> str:
    """One label in lower case with single spaces and without a trailing full stop."""
    return re.sub(r"\s+", " ", label).strip().removesuffix(".").rstrip().casefold()


def is_picture(table: Table, name: str) -> bool:
    """Whether the cells of a column are pictures: said by the source, encoded bytes, pixels, or paths."""
    import polars as pl

    cells = table.cells[name]
    if table.kinds.get(name) == "image" or isinstance(cells.dtype, pl.Array) or _is_encoded(cells):
        return True
    if cells.dtype != pl.String:
        return False
    sample = cells.drop_nulls().head(_GLANCE).to_list()
    return bool(sample) and all(cell.lower().endswith(PICTURES) for cell in sample)


def picture_hashes(cells: pl.Series, table: Table) -> U64:
    """(P,) hashes of files, encoded bytes or pixels. Files of different sizes are not read."""
    import polars as pl

    if _is_encoded(cells):
        cells = cells.struct.field("bytes")
    if cells.dtype != pl.String:
        return cells.to_frame().hash_rows(seed=0).to_numpy().astype(np.uint64)
    paths = _paths(cells, table)
    sizes = np.array(each_of(_size, paths), dtype=np.int64)
    hashes = seeds.draws(sizes, "picture size")
    values, inverse, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    again = np.flatnonzero((counts[inverse] > 1) & (values[inverse] > 0))
    hashes[again] = each_of(_digest, [paths[place] for place in again.tolist()])
    lost = np.flatnonzero(values[inverse] <= 0)
    hashes[lost] = [seeds.key("picture lost", str(cells[place])) for place in lost.tolist()]
    return hashes


def looks(cells: pl.Series, table: Table) -> tuple[U64, npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """How pictures look, from one cheap decoding each.

    Returns:
        `dhash64` (P,): 64 bits, whether brightness rises from left to right; thumbnails (P, 256) of 16 x 16
        grey uint8; and (P,) whether the picture could be read and both sides have `SMALLEST` pixels.

    Reference: the difference hash of N. Krawetz, 2013, https://www.hackerfactor.com/blog/?/archives/529.
    """
    import polars as pl
    from PIL import Image

    if _is_encoded(cells):
        cells = cells.struct.field("bytes")
    sources: Any = _paths(cells, table) if cells.dtype == pl.String else cells
    if isinstance(cells.dtype, pl.Array):
        sources = list(cells.to_numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a bomb is refused by size below; damaged tags do not matter here
        Image.init()
        seen = each_of(_look, sources)
    good = np.array([each is not None for each in seen], dtype=np.bool_)
    blank = (0, np.zeros(256, dtype=np.uint8))
    bits = np.array([(each or blank)[0] for each in seen], dtype=np.uint64)
    thumbs = np.stack([(each or blank)[1] for each in seen]) if seen else np.zeros((0, 256), np.uint8)
    return bits, thumbs, good


def text_signatures(texts: pl.Series, *, words: int = 8, hashes: int = 64) -> tuple[U64, npt.NDArray[np.bool_]]:
    """MinHash signatures (N, H) over runs of three words, and (N,) whether a text has enough words.

    The share of equal places of two signatures estimates the Jaccard likeness of their sets of shingles.

    Reference: Broder 1997, https://doi.org/10.1109/SEQUEN.1997.666900.
    """
    lists = split_words(texts)
    enough = (lists.list.len().fill_null(0) >= words).to_numpy()
    signatures = np.full((len(texts), hashes), np.iinfo(np.uint64).max, dtype=np.uint64)
    chosen = np.flatnonzero(enough)
    for start in range(0, len(chosen), _CHUNK):
        rows = chosen[start : start + _CHUNK]
        signatures[rows] = _minhash(lists.gather(rows), hashes)
    return signatures, enough


def split_words(texts: pl.Series, *, most: int = 200) -> pl.Series:
    """The first `most` words of each text as a list, lower case, without punctuation."""
    import polars as pl

    plain = texts.cast(pl.String).str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ")
    return plain.str.strip_chars().str.split(" ").list.head(most)


def each_of(work: Callable[[Any], Answer], things: Sequence[Any]) -> list[Answer]:
    """`work` of each thing, in order, in a few threads: reading and decoding release the lock."""
    chunks = [things[start : start + _HANDFUL] for start in range(0, len(things), _HANDFUL)]
    if len(chunks) < 2:
        return [work(thing) for thing in things]
    with ThreadPoolExecutor(_THREADS) as pool:
        done = pool.map(lambda chunk: [work(thing) for thing in chunk], chunks)
        return [answer for answers in done for answer in answers]


def _minhash(lists: pl.Series, hashes: int) -> U64:
    lengths = lists.list.len().to_numpy().astype(np.int64)
    flat = lists.explode().hash(seed=0).to_numpy().astype(np.uint64)
    ends = np.cumsum(lengths)
    last_two = np.zeros(len(flat), dtype=np.bool_)
    last_two[ends - 1] = last_two[ends - 2] = True
    one, two, three = (np.roll(flat, -place) * np.uint64(2 * place + 3) for place in range(3))
    shingles: U64 = (one + two + three)[~last_two].astype(np.uint64)
    shingles = np.bitwise_xor(shingles, np.right_shift(shingles, np.uint64(29)))
    offsets = ends - lengths - 2 * np.arange(len(lengths))
    factors = seeds.draws(np.arange(hashes), "minhash") | np.uint64(1)
    columns = [np.minimum.reduceat(shingles * factor, offsets) for factor in factors]
    return np.stack(columns, axis=1)


def _is_encoded(cells: pl.Series) -> bool:
    """Whether cells are structs with an encoded file in the field "bytes"."""
    import polars as pl

    return isinstance(cells.dtype, pl.Struct) and "bytes" in {each.name for each in cells.dtype.fields}


def _look(source: Any) -> tuple[int, npt.NDArray[np.uint8]] | None:
    """Of a path, an encoded file, or pixels (H, W) or (H, W, C) uint8."""
    from PIL import Image

    if source is None or (isinstance(source, Path) and _size(source) <= 0):
        return None
    try:
        with _opened(source) as image:
            width, height = image.size
            if min(width, height) < SMALLEST or width * height > MOST_PIXELS:
                return None
            image.draft("L", (SMALLEST, SMALLEST))
            grey = image.convert("L")
            small = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
            thumb = np.asarray(grey.resize((16, 16), Image.Resampling.BOX), dtype=np.uint8)
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError):
        return None  # the kind counts and names unreadable pictures
    bits = np.packbits(small[:, 1:] > small[:, :-1])
    return int.from_bytes(bits.tobytes(), "big"), thumb.reshape(-1)


def _opened(source: Any) -> Image.Image:
    from PIL import Image

    if isinstance(source, np.ndarray):
        return Image.fromarray(source.squeeze().astype(np.uint8))
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)


def _paths(cells: pl.Series, table: Table) -> list[Path | None]:
    """The files of a column of paths; None for one outside the table's folder, which is never opened here."""
    base = os.path.realpath(table.root or Path.cwd())
    found: list[Path | None] = []
    for cell in cells.to_list():
        whole = None if cell is None or "\0" in cell else os.path.realpath(Path(base, cell))
        inside = table.options.allow_outside or (whole or "").startswith(base + os.sep)
        found.append(Path(whole) if whole and inside else None)
    return found


def _size(path: Path | None) -> int:
    try:
        facts = path.stat() if path else None
    except (OSError, ValueError):
        return -1
    return facts.st_size if facts and stat.S_ISREG(facts.st_mode) else -1


def _digest(path: Path) -> int:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).digest()
    except OSError:
        return seeds.key("picture lost", str(path))
    return int.from_bytes(digest, "little")
