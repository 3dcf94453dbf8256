"""Columns that say nothing, and columns that say something odd: seen on training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netwright.base.schema import Column, Finding
from netwright.data.kinds import numerals
from netwright.data.table import Rows, Table

if TYPE_CHECKING:
    import polars as pl

ID_WORDS = ("id", "index", "row", "instant", "unnamed", "uuid", "key", "no", "nr")
UNIQUE = 0.99
MANY = 1_000


def useless(table: Table, train: Rows, sample: pl.Series, keep: bool) -> Finding | None:
    """Why a column cannot help: nothing in it, one value only, or a name for each row."""
    name = sample.name
    if sample.dtype.is_nested() or str(sample.dtype) == "Binary":
        return None
    if sample.null_count() == len(sample):
        cells = table.column(name, train)
        if cells.null_count() == len(cells):
            return _out("missing", f"column '{name}' has no value in any training row", name, len(train))
    if keep:
        return None
    if len(sample) > 1 and sample.n_unique() == 1:
        cells = table.column(name, train)
        if cells.n_unique() == 1:
            return _out("constant", f"column '{name}' is {sample[0]!r} in all training rows", name, len(train))
    if len(sample) >= 20 and _is_id(sample):
        return _out("id", f"column '{name}' has another value in each row: it names rows", name, len(train))
    return None


def odd(table: Table, train: Rows, column: Column) -> Finding | None:
    """Infinities, words among numbers, and very many categories: taken as they are, and said."""
    cells = table.column(column.name, train)
    if column.kind == "number":
        return _odd_number(cells, train)
    if column.kind == "category":
        distinct = cells.n_unique()
        if distinct > max(MANY, 0.5 * len(cells)) and distinct > 50:
            return Finding(
                name="many values",
                what=f"column '{column.name}' has {distinct:,} different values in {len(cells):,} rows",
                where=column.name,
                count=distinct,
                done="the most frequent 10,000 that 3 rows share are kept, the others are one value",
                columns=(column.name,),
            )
    return None


def _odd_number(cells: pl.Series, train: Rows) -> Finding | None:
    infinite = numerals.infinite(cells)
    if infinite:
        return Finding(
            name="infinite",
            what=f"column '{cells.name}' has {infinite:,} infinite values",
            where=cells.name,
            count=infinite,
            done="taken as missing",
            severity="warning",
            columns=(cells.name,),
        )
    if str(cells.dtype) != "String":
        return None
    values = numerals.numbers(cells, comma=numerals.has_comma(cells))
    wrong = np.flatnonzero(np.isnan(values) & cells.is_not_null().to_numpy())
    if not len(wrong):
        return None
    row = int(train[wrong[0]]) + 1
    return Finding(
        name="not a number",
        what=f"column '{cells.name}' has {len(wrong):,} cells that are no numbers, first "
        f"{cells[int(wrong[0])]!r} in row {row}",
        where=cells.name,
        count=len(wrong),
        done="taken as missing",
        severity="warning",
        columns=(cells.name,),
    )


def _out(name: str, what: str, where: str, count: int) -> Finding:
    return Finding(
        name=name,
        what=what,
        where=where,
        count=count,
        done=f"left out; keep it with --keep {where}",
        columns=(where,),
    )


def _is_id(sample: pl.Series) -> bool:
    """Nearly all values different, and: words without spaces, or whole numbers that count rows."""
    present = sample.drop_nulls()
    if present.n_unique() < UNIQUE * len(sample) or sample.dtype.is_temporal():
        return False
    values = numerals.numbers(present, comma=False)
    if np.isnan(values).mean() > 0.05:
        from netwright.data.kinds.date import find_format
        from netwright.data.readers.media import kind_of

        texts = [str(cell) for cell in present.head(50).to_list()]
        wordy = sum(text.count(" ") >= 2 or kind_of(text) is not None for text in texts)
        return wordy < 0.5 * len(texts) and not find_format(present)
    if not np.all(values == np.floor(values)):
        return False
    steps = np.diff(values)
    named = any(part in ID_WORDS for part in str(sample.name).lower().replace("-", "_").split("_"))
    rising = bool((steps > 0).all())
    return rising and (named or values[-1] - values[0] < 3 * len(values))
