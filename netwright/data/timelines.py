"""Tables in order of time: one row a moment at even steps, one column a series."""

# N = moments, F = series

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from netwright.base.errors import DataError, did_you_mean
from netwright.base.schema import Finding
from netwright.data import covariates
from netwright.data.kinds.numerals import has_comma, numbers
from netwright.data.moments import moments
from netwright.data.table import Rows, Table

if TYPE_CHECKING:
    import polars as pl

TIMES = ("time", "date", "timestamp", "datetime", "dteday", "ds")
SERIES = ("unique_id", "series", "series_id", "id", "item", "item_id")
FEWEST = 8
"""Moments below which nothing can be forecast."""
MOST_FILLED = 0.5
"""Share of moments that may be missing."""
MOST_STEPS = 20_000_000
Floats = npt.NDArray[np.float64]


def time_column(table: Table, asked: str | None) -> str | None:
    """The column that says when: the one asked for, or the first whose name and cells say so."""
    if asked:
        if asked not in table.columns:
            raise DataError(
                f"{table.source} has no column '{asked}' (--time).", hint=did_you_mean(asked, table.columns)
            )
        return asked
    for name in table.columns:
        if name.lower() in TIMES and np.isfinite(moments(table.column(name))).mean() > 0.95:
            return name
    return None


def only_numbers(table: Table, time: str) -> bool:
    """Whether all but the time are numbers, and no moment stands twice."""
    rest = [name for name in table.columns if name != time]
    when = moments(table.column(time))
    if not rest or len(np.unique(when)) < len(when):
        return False
    return all(_numbers(table.column(name)) is not None for name in rest)


def arrange(
    table: Table,
    time: str,
    targets: Sequence[str],
    drop: Sequence[str],
    known: Sequence[str] = (),
    *,
    ahead: int = 0,
) -> Table:
    """The table as series: sorted, at even steps, gaps filled, long tables made wide.

    Args:
        table: Wide (time and one column a series) or long (time, a name, a value).
        time: The column that says when.
        targets: Series to keep, or none for all columns of numbers.
        drop: Columns that are left out.
        known: Columns whose values are known ahead; of a long table a cell becomes a list, a value a series.
        ahead: Moments after the last value of the series to keep, for their known values.

    Raises:
        DataError: If times repeat, are too few or too uneven, or there is no column of numbers; or if what
            is known ahead is not there.
    """
    import polars as pl

    covariates.check(table, known, {time: "--time"} | dict.fromkeys(targets, "--target"))
    when, rows, findings = _when(table, time)
    names = [name for name in table.columns if name not in (time, *drop, *known)]
    moments_N, values, places = _wide(table, when, rows, time, names)
    for name in targets:
        if name not in values:
            raise DataError(f"{table.source} has no series '{name}'.", hint=did_you_mean(name, list(values)))
    order = np.argsort(moments_N, kind="stable")
    if (np.diff(order) < 0).any():
        findings.append(_finding("order", "the rows are not in order of time", time, "sorted"))
    moments_N, values = moments_N[order], {name: values[name][order] for name in targets or values}
    end = _end(values)
    if end < len(order) and not ahead:
        what = f"{len(order) - end:,} moments come after the last value"
        findings.append(_finding("ahead", what, time, "left out"))
    stop = len(order) if ahead else end
    even, ready = _even(
        moments_N[:stop], {name: each[:stop] for name, each in values.items()}, table, time, findings
    )
    now = int(np.searchsorted(even, (moments_N[end - 1] + moments_N[min(end, stop - 1)]) / 2, side="right"))
    cut = slice(now + ahead)
    columns: dict[str, Any] = {name: each[cut] for name, each in {time: even, **ready}.items()}
    if known:
        rows_of = [places[name] for name in values]
        beside = covariates.Beside(table, tuple(known), when_N=moments_N, order_N=order, rows=rows_of)
        found, gaps = beside.at(columns[time], now, ahead)
        columns |= found
        if gaps:
            what = f"{gaps:,} values that are known ahead are missing"
            findings.append(_finding("known", what, ", ".join(known), "filled with the value before"))
    kinds = {time: "number", **dict.fromkeys(ready, "channels"), **dict.fromkeys(known, "known")}
    return replace(
        table,
        cells=pl.DataFrame(columns),
        shape="series",
        roles={time: "time"},
        kinds=kinds,
        given={},
        findings=(*table.findings, *findings),
    )


