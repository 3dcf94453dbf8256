"""Examples that do not fit in memory: they lie in files, and a window of them is in memory at a time.

An epoch goes through windows. A window is many short blocks of neighbouring rows from all over the files, and
its rows are shuffled: the order is a pure function of seed and epoch, and hardly less mixed than one of all
rows. While one window is learned from, the next is read.
"""

# N = examples, B = examples of a batch

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.base import files, seeds
from netwright.data.packed import Packed, Part, pack

Rows = npt.NDArray[np.int64]
WINDOW = 24
"""Part of the allowed memory that a window is: two of them are in memory at once."""
BLOCK = 1 << 17
"""Bytes of a block, about."""
TARGET = ""
"""Key of the targets among the fields of a shelf."""


@dataclass
class _Column:
    """The values of one field in a file, an example behind the other.

    Attributes:
        empty: No step of them: type and shape.
        lengths: Steps of each example, where they differ.
        starts: (blocks + 1,) steps before each block, where they differ.
    """

    file: files.Scratch
    empty: Tensor
    lengths: list[npt.NDArray[np.int32]] | None
    steps: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    starts: Rows = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def step_bytes(self) -> int:
        """Bytes of one step, or of an example where all are alike."""
        return int(np.prod(self.empty.shape[1:], dtype=np.int64)) * self.empty.itemsize

    def append(self, packed: Packed) -> None:
        """Writes the examples behind the others."""
        if self.lengths is not None:
            self.lengths.append(packed.lengths().numpy().astype(np.int32))
            each = list(packed.each())
            values = torch.cat(each) if each else self.empty
        else:
            values = packed.values
        self.file.append(_bytes(values.contiguous()))

    def close(self, block: int) -> None:
        """No more comes; so many examples are a block."""
        if self.lengths is not None:
            self.steps, self.lengths = np.concatenate(self.lengths), []
            total = np.concatenate([[0], np.cumsum(self.steps, dtype=np.int64)])
            self.starts = total[
                np.minimum(np.arange(-(-len(self.steps) // block) + 1) * block, len(self.steps))
            ]

    def read(self, first: int, last: int, block: int) -> tuple[Tensor, npt.NDArray[np.int32] | None]:
        """Values of the examples from `first` up to `last`, and their lengths where they differ."""
        if self.lengths is None:
            return self._values(first, last), None
        start = self._before(first, block)
        steps = self.steps[first:last]
        return self._values(start, start + int(steps.sum(dtype=np.int64))), steps

    def _before(self, row: int, block: int) -> int:
        whole = row // block
        return int(self.starts[whole] + self.steps[whole * block : row].sum(dtype=np.int64))

    def _values(self, first: int, last: int) -> Tensor:
        values = torch.empty((last - first, *self.empty.shape[1:]), dtype=self.empty.dtype)
        if values.numel():
            self.file.read(first * self.step_bytes, _bytes(values))
        return values


def _bytes(values: Tensor) -> memoryview:
    """The memory of a contiguous tensor."""
    return values.view(-1).view(torch.uint8).numpy().data if values.numel() else memoryview(b"")


class Shelf:
    """The files of all fields, and the windows of them that are in memory.

    Attributes:
        rows: Examples, N.
        block: Examples of a block.
        window: Blocks of a window.
    """

    def __init__(self, folder: Path | None, memory: int) -> None:
        self.memory = memory
        self.rows = self.block = self.window = 0
        self._folder = folder
        self._columns: dict[str, _Column] = {}
        self._held: dict[Any, _Window] = {}
        self._coming: tuple[Any, Future[_Window]] | None = None
        self._reader: ThreadPoolExecutor | None = None

    def add(self, part: Part) -> None:
        """Writes examples behind those that are there.

        Raises:
            LearningError: If the disk is full.
        """
        for key, packed in {**part.inputs, TARGET: part.target}.items():
            if key not in self._columns:
                ragged: list[Any] | None = None if packed.spans is None else []
                self._columns[key] = _Column(files.Scratch(self._folder), packed.values[:0].clone(), ragged)
            self._columns[key].append(packed)
        self.rows += len(part.target)

    def close(self) -> Part:
        """The examples as a part to learn from; no more are added."""
        size = sum(column.file.size for column in self._columns.values()) / max(1, self.rows)
        self.block = max(1, int(BLOCK / max(1.0, size)))
        self.window = max(2, int(self.memory / WINDOW / max(1.0, size * self.block)))
        for column in self._columns.values():
            column.close(self.block)
        found = {key: Stored(column.empty, shelf=self, key=key) for key, column in self._columns.items()}
        target = found.pop(TARGET)
        return Part(inputs=found, target=target)

    def steps(self, key: str) -> npt.NDArray[np.int32] | None:
        """(N,) steps of each example of a ragged field, or None."""
        column = self._columns[key]
        return None if column.lengths is None else column.steps

    def hold(self, name: Any, blocks: Rows, *, then: tuple[Any, Rows] | None, keep: Sequence[Any]) -> None:
        """Has a window in memory, and begins to read the next.

        Args:
            name: What the window is called.
            blocks: The numbers of its blocks.
            then: The next one, if any.
            keep: Names of windows that stay.
        """
        for old in [each for each in self._held if each not in (name, *keep)]:
            del self._held[old]
        if name not in self._held:
            if self._coming and self._coming[0] == name:
                self._held[name] = self._coming[1].result()
            else:
                self._held[name] = self._load(blocks)
            self._coming = None
        if then and not (self._coming and self._coming[0] == then[0]) and then[0] not in self._held:
            self._reader = self._reader or ThreadPoolExecutor(1, "netwright-reads")
            self._coming = (then[0], self._reader.submit(self._load, then[1]))

    def take(self, key: str, rows: Rows) -> Packed:
        """The examples of a field, from the windows that are in memory, else from the file."""
        blocks = rows // self.block
        for window in self._held.values():
            place = window.place[blocks]
            if (place >= 0).all():
                return _some(window.fields[key], place + rows % self.block)
        return self._apart(key, rows)

    def _apart(self, key: str, rows: Rows) -> Packed:
        """The examples of a field, each from the window that has it, else from the file; in their order."""
        left = np.full(len(rows), -1, dtype=np.int64)
        where = np.full(len(rows), -1, dtype=np.int64)
        blocks, windows = rows // self.block, list(self._held.values())
        for number, window in enumerate(windows):
            place = window.place[blocks]
            here = (place >= 0) & (where < 0)
            left[here], where[here] = (place + rows % self.block)[here], number
        parts: list[Packed] = [_some(w.fields[key], left[where == n]) for n, w in enumerate(windows)]
        lost = np.flatnonzero(where < 0)
        order = [*(np.flatnonzero(where == n) for n in range(len(windows))), lost]
        parts.append(self._read(key, rows[lost]))
        back = np.argsort(np.concatenate(order), kind="stable")
        column = self._columns[key]
        if column.lengths is not None:
            found = [example for part in parts for example in part.each()]
            return pack([found[place] for place in back.tolist()], column.empty)
        values = torch.cat([each.values for each in parts])
        return Packed(values.index_select(0, torch.from_numpy(back)))

    def _read(self, key: str, rows: Rows) -> Packed:
        """The examples of a field from its file, neighbours at once."""
        column, order = self._columns[key], np.argsort(rows, kind="stable")
        ordered = rows[order]
        cuts = np.flatnonzero(np.diff(ordered) != 1) + 1
        runs = [run for run in np.split(ordered, cuts) if len(run)]
        packed = _join(column, [column.read(int(run[0]), int(run[-1]) + 1, self.block) for run in runs])
        back = np.argsort(order, kind="stable")
        return packed if (back == np.arange(len(back))).all() else _some(packed, back)

    def _load(self, blocks: Rows) -> _Window:
        """A window of these blocks."""
        place = np.full(-(-self.rows // self.block), -1, dtype=np.int64)
        first = blocks * self.block
        last = np.minimum(first + self.block, self.rows)
        place[blocks] = np.concatenate([[0], np.cumsum(last - first)[:-1]])
        made = {}
        for key, column in self._columns.items():
            if column.lengths is None:  # read straight to their places: no second copy
                values = column.empty.new_empty((int((last - first).sum()), *column.empty.shape[1:]))
                for block, start, stop in zip(blocks.tolist(), first.tolist(), last.tolist(), strict=True):
                    at = int(place[block])
                    column.file.read(start * column.step_bytes, _bytes(values[at : at + stop - start]))
                made[key] = Packed(values)
            else:
                pairs = zip(first.tolist(), last.tolist(), strict=True)
                made[key] = _join(column, [column.read(start, stop, self.block) for start, stop in pairs])
        return _Window(place, made)


@dataclass
class _Window:
    """Blocks in memory.

    Attributes:
        place: Block -> where its first example is in `fields`, or -1.
    """

    place: Rows
    fields: Mapping[str, Packed]


def _join(column: _Column, runs: list[tuple[Tensor, npt.NDArray[np.int32] | None]]) -> Packed:
    """Runs of examples as one block."""
    values = torch.cat([column.empty, *(run for run, _ in runs)])
    if column.lengths is None:
        return Packed(values)
    lengths = torch.from_numpy(
        np.concatenate([np.zeros(0, np.int64), *(steps for _, steps in runs if steps is not None)])
    )
    return Packed(values, torch.stack([lengths.cumsum(0) - lengths, lengths], dim=1))


def _some(packed: Packed, rows: Rows) -> Packed:
    return packed.some(torch.from_numpy(rows))


@dataclass(frozen=True)
class Stored(Packed):
    """A block of examples that lie in a file; `values` holds none of them, only their type and shape."""

    shelf: Shelf = field(kw_only=True)
    key: str = field(kw_only=True)

    def __len__(self) -> int:
        return self.shelf.rows

    @property
    def ragged(self) -> bool:
        """Whether examples differ in their steps."""
        return self.shelf.steps(self.key) is not None

    def lengths(self) -> Tensor:
        """(N,) int64 steps of each example; 1 where all are alike."""
        steps = self.shelf.steps(self.key)
        return torch.ones(len(self), dtype=torch.int64) if steps is None else torch.from_numpy(steps).long()

    def lengths_of(self, rows_B: Tensor) -> Tensor:
        """(B,) int64 steps of these examples."""
        steps = self.shelf.steps(self.key)
        if steps is None:
            return torch.ones(len(rows_B), dtype=torch.int64, device=self.device)
        return torch.from_numpy(steps[rows_B.cpu().numpy()]).long().to(self.device)

    def take(self, rows_B: Tensor) -> Tensor:
        """(B, ...) examples, where the network is; ragged ones (B, T, ...) with zeros after their ends."""
        some = self.some(rows_B)
        found = some.values if some.spans is None else some.take(torch.arange(len(some)))
        return found.to(self.device)

    def some(self, rows: Tensor) -> Packed:
        """These examples, in memory."""
        return self.shelf.take(self.key, rows.cpu().numpy())

    def resident(self, most: int) -> Packed:
        """So many of the examples, evenly spaced, in memory."""
        rows = np.linspace(0, len(self) - 1, min(len(self), most)).astype(np.int64)
        return self.some(torch.from_numpy(rows))

    def to(self, device: torch.device) -> Self:
        """The same for a network on a device."""
        return replace(self, values=self.values.to(device))


class Order(Sequence[Tensor]):
    """The batches of one epoch as training positions, (B,) int64 each; asking for one has its window read.

    Args:
        shelf: The examples.
        seed: The run's seed.
        epoch: The epoch.
        batch: Examples a batch.
        steps: Batches of an epoch.
        arrange: Puts the shuffled examples of a window, (W,), in the order in which they are batched.
    """

    def __init__(
        self, shelf: Shelf, seed: int, epoch: int, *, batch: int, steps: int, arrange: Callable[..., Rows]
    ) -> None:
        self.shelf, self.seed, self.epoch = shelf, seed, epoch
        self.batch, self.steps, self.arrange = batch, steps, arrange
        blocks = seeds.generator(seed, "blocks", epoch).permutation(-(-shelf.rows // shelf.block))
        self._windows = [blocks[start : start + shelf.window] for start in range(0, len(blocks), shelf.window)]
        sizes = [
            int((np.minimum((w + 1) * shelf.block, shelf.rows) - w * shelf.block).sum()) for w in self._windows
        ]
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self._shuffled: dict[int, Rows] = {}

    def __len__(self) -> int:
        return self.steps

    @overload
    def __getitem__(self, position: int) -> Tensor: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, position: int | slice) -> Tensor | Sequence[Tensor]:
        """A batch, its windows in memory."""
        if isinstance(position, slice):
            return [self[each] for each in range(*position.indices(self.steps))]
        if not 0 <= position < self.steps:
            raise IndexError(position)
        start = position * self.batch
        stop = min(start + self.batch, int(self._starts[-1]))
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left")) - 1
        found = []
        for number in range(first, last + 1):
            rows, before = self._rows(number), int(self._starts[number])
            found.append(rows[max(0, start - before) : stop - before])
        self._hold(first, last)
        return torch.from_numpy(np.concatenate(found))

    def _rows(self, number: int) -> Rows:
        """The examples of a window, in order."""
        if number not in self._shuffled:
            for old in [each for each in self._shuffled if each < number - 1]:
                del self._shuffled[old]
            blocks, size = self._windows[number], self.shelf.block
            rows = (blocks[:, None] * size + np.arange(size)).ravel()
            draw = seeds.generator(self.seed, "window", self.epoch, number)
            self._shuffled[number] = self.arrange(draw.permutation(rows[rows < self.shelf.rows]), draw)
        return self._shuffled[number]

    def _hold(self, first: int, last: int) -> None:
        names = [(self.seed, self.epoch, number) for number in range(first, last + 2)]
        for number in range(first, last + 1):
            ahead = number == last and first == last and last + 1 < len(self._windows)
            then = (names[-1], self._windows[last + 1]) if ahead else None
            self.shelf.hold(names[number - first], self._windows[number], then=then, keep=names[:-1])
