"""Columns beside series whose values are known ahead: holidays, prices, the forecast of the weather."""

# N = moments, S = series (1: all share the column), T = steps, D = numbers a step

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import torch

from netwright.base.errors import BundleError, DataError, RecipeError
from netwright.base.schema import JSON, Choice, Column, Field, Shape
from netwright.data.kinds.category import FIRST, Category
from netwright.data.kinds.kind import AbstractKind
from netwright.data.kinds.number import Number
from netwright.data.packed import Packed

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

MOST_VALUES = 100
"""Values of a column of words: each is a number a step."""
FARTHEST = 100_000
"""Steps that a forecast reaches, at most."""


@final
class Known(AbstractKind):
    """Numbers scaled, words one-hot; a cell is one value for all series, or a list with one for each.

    Attributes:
        before: Steps before the forecast that an example has; the task says it.
        ahead: Steps of the forecast; the task says it.
    """

    name = "known"
    takes = ("as",)

    def __init__(self, columns: Sequence[str], number: Number | None, category: Category | None) -> None:
        self.columns = tuple(columns)
        self.number, self.category = number, category
        self.before, self.ahead = 0, 1
        sizes = [len(each) for each in category.values.values()] if category else []
        self._width = (number.field().shape[0] if number else 0) + sum(sizes)

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """None: cells alone do not say that they are known ahead."""
        return None

    @classmethod
    def derive(
        cls, block: pl.DataFrame, examples: int, minutes: float, shape: Shape = "rows"
    ) -> Mapping[str, Choice]:
        """Whether the cells are numbers or words."""
        cells = _flat(block).to_series()
        found = Number.recognise(cells) or Category.recognise(cells)
        if found is None:
            raise DataError(
                f"column '{cells.name}' (--known) holds neither numbers nor words.",
                hint="leave it out of --known.",
            )
        return {"as": found}

    @classmethod
    def fit(cls, block: pl.DataFrame, columns: Sequence[Column]) -> Self:
        """Scales and values of the training moments.

        Raises:
            DataError: If a column holds no number, or too many different words.
            RecipeError: If a column is asked to be of another kind.
        """
        flat = _flat(block)
        names: dict[str, list[str]] = {"number": [], "category": []}
        for column in columns:
            kind = column.settings.get("as") or cls.derive(block.select(column.name), 0, 1.0)["as"].value
            if kind not in names:
                raise RecipeError(
                    f"column '{column.name}' is known ahead and cannot be of kind {kind!r}.",
                    hint="say number or category.",
                )
            names[kind].append(column.name)
        number, category = (
            kind.fit(flat.select(each), [c for c in columns if c.name in each]) if each else None
            for kind, each in ((Number, names["number"]), (Category, names["category"]))
        )
        for name, values in (category.values if isinstance(category, Category) else {}).items():
            if not 1 <= len(values) <= MOST_VALUES:
                raise DataError(
                    f"column '{name}' (--known) has {len(values):,} values of three training moments or more; "
                    f"1 to {MOST_VALUES} can be used.",
                    hint=f"leave it out of --known, or say --kind {name}=number.",
                )
        return cls(block.columns, number, category)  # type: ignore[arg-type]

    def reads(self) -> tuple[str, ...]:
        """Names of the columns of the block."""
        return self.columns

    def field(self) -> Field:
        """Frames (before + ahead, D), each step in its place."""
        shape = (self.before + self.ahead, self._width)
        return Field(key=self.name, columns=self.columns, layout="frames", shape=shape, even=True)

    def encode(self, block: pl.DataFrame) -> Packed:
        """(N, S, D) float32; the task cuts windows out of them."""
        flat, parts = _flat(block), []
        if self.number:
            parts.append(self.number.encode(flat).values)
        if self.category:
            codes = self.category.encode(flat).values
            for code_N, values in zip(codes.T, self.category.values.values(), strict=True):
                hot = torch.nn.functional.one_hot(code_N, FIRST + len(values))
                parts.append(hot[:, FIRST:].float())
        return Packed(torch.cat(parts, dim=1).view(block.height, -1, self._width))

    def mismatch(self, block: pl.DataFrame) -> str | None:
        """A column without a number where training had numbers."""
        return self.number.mismatch(_flat(block)) if self.number else None

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Columns, steps, and what numbers and words are."""
        facts: dict[str, JSON] = {"columns": list(self.columns), "before": self.before, "ahead": self.ahead}
        tensors: dict[str, Tensor] = {}
        for kind in (self.number, self.category):
            if kind:
                facts[kind.name], own = kind.state()
                tensors |= own
        return facts, tensors

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted kind again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            number = Number.restore(facts["number"], tensors) if "number" in facts else None
            category = Category.restore(facts["category"], tensors) if "category" in facts else None
            kind = cls([str(name) for name in facts["columns"]], number, category)
            kind.before, kind.ahead = int(facts["before"]), int(facts["ahead"])
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the model's known columns cannot be read: {error}.") from error
        parts = [name for each in (number, category) if each for name in each.reads()]
        steps = 0 <= kind.before <= FARTHEST and 1 <= kind.ahead <= FARTHEST
        if not steps or not parts or sorted(parts) != sorted(kind.columns):
            raise BundleError("the model's known columns do not fit each other.")
        return kind


def _flat(block: pl.DataFrame) -> pl.DataFrame:
    """One row a moment and series: the lists of cells under one another."""
    import polars as pl

    lists = [name for name, dtype in block.schema.items() if isinstance(dtype, pl.List)]
    return block.explode(lists) if lists else block
