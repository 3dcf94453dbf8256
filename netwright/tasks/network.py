"""A family and a head: the network that a task trains and uses."""

# K = members, B = examples, O = outputs

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netwright.base.schema import InputSpec
from netwright.networks import FAMILIES
from netwright.networks.family import AbstractFamily
from netwright.tasks.settings import make

if TYPE_CHECKING:
    from netwright.tasks.task import AbstractTask

AT_ONCE = 1024
"""Examples that go through a network at once when nothing is learned."""


class Network(nn.Module):
    """Features of the family, outputs of the task's head."""

    def __init__(self, family: AbstractFamily, head: nn.Module) -> None:
        super().__init__()
        self.family = family
        self.head = head

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(K, B, O) outputs of a batch."""
        out: Tensor = self.head(self.family.encode(inputs).pooled_KBD)
        return out


def build(name: str, config: Mapping[str, Any], spec: InputSpec, task: AbstractTask) -> Network:
    """The network with its first weights; under `torch.device("meta")` only its shapes.

    Raises:
        UnknownName: If no family is called so.
        RecipeError: If a setting is unknown or out of range.
    """
    kind = FAMILIES[name]
    family = kind(make(kind.Config, config, "network"), spec)
    return Network(family, task.head(family.width, family.members))


def outputs(network: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """(K, N, O) outputs of all examples, a batch at a time, with nothing left out at random."""
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        parts = [
            network({key: x[start : start + AT_ONCE] for key, x in inputs.items()})
            for start in range(0, max(1, len(next(iter(inputs.values())))), AT_ONCE)
        ]
    network.train(was_training)
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
