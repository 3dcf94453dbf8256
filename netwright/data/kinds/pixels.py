"""Cells of a picture column: what lies in them, and pixels brought to one shape."""

# N = rows, B = a few of them, C = channels, H, W = height, width

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from netwright.data.kinds import decoding

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey, as JPEG has them (ITU-R BT.601)."""


def innermost(kind: Any) -> Any:
    """The type of one pixel of an array column."""
    while hasattr(kind, "inner") and kind.inner is not None:
        kind = kind.inner
    return kind


def pixels_of(cells: pl.Series) -> npt.NDArray[np.uint8] | None:
    """(N, H, W) or (N, H, W, C) of a column of pixels, or None for files and bytes."""
    import polars as pl

    if not isinstance(cells.dtype, pl.Array):
        return None
    pixels = np.asarray(cells.to_numpy())
    if cells.null_count():  # then polars gives floats, and NaN where there is no picture
        pixels = np.nan_to_num(pixels, nan=decoding.GREY)
    return pixels.astype(np.uint8, copy=False)


def sources_of(cells: pl.Series) -> list[decoding.Source]:
    """Paths and encoded bytes; None for what is neither."""
    import polars as pl

    if isinstance(cells.dtype, pl.Array | pl.List):  # decoded already: as Python's numbers they fill the memory
        return [None] * len(cells)
    listed = cells.to_list()
    bare = [cell.get("bytes") or cell.get("path") if isinstance(cell, dict) else cell for cell in listed]
    return [cell if isinstance(cell, str | bytes) else None for cell in bare]


def resized(pixels: npt.NDArray[np.uint8], shape: tuple[int, int, int]) -> Tensor:
    """Pixels as (N, C, H, W) uint8 of the shape."""
    x = torch.from_numpy(np.array(pixels))
    x = x.unsqueeze(1) if x.ndim == 3 else x.permute(0, 3, 1, 2)
    if x.shape[1:] == shape:
        return x.contiguous()
    made = torch.empty((len(x), *shape), dtype=torch.uint8)
    for start in range(0, len(x), 256):  # a few at a time: floats are four times the size
        made[start : start + 256] = _fitted(x[start : start + 256].float(), shape)
    return made


def _fitted(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(B, C', H', W') in 0-255 to the shape; transparency lies on white."""
    channels, height, width = shape
    if x.shape[1] in (2, 4):
        alpha = x[:, -1:] / 255.0
        x = x[:, :-1] * alpha + 255.0 * (1.0 - alpha)
    if channels == 1 and x.shape[1] >= 3:
        x = (x[:, :3] * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    x = x[:, :channels] if x.shape[1] >= channels else x[:, :1].expand(-1, channels, -1, -1)
    if x.shape[2:] != (height, width):
        x = torch.nn.functional.interpolate(
            x, (height, width), mode="bilinear", antialias=True, align_corners=False
        )
    return x.round().clamp(0, 255)
