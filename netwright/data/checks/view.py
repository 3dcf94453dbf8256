"""What the checks look at: an even sample of the training rows, each column parsed once."""

# N = sampled training rows

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, final

import numpy as np
import numpy.typing as npt

from netwright.base import seeds
from netwright.base.schema import Column
from netwright.data.hashes import canonical
from netwright.data.kinds.numerals import has_comma, numbers
from netwright.data.moments import moments
from netwright.data.table import Rows

if TYPE_CHECKING:
    import polars as pl

    from netwright.data.split import Split
    from netwright.data.table import Table

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

SAMPLE = 20_000
"""Training rows that the dear checks look at, at most."""
CELLS = 20_000_000
"""Cells that they look at, at most: wide tables get fewer rows."""


@final
class View:
    """One table, its columns and its split, with what the checks share.

    Attributes:
        inputs: Columns that the network will see.
        targets: Columns to be predicted.
        rows: (N,) the sampled training rows, ascending.
    """

    def __init__(self, table: Table, columns: Sequence[Column], split: Split, task: str) -> None:
        self.table, self.columns, self.split, self.task = table, columns, split, task
        self.inputs = [column for column in columns if column.role == "input"]
        self.targets = [column for column in columns if column.role == "target"]
        most = max(1_000, min(SAMPLE, CELLS // max(1, len(columns))))
        self.rows = evenly(split.train, most)
        self._numbers: dict[str, Floats] = {}
        self._codes: dict[str, Codes] = {}

    @cached_property
    def _sample(self) -> dict[str, pl.Series]:
        """By name at once: a frame of many thousand columns is slow to ask for one by one."""
        names = [column.name for column in self.columns]
        return {cells.name: cells for cells in self.table.frame(names, self.rows).get_columns()}

    def cells(self, name: str) -> pl.Series:
        """(N,) cells of the sampled rows."""
        return self._sample[name]

    def numbers(self, name: str) -> Floats:
        """(N,) the cells as numbers, NaN where there is none."""
        if name not in self._numbers:
            cells = self.cells(name)
            self._numbers[name] = numbers(cells, comma=has_comma(cells))
        return self._numbers[name]

    def moments(self, name: str) -> Floats:
        """(N,) the cells as moments, NaN where there is none."""
        return moments(self.cells(name))

    def codes(self, name: str) -> Codes:
        """(N,) the cells as codes of their values; missing is a value of its own."""
        if name not in self._codes:
            self._codes[name] = code(self.cells(name))
        return self._codes[name]

    def classes(self, name: str) -> Codes:
        """(N,) codes of the labels, those that differ only in case, spaces or a full stop as one."""
        return code(canonical(self.cells(name)))

    @property
    def media(self) -> list[Column]:
        """Inputs that are pictures."""
        return [column for column in self.inputs if column.kind == "image"]


def evenly(rows: Rows, most: int) -> Rows:
    """At most `most` of the rows, evenly spaced."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def code(cells: pl.Series) -> Codes:
    """(N,) codes 0… of the values of a column, in no particular order."""
    hashes = cells.to_frame().hash_rows(seed=0).to_numpy()
    return np.unique(hashes, return_inverse=True)[1].astype(np.int64)


def midranks(values: Floats) -> Floats:
    """(N,) ranks from 1, equal values sharing the middle of theirs."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2.0)[codes]
    return ranks


def likeness(x: Floats, y: Floats) -> float:
    """Spearman's rank correlation of finite values; 0 where one is constant."""
    a, b = midranks(x), midranks(y)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def shuffled_ties(values: Floats) -> Codes:
    """(N,) the order of ascending values; equal ones in an order that has nothing to do with their rows."""
    mixed = _mixed(len(values))
    order: Codes = mixed[np.argsort(values[mixed], kind="stable")]
    return order


@lru_cache(maxsize=8)
def _mixed(rows: int) -> Codes:
    return np.argsort(seeds.uniform(np.arange(rows), "checks", "ties"))


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names for a sentence."""
    return ", ".join(f"'{name}'" for name in names[:most]) + (", …" if len(names) > most else "")
