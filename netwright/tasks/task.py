"""What every task can do: claim a table, fit its target on training rows, score, and answer."""

# K = members, B = examples, D = width, O = outputs

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from netwright.base.schema import JSON, Finding, Needs, Shape

if TYPE_CHECKING:
    import polars as pl

    from netwright.objectives.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A task's word that the target is its business.

    Attributes:
        strength: 0-100; the strongest claim wins.
        why: The reason, half a sentence.
    """

    strength: int
    why: str


class AbstractTask(ABC):
    """One task, fitted to the target of one table.

    Attributes:
        name: The word for it in `--task`.
        needs: What it asks a family for.
        Settings: Frozen keyword-only dataclass of what `--set task.NAME=VALUE` may change.
        outputs: Numbers the head gives for one example.
        columns: Names of the target columns.
        findings: What fitting the target found worth saying.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs] = "pooled"
    Settings: ClassVar[type[Any]]
    outputs: int
    columns: tuple[str, ...]
    findings: Sequence[Finding] = ()

    @classmethod
    @abstractmethod
    def claims(cls, target: pl.DataFrame, shape: Shape) -> Claim | None:
        """Whether training cells of the target columns are this task's business."""

    @classmethod
    @abstractmethod
    def fit(cls, target: pl.DataFrame, settings: Mapping[str, JSON]) -> Self:
        """Fits classes, scale or labels on training rows.

        Raises:
            DataError: If there is nothing to learn: one class, a constant, nothing but missing cells.
            RecipeError: If a setting is unknown or out of range.
        """

    @property
    @abstractmethod
    def metrics(self) -> Sequence[Metric]:
        """What is measured; the first is the headline."""

    @abstractmethod
    def encode(self, target: pl.DataFrame) -> Tensor:
        """Target cells to what `loss` takes; a cell that is missing or unseen is -1 or NaN."""

    @abstractmethod
    def loss(self, output_KBO: Tensor, target: Tensor) -> Tensor:
        """One loss an example, (B,): the mean of the members' own losses, never that of their mean."""

    @abstractmethod
    def watch(self, output_KBO: Tensor, target: Tensor) -> dict[str, float]:
        """What is watched while learning: "loss" decides when to stop, "score" is the headline."""

    @abstractmethod
    def calibrate(self, output_KBO: Tensor, target: Tensor) -> Self:
        """The task with temperature or interval width fitted on rows no weight was fitted on."""

    @abstractmethod
    def answer(
        self,
        output_KBO: Tensor,
        *,
        top: int | None = None,
        threshold: float | None = None,
        probabilities: bool = True,
    ) -> pl.DataFrame:
        """One line an example, in the user's own words: `prediction`, then how sure."""

    @abstractmethod
    def statistics(self, output_KBO: Tensor, target: Tensor) -> pl.DataFrame:
        """A row an example: what a metric reduces and the bootstrap redraws."""

    @abstractmethod
    def blind(self, target: Tensor) -> Tensor:
        """The output (1, 1, O) of a network that sees no input: the best constant for these targets."""

    @abstractmethod
    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """All that was fitted, enough for `restore`."""

    @classmethod
    @abstractmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted task again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """

    def head(self, width: int, members: int) -> nn.Module:
        """From features (K, B, D) to outputs (K, B, O)."""
        return Head(members, width, self.outputs)


class Head(nn.Module):
    """A linear map of its own for each member: (K, B, D) -> (K, B, O)."""

    def __init__(self, members: int, width: int, outputs: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.weight_KDO = nn.Parameter(torch.empty(members, width, outputs).uniform_(-bound, bound))
        self.bias_KO = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, features_KBD: Tensor) -> Tensor:
        """Outputs of every member."""
        return torch.baddbmm(self.bias_KO.unsqueeze(1), features_KBD, self.weight_KDO)
