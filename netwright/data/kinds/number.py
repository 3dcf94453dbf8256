"""Numbers: robustly scaled, their missing cells marked, their bins known to the network."""

# N = rows, F = columns

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
import numpy.typing as npt
import torch

from netwright.base.errors import BundleError, DataError
from netwright.base.schema import JSON, Choice, Column, Field
from netwright.data.kinds import numerals, scaling
from netwright.data.kinds.kind import AbstractKind
from netwright.data.packed import Packed

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

ENOUGH = 0.95
"""Share of the cells present that must be numbers."""
NAMED = 3
"""Columns named in the note of one row, at most."""


@final
class Number(AbstractKind):
    """Columns of numbers, and a mark beside each that had missing cells in training."""

    name = "number"

    def __init__(
        self, columns: Sequence[str], commas: Sequence[bool], gaps: Sequence[bool], scales: scaling.Scales
    ) -> None:
        self.columns = tuple(columns)
        self.commas = tuple(commas)
        self.gaps = tuple(gaps)
        self.scales = scales
        self._marked = np.flatnonzero(np.array(gaps, dtype=np.bool_))

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """Cells of which 95 % are numbers; words like `007` are names, not numbers."""
        if sample.dtype.is_nested() or sample.dtype.is_temporal():
            return None
        present = sample.drop_nulls()
        if not len(present) or _are_codes(present):
            return None
        values = numerals.numbers(present, comma=numerals.has_comma(present))
        good = values[~np.isnan(values)]
        if not len(good) or len(good) + numerals.infinite(present) < ENOUGH * len(present):
            return None
        distinct = len(np.unique(good))
        low, high = numerals.shortest(float(good.min())), numerals.shortest(float(good.max()))
        return Choice(value=cls.name, why=f"{distinct:,} distinct numbers, {low} to {high}")

    @classmethod
    def fit(cls, block: pl.DataFrame, columns: Sequence[Column]) -> Self:
        """Scales, ranges and bins of the training rows.

        Raises:
            DataError: If a column that was asked to be numbers holds none.
        """
        commas = [numerals.has_comma(block[name]) for name in block.columns]
        values = [
            numerals.numbers(block[name], comma=comma)
            for name, comma in zip(block.columns, commas, strict=True)
        ]
        for name, column in zip(block.columns, values, strict=True):
            if np.isnan(column).all():
                raise DataError(
                    f"column '{name}' has no number in the training rows.",
                    hint=f"leave it out with --drop {name}, or say --kind {name}=category.",
                )
        gaps = [bool(np.isnan(column).any()) for column in values]
        return cls(block.columns, commas, gaps, scaling.fit(values))

    def reads(self) -> tuple[str, ...]:
        """Names of the columns of the block."""
        return self.columns

    def field(self) -> Field:
        """Numbers (F + marks,)."""
        marks = tuple(f"{self.columns[i]} is missing" for i in self._marked)
        return Field(
            key=self.name,
            columns=(*self.columns, *marks),
            layout="numbers",
            shape=(len(self.columns) + len(marks),),
            edges=(*self.scales.edges, *(() for _ in marks)),
        )

    def encode(self, block: pl.DataFrame) -> Packed:
        """(N, F + marks) float32."""
        values = self._values(block)
        encoded = self.scales.encode(values)
        if len(self._marked):
            marks = np.isnan(values[:, self._marked]).astype(np.float32)
            encoded = np.concatenate([encoded, marks], axis=1)
        return Packed(torch.from_numpy(encoded))

    def notes(self, block: pl.DataFrame) -> list[str]:
        """Values far outside the training range, and gaps where training had none."""
        values = self._values(block)
        outside = self.scales.outside(values)
        gaps = np.isnan(values)
        gaps[:, self._marked] = False
        notes = [""] * len(values)
        for row in np.flatnonzero((outside | gaps).any(axis=1)):
            places = np.flatnonzero(outside[row] | gaps[row])
            notes[row] = "; ".join(self._note(values[row], place) for place in places[:NAMED])
        return notes

    def mismatch(self, block: pl.DataFrame) -> str | None:
        """A column without a single number among cells that are there."""
        for place, name in enumerate(self.columns):
            cells = block[name]
            present = len(cells) - cells.null_count()
            if present and np.isnan(numerals.numbers(cells, comma=self.commas[place])).all():
                return f"column '{name}' held numbers in training, here {str(cells.drop_nulls()[0])!r}"
        return None

    def against(self, own: Number) -> Mapping[str, Tensor]:
        """Scales to scales; a mark that `own` does not have says nothing."""
        columns, marks = len(self.columns), len(self._marked)
        gap_F = np.full(columns, -1)
        gap_F[self._marked] = columns + np.arange(marks)
        kept_F = np.array([*[True] * columns, *(own.gaps[place] for place in self._marked)])
        return scaling.against(
            self.scales, own.scales, places=range(columns), gaps=gap_F.tolist(), kept=kept_F.tolist()
        )

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Names and marks; scales and edges as tensors."""
        facts = {
            "columns": list(self.columns),
            "commas": list(self.commas),
            "gaps": list(self.gaps),
        }
        return facts, self.scales.tensors()

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted kind again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            columns = [str(name) for name in facts["columns"]]
            commas = [bool(each) for each in facts["commas"]]
            gaps = [bool(each) for each in facts["gaps"]]
        except (KeyError, TypeError) as error:
            raise BundleError(f"the model's number columns lack {error}.") from error
        if not len(columns) == len(commas) == len(gaps):
            raise BundleError("the model's number columns do not fit each other.")
        return cls(columns, commas, gaps, scaling.restore(tensors, len(columns)))

    def _values(self, block: pl.DataFrame) -> npt.NDArray[np.float64]:
        if block.height == 1:
            cells = block.row(0)
            if all(cell is None or isinstance(cell, str | int | float) for cell in cells):
                row = [
                    numerals.number(cell, comma=comma) for cell, comma in zip(cells, self.commas, strict=True)
                ]
                return np.array([row], dtype=np.float64)
        columns = [
            numerals.numbers(block[name], comma=comma)
            for name, comma in zip(self.columns, self.commas, strict=True)
        ]
        return np.stack(columns, axis=1)

    def _note(self, row: npt.NDArray[np.float64], place: int) -> str:
        name = self.columns[place]
        if np.isnan(row[place]):
            return f"{name} is missing"
        low, high = self.scales.low_F[place], self.scales.high_F[place]
        return (
            f"{name} {numerals.shortest(float(row[place]))} is outside the training range "
            f"{numerals.shortest(float(low))} to {numerals.shortest(float(high))}"
        )


def _are_codes(present: pl.Series) -> bool:
    """Whether strings have leading zeros, as names of things do: `007`, `01234`."""
    import polars as pl

    if present.dtype != pl.String:
        return False
    zeros = present.str.contains(r"^0[0-9]+$")
    return int(zeros.sum()) > 0.02 * len(present)
