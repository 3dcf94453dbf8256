"""Columns that are mostly gaps, columns that ask for a split by time, and tables that are very small."""

from __future__ import annotations

import numpy as np

from netwright.base.schema import Finding
from netwright.data.checks.view import Floats, View, likeness

GAPS = 0.5
SMALL = 50
"""Training rows below which a score says hardly anything."""
_MOMENTS = 5
"""Different moments that a column must have to be worth a split by time."""


def time(view: View) -> list[Finding]:
    """A column of dates where rows were drawn at random: the test looks into the past as well."""
    if view.split.rule != "random" or not len(view.split.test):
        return []
    dated = [(name, values) for name, values in _dated(view) if len(np.unique(values)) >= _MOMENTS]
    if not dated:
        return []
    name, _ = max(dated, key=lambda each: _along(each[1]))
    return [
        Finding(
            name="time",
            what=f"column '{name}' is a time, and the rows were divided at random: "
            "the score is for gaps in the past, not for the future",
            where=name,
            count=len(view.split.test),
            done=f"left as it is; to measure on the latest rows use --split time --time {name}",
            severity="warning",
            columns=(name,),
        )
    ]


def missing(view: View) -> list[Finding]:
    """Columns of which more than half is missing."""
    gaps = view.table.frame([column.name for column in view.inputs], view.split.train).null_count().row(0)
    total = len(view.split.train)
    return [
        Finding(
            name="mostly missing",
            what=f"column '{column.name}' is missing in {lost / total:.0%} of the training rows",
            where=column.name,
            count=lost,
            done="kept: a gap is a value of its own",
            columns=(column.name,),
        )
        for column, lost in zip(view.inputs, gaps, strict=True)
        if GAPS * total < lost < total
    ]


def little(view: View) -> list[Finding]:
    """Very few training rows."""
    rows = len(view.split.train)
    if rows >= SMALL:
        return []
    return [
        Finding(
            name="little data",
            what=f"there are {rows:,} training rows",
            where=view.table.source,
            count=rows,
            done="trained all the same; the interval around the score will be wide",
            severity="warning",
        )
    ]


def _dated(view: View) -> list[tuple[str, Floats]]:
    names = [column.name for column in view.columns if column.role == "time"]
    names += [column.name for column in view.inputs if column.kind == "date"]
    return [(name, values[np.isfinite(values)]) for name in names for values in [view.moments(name)]]


def _along(values: Floats) -> float:
    """How far the rows come in the order of the column."""
    return abs(likeness(np.arange(len(values), dtype=np.float64), values))
