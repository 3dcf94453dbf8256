"""What all readers do to cells: strip texts, and make "not there" one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netwright.data.table import MISSING, ReadOptions

if TYPE_CHECKING:
    import polars as pl


def clean(frame: pl.DataFrame, options: ReadOptions) -> pl.DataFrame:
    """The frame with texts stripped of outer spaces and missing tokens as null."""
    import polars as pl

    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    if not texts:
        return frame
    tokens = list(dict.fromkeys((*MISSING, *options.missing)))
    stripped = frame.with_columns(pl.col(texts).str.strip_chars())
    return stripped.with_columns(
        pl.when(pl.col(texts).is_in(tokens)).then(None).otherwise(pl.col(texts)).name.keep()
    )
