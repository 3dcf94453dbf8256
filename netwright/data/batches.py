"""Resident tensors to batches: order and augmentation are pure functions of (seed, epoch, training row)."""

# N = examples, B = examples of a batch

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.base import seeds
from netwright.base.schema import JSON

Augment = Callable[[Tensor, npt.NDArray[np.uint64], Mapping[str, JSON]], Tensor]


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Attributes:
        inputs: Field key -> tensor as the field's layout says.
        target: Targets as the task encodes them, or None.
        weight_B: Weight of each example, or None for all alike.
        example_B: Training position of each example.
    """

    inputs: Mapping[str, Tensor]
    target: Tensor | None
    weight_B: Tensor | None
    example_B: Tensor

    def part(self, start: int, stop: int) -> Batch:
        """The examples from `start` to `stop`."""
        return Batch(
            inputs={key: x[start:stop] for key, x in self.inputs.items()},
            target=None if self.target is None else self.target[start:stop],
            weight_B=None if self.weight_B is None else self.weight_B[start:stop],
            example_B=self.example_B[start:stop],
        )


@dataclass(frozen=True, kw_only=True)
class TensorFeed:
    """Data that live in memory as tensors; an epoch is a list of index tensors.

    Attributes:
        inputs: Field key -> (N, ...) tensor.
        target: (N, ...) targets, or None.
        weight_N: Weight of each example, or None.
        augment: Field key -> what makes its training batches harder.
        seed: The run's seed.
    """

    inputs: Mapping[str, Tensor]
    target: Tensor | None = None
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
        """The batches of one epoch as training positions, (B,) int64 each."""
        shuffled = seeds.generator(self.seed, "order", epoch).permutation(self.examples)
        kept = shuffled[: self.steps_per_epoch(batch) * batch]
        return list(torch.split(torch.from_numpy(kept), batch))

    def take(
        self, example_B: Tensor, epoch: int | None = None, switches: Mapping[str, JSON] | None = None
    ) -> Batch:
        """Gathers the examples; with an epoch they are augmented as that epoch does."""
        place_B = example_B.to(next(iter(self.inputs.values())).device, non_blocking=True)
        inputs = {key: x.index_select(0, place_B) for key, x in self.inputs.items()}
        if epoch is not None and self.augment:
            draws_B = self._draws(epoch)[example_B.cpu().numpy()]
            for key, augment in self.augment.items():
                inputs[key] = augment(inputs[key], draws_B, switches or {})
        return Batch(
            inputs=inputs,
            target=None if self.target is None else self.target.index_select(0, place_B),
            weight_B=None if self.weight_N is None else self.weight_N.index_select(0, place_B),
            example_B=example_B,
        )

    def _draws(self, epoch: int) -> npt.NDArray[np.uint64]:
        """One draw an example for an epoch, kept while the epoch lasts: a step is too short to make its own."""
        if epoch not in self._kept:
            self._kept.clear()
            self._kept[epoch] = seeds.draws(np.arange(self.examples), self.seed, "augment", epoch)
        return self._kept[epoch]
