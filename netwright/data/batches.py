"""Resident tensors to batches: order and augmentation are pure functions of (seed, epoch, training row)."""

# N = examples, B = examples of a batch

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.base import seeds
from netwright.base.schema import JSON, LENGTHS
from netwright.data.packed import Packed, gather, sizes
from netwright.data.stored import Order, Rows, Stored

Augment = Callable[[Tensor, npt.NDArray[np.uint64], Mapping[str, JSON]], Tensor]
AT_ONCE = 32
"""Examples that are augmented at once where memory is short: it takes several times what comes of it."""
WINDOW = 50
"""Batches that are sorted by length together: long and short examples meet as seldom as they can."""


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Attributes:
        inputs: Field key -> tensor as the field's layout says; KEY:length beside a ragged one.
        target: Targets as the task encodes them, or None.
        target_lengths: (B,) steps of each target, or None where each is one.
        weight_B: Weight of each example, or None for all alike.
        example_B: Training position of each example.
    """

    inputs: Mapping[str, Tensor]
    target: Tensor | None
    weight_B: Tensor | None
    example_B: Tensor
    target_lengths: Tensor | None = None

    def part(self, start: int, stop: int) -> Batch:
        """The examples from `start` to `stop`."""
        return Batch(
            inputs={key: x[start:stop] for key, x in self.inputs.items()},
            target=None if self.target is None else self.target[start:stop],
            weight_B=None if self.weight_B is None else self.weight_B[start:stop],
            example_B=self.example_B[start:stop],
            target_lengths=None if self.target_lengths is None else self.target_lengths[start:stop],
        )


@dataclass(frozen=True, kw_only=True)
class TensorFeed:
    """Data as tensors in memory, or in files by windows; an epoch is a list of index tensors.

    Attributes:
        inputs: Field key -> examples.
        target: Their targets, or None.
        weight_N: Weight of each example, or None.
        augment: Field key -> what makes its training batches harder.
        seed: The run's seed.
    """

    inputs: Mapping[str, Packed]
    target: Packed | None = None
    weight_N: Tensor | None = None
    augment: Mapping[str, Augment] = field(default_factory=dict)
    seed: int = 0
    _kept: dict[int, npt.NDArray[np.uint64]] = field(default_factory=dict, repr=False)

    @property
    def examples(self) -> int:
        """N."""
        return len(next(iter(self.inputs.values())))

    def steps_per_epoch(self, batch: int) -> int:
        """Whole batches of an epoch; what is left over comes again in another epoch's order."""
        return max(1, self.examples // batch)

    def order(self, epoch: int, batch: int) -> Sequence[Tensor]:
        """The batches of one epoch as training positions, (B,) int64 each; ragged ones by length."""
        steps, first = self.steps_per_epoch(batch), next(iter(self.inputs.values()))
        if isinstance(first, Stored):
            arrange = functools.partial(self._by_length, batch)
            return Order(first.shelf, self.seed, epoch, batch=batch, steps=steps, arrange=arrange)
        draw = seeds.generator(self.seed, "order", epoch)
        kept = self._by_length(batch, draw.permutation(self.examples)[: steps * batch], draw)
        return list(torch.split(torch.from_numpy(kept), batch))

    def _by_length(self, batch: int, rows: Rows, draw: np.random.Generator) -> Rows:
        """Shuffled positions, those of like length in a batch together where lengths differ."""
        if self._steps_N is None:
            return rows
        for start in range(0, len(rows), batch * WINDOW):
            some = rows[start : start + batch * WINDOW]
            rows[start : start + batch * WINDOW] = some[np.argsort(self._steps_N[some], kind="stable")]
        whole = len(rows) // batch * batch
        batches = rows[:whole].reshape(-1, batch) if whole else rows[None]
        mixed = batches[draw.permutation(len(batches))].reshape(-1)
        return np.concatenate([mixed, rows[whole:]]) if whole else mixed

    def longest(self, count: int) -> Tensor:
        """So many of the examples, those of the most steps."""
        steps_N = self._steps_N
        if steps_N is None:
            return torch.arange(min(count, self.examples))
        return torch.from_numpy(np.argsort(-steps_N, kind="stable")[:count])

    @functools.cached_property
    def _steps_N(self) -> npt.NDArray[np.int64] | None:
        each = {**self.inputs, **({"": self.target} if self.target else {})}
        found = sizes(each)
        return None if found is None else found.numpy()

    def take(
        self, example_B: Tensor, epoch: int | None = None, switches: Mapping[str, JSON] | None = None
    ) -> Batch:
        """Gathers the examples; with an epoch they are augmented as that epoch does."""
        inputs = gather(self.inputs, example_B)
        if epoch is not None and self.augment:
            draws_B = self._draws(epoch)[example_B.cpu().numpy()]
            for key, augment in self.augment.items():
                few = AT_ONCE if isinstance(self.inputs[key], Stored) else len(example_B)
                inputs[key] = _augmented(augment, inputs[key], draws_B, switches or {}, few)
        target = {} if self.target is None else gather({"": self.target}, example_B)
        weight_N = self.weight_N
        return Batch(
            inputs=inputs,
            target=target.get(""),
            target_lengths=target.get(LENGTHS),
            weight_B=None if weight_N is None else weight_N.index_select(0, example_B.to(weight_N.device)),
            example_B=example_B,
        )

    def _draws(self, epoch: int) -> npt.NDArray[np.uint64]:
        """One draw an example for an epoch, kept while the epoch lasts: a step is too short to make its own."""
        if epoch not in self._kept:
            self._kept.clear()
            self._kept[epoch] = seeds.draws(np.arange(self.examples), self.seed, "augment", epoch)
        return self._kept[epoch]


def _augmented(
    augment: Augment, x: Tensor, draws_B: npt.NDArray[np.uint64], switches: Mapping[str, JSON], few: int
) -> Tensor:
    """A batch made harder, so many of its examples at once."""
    if len(x) <= few:
        return augment(x, draws_B, switches)
    first = augment(x[:few], draws_B[:few], switches)
    whole = first.new_empty((len(x), *first.shape[1:]))
    whole[:few] = first
    for start in range(few, len(x), few):
        whole[start : start + few] = augment(x[start : start + few], draws_B[start : start + few], switches)
    return whole
