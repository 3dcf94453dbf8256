"""Items that are rated or bought: never guessed, not read yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from netwright.base.schema import Choice
from netwright.data.kinds.kind import AbstractComing

if TYPE_CHECKING:
    import polars as pl


@final
class Item(AbstractComing):
    """Names of users and items."""

    name = "item"
    coming = "user and item inputs arrive in a later version"

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """None: values alone never tell an item from a category."""
        return None
