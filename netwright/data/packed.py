"""Blocks of cells as tensors that stay in memory: of one shape, or ragged, or windows that overlap."""

# N = examples, B = examples of a batch, T = steps

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from netwright.base.schema import LENGTHS

MULTIPLE = 8
"""Ragged batches are padded to a multiple of this: fewer shapes, and kernels like them."""


@dataclass(frozen=True)
class Packed:
    """A resident block: an example is a row of `values`, or a span of them.

    Attributes:
        values: (N, ...), or (S, ...) steps where there are spans.
        spans: (N, 2) int64 start and length of each example. Spans may overlap: windows cost no copy.
        texts: What the user wrote, an example each, where the values say less than that.
    """

    values: Tensor
    spans: Tensor | None = None
    texts: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.values if self.spans is None else self.spans)

    @property
    def device(self) -> torch.device:
        """Where the values are."""
        return self.values.device

    def lengths(self) -> Tensor:
        """(N,) int64 steps of each example; 1 where there are no spans."""
        if self.spans is None:
            return torch.ones(len(self.values), dtype=torch.int64)
        return self.spans[:, 1]

    @property
    def ragged(self) -> bool:
        """Whether an example is a span of steps."""
        return self.spans is not None

    def lengths_of(self, rows_B: Tensor) -> Tensor:
        """(B,) int64 steps of these examples."""
        if self.spans is None:
            return torch.ones(len(rows_B), dtype=torch.int64, device=self.device)
        return self.spans[:, 1].index_select(0, rows_B)

    def resident(self, most: int) -> Packed:
        """The examples, in memory: at most so many, evenly spaced, where they are not all there anyway."""
        return self

    def take(self, rows_B: Tensor) -> Tensor:
        """(B, ...) examples; ragged ones (B, T, ...) with zeros after their ends."""
        if self.spans is None:
            return self.values.index_select(0, rows_B)
        spans_B2 = self.spans.index_select(0, rows_B)
        length_B = spans_B2[:, 1]
        longest, shortest = (int(length_B.max()), int(length_B.min())) if len(rows_B) else (0, 0)
        steps = longest if longest == shortest else -(-longest // MULTIPLE) * MULTIPLE
        step_T = torch.arange(max(1, steps), device=self.device)
        place_BT = (spans_B2[:, :1] + step_T).clamp(max=max(0, len(self.values) - 1))
        if not len(self.values):
            return self.values.new_zeros((len(rows_B), max(1, steps), *self.values.shape[1:]))
        x = self.values[place_BT]
        if longest == shortest and longest:
            return x
        past_BT = step_T >= length_B.unsqueeze(1)
        return x.masked_fill_(past_BT.view(*past_BT.shape, *[1] * (x.ndim - 2)), 0)

    def each(self) -> Iterator[Tensor]:
        """The examples one by one, without padding: the longest does not make all as long."""
        if self.spans is None:
            yield from self.values
        else:
            yield from (self.values[start : start + length] for start, length in self.spans.tolist())

    def to(self, device: torch.device) -> Packed:
        """The same on a device."""
        spans = None if self.spans is None else self.spans.to(device)
        return replace(self, values=self.values.to(device), spans=spans)

    def some(self, rows: Tensor) -> Packed:
        """The block of these examples."""
        texts = [self.texts[row] for row in rows.tolist()] if self.texts else ()
        if self.spans is None:
            return replace(self, values=self.values.index_select(0, rows), texts=texts)
        return replace(self, spans=self.spans.index_select(0, rows), texts=texts)


def pack(examples: list[Tensor], empty: Tensor) -> Packed:
    """Ragged examples, (T, ...) each, behind one another.

    Args:
        examples: One tensor an example.
        empty: A tensor of no steps, for where there is no example at all.
    """
    lengths = torch.tensor([len(each) for each in examples], dtype=torch.int64)
    starts = lengths.cumsum(0) - lengths
    return Packed(torch.cat([empty, *examples]), torch.stack([starts, lengths], dim=1))


def gather(inputs: Mapping[str, Packed], rows_B: Tensor | None = None) -> dict[str, Tensor]:
    """What a network takes for some examples, or all: field key -> tensor; lengths beside a ragged one."""
    ready = {}
    for key, packed in inputs.items():
        if rows_B is None and not packed.ragged:
            ready[key] = packed.values
            continue
        if rows_B is None:
            rows_B = torch.arange(len(packed))
        place_B = rows_B.to(packed.device, non_blocking=True)
        ready[key] = packed.take(place_B)
        if packed.ragged:
            ready[key + LENGTHS] = packed.lengths_of(place_B)
    return ready


def sizes(inputs: Mapping[str, Packed]) -> Tensor | None:
    """(N,) steps of each example over all ragged fields, or None where all are alike."""
    ragged = [packed.lengths() for packed in inputs.values() if packed.ragged]
    if not ragged:
        return None
    total = torch.stack([each.cpu() for each in ragged]).sum(0)
    return None if len(total) == 0 or int(total.max()) == int(total.min()) else total


@dataclass
class Part:
    """The tensors of one part of the rows."""

    inputs: Mapping[str, Packed]
    target: Packed

    def at_most(self, count: int) -> Part:
        """So many of the examples, evenly spaced."""
        if len(self.target) <= count:
            return self
        rows = spaced(len(self.target), count)
        return Part(
            inputs={key: packed.some(rows) for key, packed in self.inputs.items()},
            target=self.target.some(rows),
        )

    def inputs_on(self, device: torch.device) -> Part:
        """The same with the inputs on a device."""
        return replace(self, inputs={key: x.to(device) for key, x in self.inputs.items()})


def spaced(examples: int, count: int) -> Tensor:
    """(count,) places of so many of the examples, evenly spaced."""
    return torch.linspace(0, examples - 1, count, dtype=torch.float64).long()
