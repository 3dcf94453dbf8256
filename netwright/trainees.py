"""A network of ours as learning sees it: loss, score, and what a look at validation rows costs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from netwright.base.schema import JSON
from netwright.data.batches import Batch
from netwright.data.packed import Packed, Part
from netwright.objectives.metrics import NAN
from netwright.tasks.network import Network, observed

if TYPE_CHECKING:
    from netwright.tasks.task import AbstractTask


@dataclass
class NetworkTrainee:
    """A network of ours as learning sees it.

    Attributes:
        select: Validation rows that decide when to stop and what to keep; inputs where the network is.
        mirrors: Whether to look if mirrored pictures are harmless.
    """

    module: Network
    task: AbstractTask
    select: Part
    mirrors: bool = False

    def loss(self, batch: Batch) -> Tensor:
        """One loss an example, (B,)."""
        assert batch.target is not None
        return self.task.loss(self.module(batch.inputs), batch.target)

    def slopes(self, batch: Batch) -> None:
        """A graph finds them."""

    def evaluate(self) -> Mapping[str, Any]:
        """Loss and headline on the select rows."""
        found = self._watched(self.select.inputs)
        watched = self.task.watched
        return {**found, "name": watched.name, "better": watched.better}

    def timed(self) -> tuple[float, Mapping[str, Any]]:
        """Seconds that an example takes to be evaluated, and what the evaluation found."""
        began = time.monotonic()
        found = self.evaluate()
        return (time.monotonic() - began) / max(1, len(self.select.target)), found

    def _watched(self, inputs: Mapping[str, Packed]) -> dict[str, float]:
        if not len(self.select.target):
            return {"loss": NAN, "score": NAN}
        return self.task.watch(
            observed(self.module, self.task, inputs, self.select.target), self.select.target.values
        )

    def probe(self) -> Mapping[str, JSON]:
        """{"flip": True} if mirrored pictures lose no accuracy."""
        if not self.mirrors or not len(self.select.target):
            return {}
        turned = {
            key: Packed(packed.values.flip(-1)) if packed.values.ndim == 4 else packed
            for key, packed in self.select.inputs.items()
        }
        headline = self.task.metrics[0]
        plain = self.evaluate()["score"]
        mirrored = self._watched(turned)["score"]
        worse = mirrored < plain if headline.better == "higher" else mirrored > plain
        return {} if worse else {"flip": True}
