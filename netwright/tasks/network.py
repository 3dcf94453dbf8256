"""A family and a head: the network that a task trains and uses."""

# K = members, B = examples, O = outputs

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netwright.base.schema import InputSpec, Needs
from netwright.data.packed import Packed, gather, sizes
from netwright.networks import FAMILIES
from netwright.networks.family import AbstractFamily
from netwright.networks.inputs import Inputs
from netwright.tasks.settings import make

if TYPE_CHECKING:
    from netwright.tasks.task import AbstractTask

AT_ONCE = 1024
"""Examples that go through a network at once when nothing is learned."""
NUMBERS_AT_ONCE = 1_000_000
"""Numbers of examples of one shape that go through a network at once: twenty pictures of 128 x 128, say."""
STEPS_AT_ONCE = 64_000
"""Steps of ragged examples, padding included, that go through a network at once."""
SCORES_AT_ONCE = 64_000_000
"""Scores of tokens that a decoder gives at once."""


class Network(nn.Module):
    """Features of the family, outputs of the task's head.

    Attributes:
        beside: The inputs as a linear model sees them, ahead of the features of a family that lacks them: what
            such a family learns is added to the linear answers that it begins with.
        shown: How many features, the first, are these, wherever they come from.
    """

    def __init__(
        self, family: AbstractFamily, head: nn.Module, needs: Needs = "pooled", beside: Inputs | None = None
    ) -> None:
        super().__init__()
        self.needs = needs
        self.family = family
        self.head = head
        self.beside = beside
        self.shown = family.shown if beside is None else beside.width

    def lean(self, linear: Network, share: float) -> None:
        """Answers so far from a linear network's to its own, where its head sees what that one sees.

        Args:
            linear: The other.
            share: 0: answers as the linear network does; 1: as before.
        """
        shown = self.shown
        if not shown:
            return
        weight_KDO, bias_KO = self.head.get_parameter("weight_KDO"), self.head.get_parameter("bias_KO")
        with torch.no_grad():
            weight_KDO.mul_(share)
            weight_KDO[:, :shown].add_(linear.head.get_parameter("weight_KDO"), alpha=1.0 - share)
            bias_KO.mul_(share).add_(linear.head.get_parameter("bias_KO"), alpha=1.0 - share)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(K, B, O) outputs of a batch, or (K, B, T, O) where each step is answered."""
        found = self.family.encode(inputs)
        if self.needs == "decoder":
            found, _ = self.family.decode(inputs, found, None)
        features: Any = found.pooled_KBD if self.needs == "pooled" else found.steps_KBTD
        if self.beside is not None:
            shown_KBD = self.beside(inputs).expand(len(features), -1, -1)
            features = torch.cat([shown_KBD, features], dim=2)
        out: Tensor
        if getattr(self.head, "masked", False):
            out = self.head(features, found.mask_BT)
        else:
            reads = getattr(self.head, "reads_inputs", False)
            out = self.head(features, inputs) if reads else self.head(features)
        return out


def build(name: str, config: Mapping[str, Any], spec: InputSpec, task: AbstractTask) -> Network:
    """The network with its first weights; under `torch.device("meta")` only its shapes.

    Raises:
        UnknownName: If no family is called so.
        RecipeError: If a setting is unknown or out of range.
    """
    kind = FAMILIES[name]
    family = kind(make(kind.Config, config, "network"), spec)
    beside, windows = None, all(field.even for field in spec.inputs)
    if task.least_squares and spec.needs == "pooled" and windows and not kind.linear:
        beside = Inputs(spec.inputs, "none", 1)
    width = family.width + (beside.width if beside else 0)
    return Network(family, task.head(width, family.members), spec.needs, beside)


def outputs(network: nn.Module, inputs: Mapping[str, Packed]) -> Tensor:
    """(K, N, O) outputs of all examples, a batch at a time, with nothing left out at random."""
    return _all(network, inputs, lambda output, rows_B: output)


def observed(network: nn.Module, task: AbstractTask, inputs: Mapping[str, Packed], target: Packed) -> Tensor:
    """(K, N, ...) what the task keeps of the outputs of all examples to measure them."""

    def condensed(output: Tensor, rows_B: Tensor) -> Tensor:
        return task.condense(output, target.take(rows_B.to(target.device)).to(output.device))

    steps = STEPS_AT_ONCE
    if task.needs == "decoder":  # each step is scored against the whole vocabulary
        steps = max(2_000, min(steps, SCORES_AT_ONCE // task.outputs))
    return _all(network, inputs, condensed, steps=steps).cpu()


def responses(network: nn.Module, task: AbstractTask, inputs: Mapping[str, Packed]) -> Tensor:
    """(1, N, T) int64 what the task's search finds for all examples."""
    return _all(network, inputs, lambda output, rows_B: output, task.respond).cpu()


def final(network: nn.Module, task: AbstractTask, inputs: Mapping[str, Packed], target: Packed) -> Tensor:
    """What answers and statistics are made from: what was searched for, or what is kept of the outputs."""
    return responses(network, task, inputs) if task.searches else observed(network, task, inputs, target)


def _all(
    network: nn.Module,
    inputs: Mapping[str, Packed],
    keep: Callable[[Tensor, Tensor], Tensor],
    say: Callable[[Any, Mapping[str, Tensor]], Tensor] = lambda network, inputs: network(inputs),
    steps: int = STEPS_AT_ONCE,
) -> Tensor:
    """Ragged examples go through in order of their lengths, so that little is padded."""
    was_training = network.training
    network.eval()
    batches, back = _batches(inputs, steps)
    with torch.inference_mode():
        parts = [keep(say(network, gather(inputs, rows_B)), rows_B) for rows_B in batches]
    network.train(was_training)
    whole: Tensor = parts[0] if len(parts) == 1 else torch.cat(of_one_length(parts), dim=1)
    return whole if back is None else whole.index_select(1, back.to(whole.device))


def of_one_length(parts: list[Tensor]) -> list[Tensor]:
    """The parts, the shorter ones with zeros behind their last dimension."""
    longest = max(part.shape[-1] for part in parts)
    if all(part.shape[-1] == longest for part in parts):
        return parts
    return [torch.nn.functional.pad(part, (0, longest - part.shape[-1])) for part in parts]


def _batches(inputs: Mapping[str, Packed], steps: int) -> tuple[Sequence[Tensor], Tensor | None]:
    """Rows of each batch, and where each example's output then stands, or None: where it is."""
    examples = len(next(iter(inputs.values())))
    steps_N = sizes(inputs)
    if steps_N is None:
        there = [packed for packed in inputs.values() if len(packed)]
        each = max((int(packed.lengths()[0]) for packed in there), default=1)
        numbers = sum(int(packed.lengths()[0]) * math.prod(packed.values.shape[1:]) for packed in there)
        most = min(AT_ONCE, steps // max(1, each), NUMBERS_AT_ONCE // max(1, numbers))
        return torch.split(torch.arange(examples), max(1, most)), None
    order_N = torch.argsort(steps_N, stable=True)
    batches, start = [], 0
    while start < examples:
        size = AT_ONCE
        while size > 1 and size * int(steps_N[order_N[min(start + size, examples) - 1]]) > steps:
            size //= 2
        batches.append(order_N[start : start + size])
        start += size
    return batches, torch.argsort(order_N)
