"""Free text: recognised, not read yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from netwright.base.schema import Choice
from netwright.data.kinds.kind import AbstractComing

if TYPE_CHECKING:
    import polars as pl

WORDS = 4.0
"""Mean number of words from which strings are text."""
CHARACTERS = 30.0
"""Mean length from which strings with spaces in them are text."""
DISTINCT = 50
"""Up to so many different strings are categories, however long they are."""


@final
class Text(AbstractComing):
    """Sentences and longer."""

    name = "text"
    coming = "text inputs arrive in a later version"

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """Long strings, most of them different."""
        import polars as pl

        if sample.dtype != pl.String or not _probably(sample):
            return None
        present = sample.drop_nulls()
        distinct = present.n_unique()
        if distinct <= min(DISTINCT, len(present) // 2):
            return None
        words, characters = _means(present.gather_every(max(1, len(present) // 2000)).to_list())
        if words < WORDS and (words < 2 or characters < CHARACTERS):
            return None
        return Choice(value=cls.name, why=f"{words:.0f} words a cell on average")


def _probably(sample: pl.Series) -> bool:
    """A glance at a few cells, so that thousands of columns of short words cost little."""
    step = max(1, len(sample) // 20)
    cells = [cell for cell in sample.gather_every(step).to_list() if cell]
    words, characters = _means(cells)
    return words >= WORDS / 2 or characters >= CHARACTERS / 2


def _means(cells: list[str]) -> tuple[float, float]:
    """Mean words and mean characters. A character of a script without spaces counts as half a word."""
    count = max(1, len(cells))
    wide = sum(sum("\u3040" <= letter <= "\u9fff" for letter in cell) for cell in cells)
    words = sum(len(cell.split()) for cell in cells) + wide / 2
    return words / count, sum(map(len, cells)) / count