def _when(table: Table, time: str) -> tuple[Floats, Rows, list[Finding]]:
    """When each row was, the rows that say it, and what is to be said of the others."""
    when = moments(table.column(time))
    lost = ~np.isfinite(when)
    if lost.mean() > MOST_FILLED or (~lost).sum() < FEWEST:
        raise DataError(
            f"{int((~lost).sum()):,} of {table.height:,} rows of column '{time}' ({table.source}) are times.",
            hint=f"a forecast needs {FEWEST} moments or more; name their column with --time.",
        )
    findings = []
    if lost.any():
        what = f"{int(lost.sum()):,} rows have no time in '{time}'"
        findings.append(_finding("no time", what, time, "left out"))
    return when, np.flatnonzero(~lost), findings


def _end(values: Mapping[str, Floats]) -> int:
    """Moments up to the last at which a series has a value; all, where none has any."""
    there = np.flatnonzero(np.any([np.isfinite(each) for each in values.values()], axis=0))
    return int(there[-1]) + 1 if len(there) else len(next(iter(values.values())))


def _wide(
    table: Table, when: Floats, rows: npt.NDArray[np.int64], time: str, names: Sequence[str]
) -> tuple[Floats, dict[str, Floats], dict[str, Rows]]:
    """Moments, one array a series (of a long table the names in its series column), and their rows."""
    moments_N = when[rows]
    numeric = {name: _numbers(table.column(name)) for name in names}
    found = {name: values[rows] for name, values in numeric.items() if values is not None}
    distinct = np.unique(moments_N)
    if len(distinct) == len(moments_N):
        if not found:
            raise DataError(f"{table.source} has no column of numbers to forecast.", hint="see --target.")
        return moments_N, found, dict.fromkeys(found, rows)
    label = next((name for name in names if name.lower() in SERIES or numeric[name] is None), None)
    value = next((name for name in found if name != label), None)
    if label is None or value is None:
        again = table.height - len(distinct)
        raise DataError(
            f"{again:,} moments of column '{time}' ({table.source}) stand in several rows.",
            hint="keep one row a moment, or add a column with the name of the series.",
        )
    labels = np.array([str(cell) for cell in table.column(label).gather(rows).to_list()])
    place = np.searchsorted(distinct, moments_N)
    series: dict[str, Floats] = {}
    places: dict[str, Rows] = {}
    for each in dict.fromkeys(labels.tolist()):
        mine = labels == each
        if len(np.unique(place[mine])) < mine.sum():
            raise DataError(
                f"series '{each}' ({table.source}) has a moment twice.", hint="keep one row a moment."
            )
        series[each] = np.full(len(distinct), np.nan)
        series[each][place[mine]] = found[value][mine]
        places[each] = np.full(len(distinct), -1)
        places[each][place[mine]] = rows[mine]
    return distinct, series, places


def _numbers(cells: pl.Series) -> Floats | None:
    values = numbers(cells, comma=has_comma(cells))
    there = max(1, len(cells) - cells.null_count())
    return values if np.isfinite(values).sum() > 0.9 * there else None


def _even(
    moments_N: Floats, values: dict[str, Floats], table: Table, time: str, findings: list[Finding]
) -> tuple[Floats, dict[str, Floats]]:
    """The same at steps of the commonest length, gaps filled in a straight line."""
    steps = np.diff(moments_N)
    width = float(np.median(steps))
    count = round((moments_N[-1] - moments_N[0]) / width) + 1
    if count > min(MOST_STEPS, len(moments_N) / (1 - MOST_FILLED)):
        raise DataError(
            f"column '{time}' ({table.source}) has {len(moments_N):,} moments; even steps would be {count:,}.",
            hint="more than half would be made up; cut the table to where it is dense.",
        )
    months = np.abs(steps - width) < 0.11 * width  # months are of 28 to 31 days: steps, not gaps
    if count != len(moments_N) and not months.all():
        even = moments_N[0] + width * np.arange(count)
        made = count - len(moments_N)
        what = f"{made:,} moments are missing between others, or steps are uneven"
        findings.append(_finding("gaps", what, time, "filled in a straight line"))
    else:
        even = moments_N
    ready, holes = {}, 0
    for name, each in values.items():
        known = np.isfinite(each)
        if not known.any():
            raise DataError(
                f"series '{name}' ({table.source}) has no value.", hint=f"leave it out: --drop {name}."
            )
        holes += int((~known).sum())
        ready[name] = np.interp(even, moments_N[known], each[known])
    if holes:
        findings.append(_finding("missing", f"{holes:,} values are missing", "", "filled in a straight line"))
    return even, ready


def _finding(name: str, what: str, where: str, done: str) -> Finding:
    return Finding(name=name, what=what, where=where, done=done, severity="warning")
