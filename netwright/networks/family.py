"""What every family of networks can do. A family knows no file, no kind, no loss and no training."""

# K = members, B = examples, T = steps, D = width

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from netwright.base.schema import LENGTHS, Choice, InputSpec


@dataclass(frozen=True)
class Features:
    """What a family says about a batch: pooled (K, B, D), or one vector a step (K, B, T, D)."""

    pooled_KBD: Tensor | None = None
    steps_KBTD: Tensor | None = None
    mask_BT: Tensor | None = None


class State(Protocol):
    """What a decoder remembers: a memory a source, and what was said in each row."""

    def select(self, sources_B: Tensor | None, rows_R: Tensor) -> State:
        """The state of these sources (None: all as they are) and of these rows."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine as far as a recipe may depend on it. No clock was read for it.

    Attributes:
        device: "cpu" or "cuda".
        threads: Threads that arithmetic may use.
        memory: Bytes of memory that may be used.
    """

    device: str = "cpu"
    threads: int = 1
    memory: int = 8_000_000_000


PACE, STEPS = 2e10, 300
"""Sums a second that a thread reaches on networks that read windows of series, and steps without which they
learn nothing."""


def steps_of_windows(spec: InputSpec) -> int:
    """Steps of the windows of series that are read; 0 where there are none."""
    return next((field.shape[0] for field in spec.inputs if field.anchored), 0)


def widest(widths: Sequence[int], sums: float, minutes: float, machine: Machine) -> int:
    """The widest network of which the minutes hold enough steps; the narrowest where they hold none.

    Args:
        widths: What may be chosen.
        sums: Multiplications and additions of a step for each square of the width.
        minutes: Those of the run.
        machine: How many threads there are.
    """
    most = minutes * 60.0 * PACE * machine.threads / STEPS
    return max((width for width in widths if sums * width**2 <= most), default=min(widths))


class AbstractFamily(nn.Module, ABC):
    """One family of networks: settings it derives itself, and an encoder from fields to features.

    Attributes:
        name: The word for it in `--network`.
        linear: Whether a linear model is one of the family; such a family shows its inputs to the head itself.
        Config: Frozen keyword-only dataclass of its settings; the field docstrings are the help texts.
        width: D of the features it gives.
        members: K of the features it gives.
        reach: Steps back that matter to a causal step.
        shown: How many of its features, the first, are the inputs as a linear model sees them.
    """

    name: ClassVar[str]
    linear: ClassVar[bool] = False
    Config: ClassVar[type[Any]]
    width: int
    members: int
    reach: int
    shown: int = 0

    def __init__(self, config: Any, spec: InputSpec) -> None:
        """Builds the network for these fields. Every weight is drawn from the global generator of torch."""
        super().__init__()
        self.reach = spec.inputs[0].shape[0]

    @classmethod
    @abstractmethod
    def refuses(cls, spec: InputSpec) -> str | None:
        """The one sentence why it cannot do this job, or None."""

    @classmethod
    @abstractmethod
    def suits(cls, spec: InputSpec) -> int:
        """How well it suits this job, 0-100: the default is the strongest."""

    @classmethod
    @abstractmethod
    def derive(cls, spec: InputSpec, minutes: float, machine: Machine) -> Mapping[str, Choice]:
        """Its settings and how it wants to be trained: keys "network.NAME" and "learning.NAME"."""

    def extend(self, inputs: Mapping[str, Tensor], state: Any) -> tuple[Tensor, Any]:
        """Features (K, B, T, D) of new steps of one causal field, after those that the state stands for.

        Args:
            inputs: The new steps, as for `encode`; of one length in all examples.
            state: What the last call gave, or None at the beginning.

        Returns:
            The features, and the state after them. A family without a state of its own reads the last steps
            again.
        """
        key = next(key for key in inputs if not key.endswith(LENGTHS))
        whole = inputs[key] if state is None else torch.cat([state, inputs[key]], dim=1)
        whole = whole[:, -self.reach :]
        lengths = torch.full((len(whole),), whole.shape[1])
        found = self.encode({key: whole, key + LENGTHS: lengths}).steps_KBTD
        assert found is not None
        return found[:, :, -inputs[key].shape[1] :], whole

    @abstractmethod
    def encode(self, inputs: Mapping[str, Tensor]) -> Features:
        """Features of a batch: field key -> tensor as its layout says."""

    def decode(
        self, inputs: Mapping[str, Tensor], memory: Features, state: State | None
    ) -> tuple[Features, State]:
        """A vector for each step of what was said so far, with an eye on the source.

        Args:
            inputs: Further steps of the field `InputSpec.prefix`.
            memory: What `encode` made of the source.
            state: What the last call gave, or None at the beginning. With a state there may be several rows in
                a line, as many for each source, that all look at the same memory.

        Returns:
            Features (K, B, T, D) of these steps, and the state after them.
        """
        raise NotImplementedError
