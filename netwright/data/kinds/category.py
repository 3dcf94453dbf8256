"""Categories: codes of the values that training rows share."""

# N = rows, F = columns

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
import torch

from netwright.base.errors import BundleError
from netwright.base.schema import JSON, Choice, Column, Field
from netwright.data.kinds.kind import AbstractKind
from netwright.data.packed import Packed

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

UNSEEN, MISSING, FIRST = 0, 1, 2
"""Code of an unseen or rare value, of a missing cell, and of the most frequent value."""
FEWEST = 3
"""Training rows that must share a value for it to be stored."""
MOST_VALUES = 10_000


@final
class Category(AbstractKind):
    """Columns of words; values of fewer than 3 training rows are one value, and not stored."""

    name = "category"

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self.values = {name: tuple(each) for name, each in values.items()}
        self._codes = {
            name: {value: code for code, value in enumerate(each, start=FIRST)}
            for name, each in self.values.items()
        }

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """Any cells that are not lists or pictures."""
        if sample.dtype.is_nested() or str(sample.dtype) == "Binary":
            return None
        distinct = sample.drop_nulls().n_unique()
        return Choice(value=cls.name, why=f"{distinct:,} different values")

    @classmethod
    def fit(cls, block: pl.DataFrame, columns: Sequence[Column]) -> Self:
        """Values by falling frequency, ties by name."""
        return cls({name: _common(words(block[name])) for name in block.columns})

    def reads(self) -> tuple[str, ...]:
        """Names of the columns of the block."""
        return tuple(self.values)

    def field(self) -> Field:
        """Codes (F,)."""
        return Field(
            key=self.name,
            columns=tuple(self.values),
            layout="codes",
            shape=(len(self.values),),
            sizes=tuple(len(each) + FIRST for each in self.values.values()),
        )

    def encode(self, block: pl.DataFrame) -> Packed:
        """(N, F) int64."""
        columns = [self._encode(block[name], name) for name in self.values]
        return Packed(torch.from_numpy(np.stack(columns, axis=1)))

    def notes(self, block: pl.DataFrame) -> list[str]:
        """Values that were not stored."""
        notes = [""] * block.height
        for name in self.values:
            codes = self._encode(block[name], name)
            places = np.flatnonzero(codes == UNSEEN)
            if len(places):
                cells = words(block[name])
                for row in places.tolist():
                    said = f"unseen category {cells[row]!r} in {name}"
                    notes[row] = f"{notes[row]}; {said}" if notes[row] else said
        return notes

    def against(self, own: Category) -> Mapping[str, Tensor]:
        """Codes to codes; a value that `own` does not store is unseen to it."""
        codes = [
            code
            for name, stored in self.values.items()
            for code in (UNSEEN, MISSING, *(own._codes[name].get(value, UNSEEN) for value in stored))
        ]
        return {"own_C": torch.tensor(codes)}

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """The stored values of each column."""
        return {"values": [[name, list(each)] for name, each in self.values.items()]}, {}

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted kind again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            pairs = [(name, list(each)) for name, each in facts["values"]]
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the model's category columns cannot be read: {error}.") from error
        texts = all(isinstance(n, str) and all(isinstance(v, str) for v in e) for n, e in pairs)
        if not texts or len(dict(pairs)) < len(pairs) or any(len(set(e)) < len(e) for _, e in pairs):
            raise BundleError("the model's category columns hold other things than words.")
        return cls(dict(pairs))

    def _encode(self, cells: pl.Series, name: str) -> Any:
        codes = self._codes[name]
        if len(cells) <= 8:
            found = [MISSING if cell is None else codes.get(cell, UNSEEN) for cell in words(cells)]
            return np.array(found, dtype=np.int64)
        import polars as pl

        texts = pl.Series(words(cells), dtype=pl.String) if cells.dtype != pl.String else cells
        stored = texts.replace_strict(
            list(codes), list(codes.values()), default=UNSEEN, return_dtype=pl.Int64
        ) if codes else pl.Series([UNSEEN] * len(texts), dtype=pl.Int64)  # fmt: skip
        return np.where(texts.is_null().to_numpy(), MISSING, stored.fill_null(UNSEEN).to_numpy())


def words(cells: pl.Series) -> list[str | None]:
    """The cells as words: numbers as their shortest texts, so that 7, 7.0 and "7" are one value."""
    return [cell if cell is None or isinstance(cell, str) else _word(cell) for cell in cells.to_list()]


def _word(cell: Any) -> str | None:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        if math.isnan(cell):
            return None
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    return str(cell)


def _common(cells: list[str | None]) -> list[str]:
    import polars as pl

    counts = pl.Series("value", cells, dtype=pl.String).drop_nulls().value_counts()
    kept = counts.filter(pl.col("count") >= FEWEST).sort(["count", "value"], descending=[True, False])
    found: list[str] = kept["value"].head(MOST_VALUES).to_list()
    return found
