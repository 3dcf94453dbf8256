"""What every family of networks can do. A family knows no file, no kind, no loss and no training."""

# K = members, B = examples, T = steps, D = width

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from netwright.base.schema import Choice, InputSpec


@dataclass(frozen=True)
class Features:
    """What a family says about a batch: pooled (K, B, D), or one vector a step (K, B, T, D)."""

    pooled_KBD: Tensor | None = None
    steps_KBTD: Tensor | None = None
    mask_BT: Tensor | None = None


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


class AbstractFamily(nn.Module, ABC):
    """One family of networks: settings it derives itself, and an encoder from fields to features.

    Attributes:
        name: The word for it in `--network`.
        Config: Frozen keyword-only dataclass of its settings; the field docstrings are the help texts.
        width: D of the features it gives.
        members: K of the features it gives.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]]
    width: int
    members: int

    def __init__(self, config: Any, spec: InputSpec) -> None:
        """Builds the network for these fields. Every weight is drawn from the global generator of torch."""
        super().__init__()

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

    @abstractmethod
    def encode(self, inputs: Mapping[str, Tensor]) -> Features:
        """Features of a batch: field key -> tensor as its layout says."""
