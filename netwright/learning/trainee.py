"""What learning needs to know of a network and its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from netwright.base.schema import JSON


class Trainee(Protocol):
    """A network with a loss and a score."""

    @property
    def module(self) -> nn.Module:
        """The network."""

    def loss(self, batch: Any) -> Tensor:
        """One loss an example, (B,)."""

    def slopes(self, batch: Any) -> Tensor | float | None:
        """The mean loss of a batch, its slopes left in the parameters' `grad`; None leaves it to a graph."""

    def evaluate(self) -> Mapping[str, Any]:
        """On validation rows: "loss" (lower is better, decides) and "score" (the headline)."""

    def probe(self) -> Mapping[str, JSON]:
        """Switches of augmentation that the network as it is now says are harmless."""


class Feed(Protocol):
    """Where batches come from."""

    def steps_per_epoch(self, batch: int) -> int:
        """Steps of one epoch."""

    def order(self, epoch: int, batch: int) -> Sequence[Tensor]:
        """The batches of an epoch as positions; a pure function of its arguments and the seed."""

    def take(
        self, example_B: Tensor, epoch: int | None = None, switches: Mapping[str, JSON] | None = None
    ) -> Any:
        """One batch; a pure function of its arguments and the seed."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to learn: what `--set learning.NAME=VALUE` may change."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """AdamW (fused), or Muon for matrices and filters with AdamW for the rest."""
    lr: float = 1e-3
    """Peak learning rate of AdamW, > 0."""
    embedding_lr: float = 0.0
    """Peak learning rate of embeddings of tokens; 0: that of AdamW."""
    muon_lr: float = 0.02
    """Peak learning rate of Muon, > 0."""
    beta1: float = 0.9
    """Decay of the mean of gradients, 0-1."""
    beta2: float = 0.95
    """Decay of the mean of squared gradients, 0-1."""
    weight_decay: float = 0.01
    """Decoupled weight decay of matrices and filters, >= 0."""
    rare_decay: float = 0.0
    """Decoupled weight decay of vectors for tokens in a row, >= 0: what is seen once fades until it is seen
    again."""
    batch: int = 256
    """Examples a step, >= 1."""
    epochs: float = 0.0
    """Passes over the training rows; set by hand it is the plan, else `minutes` may shorten it."""
    warmup: float = 0.05
    """Share of the plan over which the rate rises."""
    decay: float = 0.6
    """Share of the plan, at its end, over which the rate falls to zero."""
    ema: float = 0.95
    """Decay a step of the running mean of weights that is kept; 0 keeps the weights themselves."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 does not clip."""
    patience: int = 16
    """Evaluations without a better validation loss until learning is brought to its end."""
    evaluations: int = 30
    """How often to evaluate over the whole plan."""
    threads: int = 0
    """Threads for arithmetic; 0: all cores."""
    shares: int = 1
    """Parts of a batch that learn side by side on the CPU, each on one thread, >= 1; 1 where a network draws
    at random."""
