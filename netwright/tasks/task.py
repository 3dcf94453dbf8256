"""What every task can do: claim a table, fit its target on training rows, score, and answer."""

# K = members, B = examples, D = width, O = outputs

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from netwright.base.schema import JSON, Choice, Field, Finding, Needs, Shape
from netwright.data.packed import Packed

if TYPE_CHECKING:
    import polars as pl

    from netwright.data.columns import Inputs
    from netwright.data.table import Rows, Table
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


@dataclass(frozen=True)
class Rival:
    """What simpler means make of the same examples.

    Attributes:
        name: The word for it in JSON.
        words: What it does, for a sentence.
        statistics: Its statistics.
    """

    name: str
    words: str
    statistics: pl.DataFrame


class AbstractTask(ABC):
    """One task, fitted to the target of one table.

    Attributes:
        name: The word for it in `--task`.
        needs: What it asks a family for.
        causal: Whether a step may see only itself and earlier ones.
        rowwise: Whether an example is a row of the table.
        least_squares: Whether a network without a hidden layer is solved in closed form.
        calibrates: Whether it has something to fit on calibration rows.
        linear: Whether a network without a hidden layer is trained beside, as one more of its rivals.
        searches: Whether an answer is searched for step by step: `respond` then gives codes, padded with 0.
        takes: Settings of `predict` that mean something to its answers: "top", "threshold", "probabilities".
        seconds_an_answer: What one takes to measure where that is long: searched for, or ranked; else 0.
        blind_words: Name of the best answer without any input, and what it does.
        Settings: Frozen keyword-only dataclass of what `--set task.NAME=VALUE` may change.
        outputs: Numbers the head gives for one example.
        columns: Names of the target columns.
        prefix: The field of what a decoder has said so far, as in `Batch.inputs`; None where there is none.
        only: Kinds of columns it can use; empty: all.
        decided: Settings that were chosen from the data, by name.
        findings: What fitting the target found worth saying.
        settling: Seconds that `settle` takes, about.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs] = "pooled"
    causal: ClassVar[bool] = False
    rowwise: ClassVar[bool] = True
    least_squares: ClassVar[bool] = False
    calibrates: ClassVar[bool] = True
    linear: ClassVar[bool] = True
    searches: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ()
    seconds_an_answer: ClassVar[float] = 0.0
    blind_words: ClassVar[tuple[str, str]]
    Settings: ClassVar[type[Any]]
    outputs: int
    columns: tuple[str, ...]
    only: ClassVar[tuple[str, ...]] = ()
    prefix: Field | None = None
    decided: Mapping[str, Choice] = {}
    findings: Sequence[Finding] = ()
    settling: float = 0.0

    @property
    def stride(self) -> int:
        """Frames that one answer is given for, where each step is answered."""
        return 1

    @classmethod
    @abstractmethod
    def claims(cls, target: pl.DataFrame, shape: Shape) -> Claim | None:
        """Whether training cells of the target columns are this task's business."""

    @classmethod
    def claims_in(cls, target: pl.DataFrame, table: Table) -> Claim | None:
        """The same, for a task that must also know what stands beside the target."""
        return cls.claims(target, table.shape)

    @classmethod
    @abstractmethod
    def fit(cls, target: pl.DataFrame, settings: Mapping[str, JSON]) -> Self:
        """Fits classes, scale or labels on training rows.

        Raises:
            DataError: If there is nothing to learn: one class, a constant, nothing but missing cells.
            RecipeError: If a setting is unknown or out of range.
        """

    def bind(self, inputs: Inputs) -> None:  # noqa: B027  (most tasks need nothing)
        """Takes over what the task needs from the fitted inputs.

        Raises:
            RecipeError: If they are not what the task works on.
        """

    def fits(self, inputs: Inputs) -> bool:
        """Whether the restored inputs are those that the restored task works on."""
        return True

    def trial(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A batch of these fields with what `examples` puts beside them: a restored network is tried on it."""
        return inputs

    def survey(self, table: Table, rows: Rows, inputs: Inputs) -> Sequence[Finding]:
        """What is odd about these training examples, now that media are decoded."""
        return ()

    def measurable(self, table: Table, rows: Rows, inputs: Inputs) -> tuple[Rows, Sequence[Finding]]:
        """Those of these rows that can be measured, and what is to be said of them and the others."""
        return rows, ()

    def examples(
        self, table: Table, rows: Rows, inputs: Inputs, *, learn: bool
    ) -> tuple[Mapping[str, Packed], Packed]:
        """Inputs and targets of the examples whose output lies in these rows; a row is one, or a task differs.

        Args:
            table: All rows, media decoded.
            rows: Those of one part.
            inputs: The fitted kinds.
            learn: Whether they are learned from; if not, everything in the part counts exactly once.
        """
        return inputs.encode(table, rows), Packed(self.encode(table.frame(list(self.columns), rows)))

    @property
    @abstractmethod
    def metrics(self) -> Sequence[Metric]:
        """What is measured; the first is the headline."""

    @property
    def watched(self) -> Metric:
        """What "score" of `watch` is: the headline, unless an answer has to be searched for."""
        return self.metrics[0]

    @abstractmethod
    def encode(self, target: pl.DataFrame) -> Tensor:
        """Target cells to what `loss` takes; a cell that is missing or unseen is -1 or NaN."""

    @abstractmethod
    def loss(self, output_KBO: Tensor, target: Tensor) -> Tensor:
        """One loss an example, (B,): the mean of the members' own losses, never that of their mean."""

    def respond(self, network: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
        """(K, B, ...) what answers are made from: the outputs for one batch, or what a search finds in them."""
        output: Tensor = network(inputs)
        return output

    def condense(self, output: Tensor, target: Tensor) -> Tensor:
        """What is kept of a batch's output to measure it: (K, B, ...); all, unless a task needs less."""
        return output

    @abstractmethod
    def watch(self, output_KBO: Tensor, target: Tensor) -> dict[str, float]:
        """What is watched while learning: "loss" decides when to stop, "score" is `watched`."""

    def refit(self, target: pl.DataFrame) -> Self | None:
        """The task fitted to some of the rows that this one was fitted to, with outputs of the same meaning.

        None where rows cannot be tested in turn (folds).

        Raises:
            DataError: If these rows have nothing to learn.
        """
        return None

    def onto(self, other: Self) -> tuple[float, float]:
        """Ratio and shift that make outputs of this task those of another, fitted to more rows."""
        return 1.0, 0.0

    def losses(self, output_SKBO: Tensor, target_SB: Tensor) -> Tensor:
        """(S,) what decides when each of several networks stops: "loss" of `watch`, on rows of its own.

        Unknown targets (-1 or NaN) are left out.
        """
        each = zip(output_SKBO, target_SB, strict=True)
        return torch.tensor([self.watch(output, target)["loss"] for output, target in each])

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
    def statistics(self, output_KBO: Tensor, target: Packed) -> pl.DataFrame:
        """A row an example: what a metric reduces and the bootstrap redraws."""

    def constant(self, target: Tensor) -> Tensor:
        """The output (1, 1, O) of a network that sees no input: the best constant for these targets."""
        raise NotImplementedError

    def blind(self, train: Packed, target: Packed) -> Rival:
        """What the best answer without any input, fitted on training targets, makes of these targets."""
        output = self.constant(train.values).expand(1, len(target), -1)
        return Rival(*self.blind_words, self.statistics(output, target))

    def rivals(
        self, train: Packed, target: Packed, seen: Mapping[str, Packed], inputs: Inputs
    ) -> Iterator[Rival]:
        """What simpler means make of these targets, each when it is asked for.

        The first is the best answer without any input, or what costs no learning at all.

        Args:
            train: Training targets.
            target: Targets that are measured.
            seen: Inputs of the same examples.
            inputs: The kinds that made them.
        """
        yield self.blind(train, target)

    def study(
        self, inputs: Mapping[str, Packed], target: Packed, *, seconds: float, memory: int
    ) -> Mapping[str, Choice]:
        """Fits what stands beside the network, before that learns; validation examples make choices.

        Args:
            inputs: Validation examples.
            target: Their targets.
            seconds: That it may take, about.
            memory: Bytes that it may hold.

        Returns:
            What was chosen to keep within these, by dotted name.
        """
        return {}

    def take_in(self, network: nn.Module, table: Table, rows: Rows, inputs: Inputs) -> Mapping[str, Choice]:
        """Takes in what validation rows tell beside what is learned, now that learning has ended.

        Args:
            network: The trained network.
            table: All rows.
            rows: The validation rows.
            inputs: The fitted kinds.
        """
        return {}

    def settle(self, network: nn.Module, inputs: Mapping[str, Packed], target: Packed) -> Mapping[str, Choice]:
        """The last choices about a network that has learned, made on validation examples."""
        return {}

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
    """A linear map of its own for each member: (K, B, D) -> (K, B, O), or (K, B, T, D) -> (K, B, T, O).

    Attributes:
        masked: Whether it is told which steps there are, as a second argument: (B, T) bool.
    """

    masked: ClassVar[bool] = False

    def __init__(self, members: int, width: int, outputs: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.weight_KDO = nn.Parameter(torch.empty(members, width, outputs).uniform_(-bound, bound))
        self.bias_KO = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, features_KBD: Tensor) -> Tensor:
        """Outputs of every member."""
        flat = features_KBD.flatten(1, -2)
        out: Tensor = torch.baddbmm(self.bias_KO.unsqueeze(1), flat, self.weight_KDO)
        return out.view(*features_KBD.shape[:-1], -1)
