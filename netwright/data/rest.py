"""Tables that are larger than memory: a sample of the rows stands for all, the rest is read again by pieces."""

# N = rows

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from netwright.base import seeds

if TYPE_CHECKING:
    import polars as pl

SHARE = 16
"""Part of the allowed memory that the cells of the sample take: a sixteenth."""
PIECE = 64
"""Part of the allowed memory that one piece of a file is: its text, cells and tensors take many times that."""
LEAST, MOST = 1 << 18, 1 << 26
"""Bytes of a piece: too small ones cost time, and larger ones gain none."""
FEWEST = 500
"""Rows of a sample, at least."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What reading may take.

    Attributes:
        bytes: Memory that may be used.
        whole: Why all rows have to be in memory at once, a sentence's subject such as "--split time"; or "".
    """

    bytes: int
    whole: str = ""


@dataclass(frozen=True, kw_only=True)
class Rest:
    """The rows of a source that its table does not hold.

    Attributes:
        rows: How many there are.
        read: Reads them again, in order: cells of the table's columns, cleaned as the table's are.
    """

    rows: int
    read: Callable[[], Iterator[pl.DataFrame]]


@dataclass(frozen=True)
class Sample:
    """Which rows of a source are read first: one of every `stride`, at a place that chance sets in each."""

    stride: int

    def holds(self, start: int, count: int) -> npt.NDArray[np.bool_]:
        """(count,) whether each row from number `start` on belongs to the sample."""
        row = np.arange(start, start + count, dtype=np.int64)
        block, place = np.divmod(row, self.stride)
        first = int(block[0]) if count else 0
        blocks = np.arange(first, int(block[-1]) + 1 if count else 0)
        chosen = (seeds.draws(blocks, "sample") % np.uint64(self.stride)).astype(np.int64)
        return place == chosen[block - first] if count else np.zeros(0, dtype=np.bool_)


def sample_of(rows: int, row_bytes: float, memory: int) -> Sample:
    """The sample that takes its share of the memory.

    Args:
        rows: Of the source, about.
        row_bytes: Memory that one row takes.
        memory: Bytes that may be used.
    """
    wanted = max(FEWEST, int(memory / SHARE / max(1.0, row_bytes)))
    return Sample(max(2, -(-rows // wanted)))


def detached(cells: pl.DataFrame) -> pl.DataFrame:
    """A copy that keeps nothing of the piece alive that these rows were taken from: polars shares its texts."""
    import polars as pl

    stream = io.BytesIO()
    cells.write_ipc_stream(stream)
    stream.seek(0)
    return pl.read_ipc_stream(stream)


def piece_bytes(memory: int) -> int:
    """Bytes of a file that are worked on at once."""
    return min(MOST, max(LEAST, memory // PIECE))
