"""What every kind of column can do: be recognised, fitted on training rows, become tensors and come back."""

# N = rows, F = columns of the block, B = rows of a batch

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from netwright.base.schema import JSON, Choice, Column, Field, Shape
from netwright.data.packed import Packed

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor


class AbstractKind(ABC):
    """One kind of column. A fitted kind holds a block of columns at once, so that one row stays cheap.

    Attributes:
        name: The word for it in `--kind COL=KIND`.
        decided: Settings that fitting has chosen, by name.
        takes: Names of the settings that `--set kind.COLUMN.NAME=VALUE` may change.
    """

    name: ClassVar[str]
    takes: ClassVar[tuple[str, ...]] = ()
    decided: Mapping[str, Choice] = {}

    @classmethod
    @abstractmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """Whether training cells look like this kind: the kind's name and the reason, or None."""

    @classmethod
    def decode(cls, cells: pl.Series, settings: Mapping[str, JSON]) -> tuple[pl.Series, dict[int, str]]:
        """Media only: files and bytes to values, once for all that follows; row -> why it cannot be read.

        Args:
            cells: Paths (absolute), encoded files, or values that are decoded already.
            settings: Those of the column, the derived ones among them.
        """
        return cells, {}

    @classmethod
    def derive(
        cls, block: pl.DataFrame, examples: int, minutes: float, shape: Shape = "rows"
    ) -> Mapping[str, Choice]:
        """Settings this kind chooses for a column, from training cells, minutes and the table's layout."""
        return {}

    @classmethod
    @abstractmethod
    def fit(cls, block: pl.DataFrame, columns: Sequence[Column]) -> Self:
        """Fits on training rows.

        Args:
            block: Training cells of the columns, in their order.
            columns: What was decided about them; `settings` has what was derived or set by hand.
        """

    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """Names of the columns of the block."""

    @abstractmethod
    def field(self) -> Field:
        """The block as a network sees it."""

    @abstractmethod
    def encode(self, block: pl.DataFrame) -> Packed:
        """Cells to tensors; the same for training, predict and evaluate."""

    def notes(self, block: pl.DataFrame) -> list[str]:
        """For each row what a prediction should say about these cells, "" for nothing."""
        return [""] * block.height

    def mismatch(self, block: pl.DataFrame) -> str | None:
        """The sentence why new cells are of another type than the training cells, or None."""
        return None

    def augment(self, x: Tensor, draws_B: npt.NDArray[np.uint64], settings: Mapping[str, JSON]) -> Tensor:
        """A training batch made harder; randomness comes from one 64-bit draw a row only."""
        return x

    def against(self, own: Self) -> Mapping[str, Tensor] | None:
        """How blocks of this kind become what `own` makes of the same cells; None where they cannot.

        Numbers: "ratio_F", "shift_F" and "kept_F" for each number of an example, which of them are
        "squashed_F", and in "gap_F" the place of the mark of a missing cell, or -1. Codes: "own_C", the code
        that each code of each column becomes, all columns behind one another.

        Args:
            own: The same kind, fitted to some of the rows that this one was fitted to.
        """
        return None

    @abstractmethod
    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """All that was fitted, as JSON and tensors: enough for `restore`."""

    @classmethod
    @abstractmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted kind again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
