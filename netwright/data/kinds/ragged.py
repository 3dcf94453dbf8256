"""What ragged kinds share: lists as packed frames, the bits that augment them, settings that are counts."""

# N = rows, B = rows of a batch, T = steps, D = numbers a step

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from netwright.base.errors import RecipeError
from netwright.data.packed import Packed

if TYPE_CHECKING:
    import polars as pl

PIECES = 6
"""Numbers drawn from the bits of one draw."""


def packed(cells: pl.Series, width: int, longest: int) -> Packed:
    """Lists of T * D numbers as (S, D) frames, cut at the longest; one that is empty is one step of zeros."""
    import polars as pl

    lists = cells.cast(pl.List(pl.Float32))
    count_N = lists.list.len().fill_null(0).to_numpy().astype(np.int64) // width
    flat = lists.drop_nulls().explode(empty_as_null=False).fill_null(0.0).to_numpy()
    values = torch.from_numpy(np.nan_to_num(flat, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32))
    values = torch.cat([values.view(-1, width), torch.zeros(1, width)])
    start_N = torch.from_numpy(np.cumsum(count_N) - count_N)
    length_N = torch.from_numpy(count_N)
    start_N = torch.where(length_N > 0, start_N, len(values) - 1)
    return Packed(values, torch.stack([start_N, length_N.clamp(1, longest)], dim=1))


def pieces(draws_B: npt.NDArray[np.uint64]) -> npt.NDArray[np.float32]:
    """(B, PIECES) float32 in [0, 1), all from the bits of one draw a row."""
    shifts = np.arange(PIECES, dtype=np.uint64) * np.uint64(10)
    bits = (draws_B[:, None] >> shifts) & np.uint64(1023)
    return (bits.astype(np.float32) + 0.5) / 1024.0


def whole(value: Any, name: str, low: int, high: int) -> int:
    """A setting as a whole number.

    Raises:
        RecipeError: If it is none, or out of range.
    """
    try:
        found = int(value)
    except (TypeError, ValueError):
        found = low - 1
    if not low <= found <= high:
        raise RecipeError(f"{name} is {value!r}.", hint=f"give a whole number from {low:,} to {high:,}.")
    return found
