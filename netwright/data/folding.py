"""Rows in parts that are tested in turn: each by a network that neither learned from it nor stopped by it."""

# N = rows

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from netwright.data.dividing import Divider
from netwright.data.parting import Codes
from netwright.data.roles import Roles
from netwright.data.table import Rows, Table

FEWEST = 3
"""Folds: one part is tested, one decides when to stop, the others are learned from."""
USUAL = 8
"""Parts where their number is left to us."""
FEW = range(60, 2_000)
"""Rows that are dealt out to parts where that is left to us: fewer leave parts too small."""


@dataclass(frozen=True)
class Folds:
    """Which part each row lies in. Fold f tests part f, stops and is calibrated by the next part, and learns
    from all others.

    Attributes:
        rows: (N,) row numbers of the table, ascending.
        part_N: (N,) the part of each, 0 to count - 1.
        count: Folds, at least `FEWEST`.
    """

    rows: Rows
    part_N: Codes
    count: int

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count))

    def test(self, fold: int) -> Rows:
        """Places among `rows` that the fold's network is tested on."""
        return np.flatnonzero(self.part_N == fold)

    def select(self, fold: int) -> Rows:
        """Places that decide when it stops, and that it is calibrated on."""
        return np.flatnonzero(self.part_N == (fold + 1) % self.count)

    def train(self, fold: int) -> Rows:
        """Places that it learns from."""
        return np.flatnonzero((self.part_N != fold) & (self.part_N != (fold + 1) % self.count))


def make(table: Table, roles: Roles, rows: Rows, count: int, *, rule: str, seed: int, stratify: bool) -> Folds:
    """Deals the rows out to so many parts.

    Args:
        table: The table.
        roles: Targets, inputs, and the group column.
        rows: Those with a target, ascending.
        count: Parts, at least `FEWEST`.
        rule: "random", or "group": whole groups lie in one part.
        seed: Of the draws.
        stratify: Whether classes are spread evenly.

    Raises:
        DataError: If there are fewer rows, or groups of them, than parts.
    """
    divider = Divider(table, roles, rule, seed, stratify)  # type: ignore[arg-type]
    return Folds(rows, divider.deal(rows, count), count)
