"""From a source and a request to one table: read, in order, with the rows of test files below its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from netwright import larger
from netwright.base.errors import DataError, RecipeError
from netwright.data import pairing, ratings, readers, roles, split, timelines
from netwright.data.table import ReadOptions, Table
from netwright.request import Request, is_path


def opened(source: Any, request: Request) -> tuple[Table, dict[str, split.Where], str]:
    """The table, where its test and validation rows come from, and by what rule others are set aside.

    Raises:
        DataError: If the source cannot be read as what was asked for.
        RecipeError: If a flag does not fit it.
    """
    table = _in_order(readers.read(source, options(request), larger.limit(request)), request)
    if request.known and table.shape != "series":
        raise RecipeError("--known is for forecasts alone.", hint="leave it out, or say --horizon too.")
    table = pairing.arrange(table, asked(table, request), request.task or None)
    table, wheres = _with_own_rows(larger.thinned(table, request), request)
    rule = "order" if table.shape in ("corpus", "series") else request.split
    if table.shape == "ratings" and rule == "random":
        rule, wheres = ratings.last_ones(table, wheres)
    return table, wheres, rule


def options(request: Request) -> ReadOptions:
    """How the source is to be read."""
    return ReadOptions(
        header="none" if request.header == "none" else "auto",
        missing=request.missing,
        allow_outside=request.allow_outside,
    )


def asked(table: Table, request: Request) -> roles.Asked:
    """The columns that flags name."""
    return roles.Asked(
        target=() if table.shape == "series" else request.target,
        drop=request.drop,
        keep=request.keep,
        time=request.time,
        group=request.group,
        weight=request.weight,
    )


def _in_order(table: Table, request: Request) -> Table:
    """The table as series where a forecast is asked for, or where there is a time, numbers and no target."""
    if table.shape not in ("rows", "ratings"):
        return table
    ahead = request.horizon is not None or (bool(request.known) and not request.task)
    if request.task in ("", "recommend") and not request.target and not ahead:
        named = any(name.lower() in roles.TARGETS for name in table.columns)
        wanted = request.task == "recommend" or not (named or "target" in table.roles.values())
        found = ratings.names(table, request.task == "recommend", request.time) if wanted else None
        if found:
            return ratings.arrange(table, found, request.drop)
    table = replace(table, shape="rows")
    asked = ahead or request.task == "forecast"
    named = bool(request.target) or "target" in table.roles.values()
    named = named or any(name.lower() in roles.TARGETS for name in table.columns)
    if not asked and (named or request.task):
        return table
    time = timelines.time_column(table, request.time)
    if time is None and asked:
        raise DataError(
            f"{table.source} has no column that says when.",
            hint="a forecast needs one: name it with --time COLUMN.",
        )
    if time is None or (not asked and not timelines.only_numbers(table, time)):
        return table
    return timelines.arrange(table, time, request.target, request.drop, request.known)


def _with_own_rows(table: Table, request: Request) -> tuple[Table, dict[str, split.Where]]:
    """The table with rows of `--test` and `--validation` files appended, and where the parts come from."""
    wheres = {}
    for part, where in (("test", request.test), ("validation", request.validation)):
        found = split.Where(kind="path") if is_path(where) else split.parse_where(where)
        if found.kind == "path":
            like = replace(options(request), like=tuple(table.columns), texts=table.options.texts)
            extra = readers.read_like(where, like)
            extra = _in_order(extra, request) if table.shape == "series" else extra
            table, rows = append(table, extra)
            found = split.Where(kind="rows_given", rows=rows, text=extra.source)
        wheres[part] = found
    return table, wheres


def append(table: Table, extra: Table) -> tuple[Table, Any]:
    """The table with the rows of another below its own, and their row numbers.

    Raises:
        DataError: If the other lacks a column.
    """
    import polars as pl

    lacking = [name for name in table.columns if name not in extra.columns]
    if lacking:
        raise DataError(
            f"{extra.source} has no column '{lacking[0]}', which {table.source} has.",
            hint="both need the same columns; name files without a header with --header none.",
        )
    above, below = table.cells, extra.cells.select(table.columns)
    unlike = [name for name in table.columns if above[name].dtype != below[name].dtype]
    same = [name for name in unlike if above[name].dtype.is_numeric() and below[name].dtype.is_numeric()]
    casts = [pl.col(name).cast(pl.Float64 if name in same else pl.String) for name in unlike]
    whole = pl.concat([above.with_columns(casts), below.with_columns(casts)], how="vertical")
    rows = np.arange(table.height, whole.height, dtype=np.int64)
    findings = (*table.findings, *extra.findings)
    return replace(table, cells=whole, findings=findings), rows
