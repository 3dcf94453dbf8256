"""Columns that are known ahead, beside series: found, put at the even steps of the series, and not lacking."""

# N = moments, S = series (1: all share the columns)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from netwright.base.errors import DataError, did_you_mean
from netwright.data.table import Rows, Table

if TYPE_CHECKING:
    import polars as pl

Floats = npt.NDArray[np.float64]


def check(table: Table, known: Sequence[str], taken: Mapping[str, str]) -> None:
    """Checks that the columns are there and for nothing else.

    Args:
        table: As read.
        known: The columns.
        taken: Columns that other flags name, and the flags.

    Raises:
        DataError: If one is not there, or is named by another flag too.
    """
    for name in known:
        if name not in table.columns:
            hint = did_you_mean(name, table.columns)
            raise DataError(f"{table.source} has no column '{name}' (--known).", hint=hint)
        if name in taken:
            raise DataError(
                f"column '{name}' is both --known and {taken[name]}.", hint="leave out one of them."
            )


@dataclass(frozen=True)
class Beside:
    """The known columns of a table in order of time.

    Attributes:
        table: As read.
        columns: Their names.
        when_N: The moments of its rows, ascending.
        order_N: The places of these moments in `rows`.
        rows: For each series the row of each moment, -1 where there is none.
    """

    table: Table
    columns: tuple[str, ...]
    when_N: Floats
    order_N: Rows
    rows: Sequence[Rows]

    def at(self, even_N: Floats, now: int, ahead: int) -> tuple[dict[str, pl.Series], int]:
        """The columns at even steps, a value or a list of one a series, and how many gaps the last value fills.

        Args:
            even_N: The steps.
            now: The first step of the forecast.
            ahead: Steps of the forecast, for which nothing is filled; 0: there is none.

        Raises:
            DataError: If a value of the forecast's steps is lacking, or a column has none at all.
        """
        import polars as pl

        if ahead and len(even_N) < now + ahead:
            raise DataError(
                f"the forecast needs {', '.join(self.columns)} of {ahead:,} moments after the last value, and "
                f"{self.table.source} has {max(0, len(even_N) - now):,}.",
                hint="add a row for each moment ahead, with these columns filled and the target empty.",
            )
        half = np.diff(even_N).min() / 2
        last_N = np.searchsorted(self.when_N, even_N + half, side="right") - 1
        made_N = np.abs(self.when_N[last_N] - even_N) > half
        found, gaps = {}, 0
        for name in self.columns:
            distinct = {id(rows_N): rows_N for rows_N in self.rows}.values()
            each = [self._cells(name, rows_N[self.order_N[last_N]]) for rows_N in distinct]
            lacking_N = np.any([cells.is_null().to_numpy() | made_N for cells in each], axis=0)
            self._check(name, lacking_N, now, ahead)
            gaps += int(lacking_N.sum())
            filled = [cells.fill_null(strategy="forward").fill_null(strategy="backward") for cells in each]
            lists = pl.DataFrame({str(place): cells for place, cells in enumerate(filled)})
            found[name] = filled[0] if len(each) == 1 else lists.select(pl.concat_list(pl.all())).to_series()
        return found, gaps

    def _cells(self, name: str, rows_N: Rows) -> pl.Series:
        import polars as pl

        cells = self.table.column(name)
        cells = cells.fill_nan(None) if cells.dtype.is_float() else cells
        return cells.gather(pl.Series(rows_N).set(pl.Series(rows_N < 0), None))

    def _check(self, name: str, lacking_N: npt.NDArray[np.bool_], now: int, ahead: int) -> None:
        source = f"column '{name}' ({self.table.source})"
        if lacking_N.all():
            raise DataError(f"{source} has no value.", hint="leave it out of --known.")
        places = np.flatnonzero(lacking_N[now : now + ahead])
        if len(places):
            raise DataError(
                f"{source} is empty in {len(places):,} of the {ahead:,} moments that are to be forecast, the "
                f"first of them {places[0] + 1:,} after the last value.",
                hint="fill it in: in training it was known ahead.",
            )
