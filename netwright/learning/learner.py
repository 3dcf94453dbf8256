"""What a network's learning consists of at any moment: its weights, their means, its place in the plan."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from netwright.base.schema import Plan
from netwright.learning.optimizers import Optimizers
from netwright.learning.sharing import Sharing
from netwright.learning.stopping import History
from netwright.learning.trainee import Feed, Settings, Trainee


@dataclass
class Learner:
    """Everything that changes while a network learns.

    Attributes:
        drawing: Whether the network may draw at random.
        averaged: Weights, and statistics such as those of batch norm.
        average: Running means of these: what is evaluated and kept.
        best: Weights and buffers of the best evaluation.
        kept: The state at the last look, for a roll-back.
        per_epoch: Steps of one pass, as the plan has it.
        looks, looking: Evaluations of this process, and the seconds that they took.
        work: Numbers that went into the network in this process.
    """

    trainee: Trainee
    feed: Feed
    settings: Settings
    seed: int
    plan: Plan
    optimizers: Optimizers
    params: list[Tensor]
    drawing: bool
    averaged: list[Tensor]
    average: list[Tensor]
    step: int = 0
    spent: float = 0.0
    started: float = 0.0
    history: History = field(default_factory=History)
    best: dict[str, Tensor] = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)
    rollbacks: int = 0
    epoch: int = -1
    per_epoch: int = 1
    order: Sequence[Tensor] = ()
    sharing: Sharing | None = None
    work: int = 0
    losses: list[Tensor | float] = field(default_factory=list)
    norm: Tensor | float = 0.0
    looks: int = 0
    looking: float = 0.0

    @property
    def module(self) -> nn.Module:
        """The network."""
        return self.trainee.module

    @property
    def seconds(self) -> float:
        """Seconds of learning so far, downtime not counted."""
        return self.spent + time.monotonic() - self.started

    @contextlib.contextmanager
    def averaged_out(self) -> Iterator[None]:
        """The network with its running means for weights, in evaluation mode."""
        own = [each.data for each in self.averaged]
        for each, mean in zip(self.averaged, self.average, strict=True):
            each.data = mean
        self.module.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for each, data in zip(self.averaged, own, strict=True):
                each.data = data
            self.module.train()

    def keep(self) -> None:
        """These weights and buffers are the best so far."""
        self.best = {k: v.detach().clone() for k, v in self.module.state_dict().items()}

    def state(self) -> dict[str, Tensor]:
        """A copy of all tensors that change, by name."""
        found = {f"model/{k}": v.detach().clone() for k, v in self.module.state_dict().items()}
        found |= {f"average/{i}": mean.clone() for i, mean in enumerate(self.average)}
        found |= {f"optimizer/{k}": v.clone() for k, v in self.optimizers.tensors().items()}
        return found

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Puts back what `state` gave."""

        def named(prefix: str) -> dict[str, Tensor]:
            start = prefix + "/"
            return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}

        self.module.load_state_dict(named("model"))
        for index, mean in named("average").items():
            self.average[int(index)].copy_(mean)
        self.optimizers.load(named("optimizer"))
