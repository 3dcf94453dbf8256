"""What all readers do to cells: strip texts, and make "not there" one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netwright.data.table import ReadOptions

if TYPE_CHECKING:
    import polars as pl


def clean(frame: pl.DataFrame, options: ReadOptions) -> pl.DataFrame:
    """The frame with texts stripped of outer spaces and missing tokens as null."""
    import polars as pl

    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    if not texts:
        return frame
    stripped = frame.with_columns(pl.col(texts).str.strip_chars())
    groups = [[name for name in texts if (name in options.texts) == said] for said in (False, True)]
    return stripped.with_columns(
        pl.when(pl.col(names).is_in(options.absent(names[0]))).then(None).otherwise(pl.col(names)).name.keep()
        for names in groups
        if names
    )
