"""Training pictures made harder: whole batches at once, each row by its own 64-bit draw."""

# B = rows, C = channels, H, W = height, width

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

PIECES = 7
"""Numbers in [-1, 1) that are cut from one draw: 9 bits each, and one bit for the flip."""


def augment(x_BCHW: Tensor, draws_B: npt.NDArray[np.uint64], how: Mapping[str, Any]) -> Tensor:
    """Shifted, turned, scaled, stretched, and of other light and contrast; perhaps mirrored.

    Args:
        x_BCHW: (B, C, H, W) uint8.
        draws_B: One draw a row; nothing else is random.
        how: "shift" (pixels), "rotate" (degrees), "scale" and "color" (log factors), "flip" (bool).

    Returns:
        (B, C, H, W) float32 in the same units; edge pixels are repeated beyond the edge.
    """
    pieces_BP, mirrored_B = pieces(draws_B)
    x = x_BCHW.float()
    if any(how.get(name) for name in ("shift", "rotate", "scale", "flip")):
        height, width = x.shape[2:]
        moves = affine(pieces_BP, mirrored_B if how.get("flip") else None, how, height, width)
        grid = _grid(torch.from_numpy(moves).to(x.device), height, width)
        x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    color = float(how.get("color", 0.0))
    if color:
        piece = torch.from_numpy(pieces_BP[:, 5:7] * color).to(x.device)
        factor = piece[:, 0].exp().view(-1, 1, 1, 1)
        shade = (piece[:, 1] * 64.0).view(-1, 1, 1, 1)
        middle = x.mean((1, 2, 3), keepdim=True)
        x = ((x - middle) * factor + middle + shade).clamp(0, 255)
    return x


def pieces(draws_B: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """(B, 7) float32 in [-1, 1) and (B,) bool, all from the bits of one draw a row."""
    shifts = np.arange(PIECES, dtype=np.uint64) * np.uint64(9) + np.uint64(1)
    bits = (draws_B[:, None] >> shifts) & np.uint64(511)
    return (bits.astype(np.float32) + 0.5) / 256.0 - 1.0, (draws_B & np.uint64(1)).astype(np.bool_)


def affine(
    pieces_BP: npt.NDArray[np.float32],
    mirrored_B: npt.NDArray[np.bool_] | None,
    how: Mapping[str, Any],
    height: int,
    width: int,
) -> npt.NDArray[np.float32]:
    """(B, 2, 3) from places in the new picture to places in the old one, both in [-1, 1].

    In NumPy: on arrays this short its calls cost a third of torch's.
    """
    scale = float(how.get("scale", 0.0))
    angle_B = pieces_BP[:, 0] * math.radians(float(how.get("rotate", 0.0)))
    cos_B, sin_B = np.cos(angle_B), np.sin(angle_B)
    near_B, stretch_B = -scale * pieces_BP[:, 1], 0.5 * scale * pieces_BP[:, 4]
    across_B, down_B = np.exp(near_B - stretch_B), np.exp(near_B + stretch_B)
    mirrored = across_B if mirrored_B is None else np.where(mirrored_B, -across_B, across_B)
    theta = np.empty((len(pieces_BP), 2, 3), dtype=np.float32)
    theta[:, 0, 0], theta[:, 0, 1] = cos_B * mirrored, -sin_B * across_B
    theta[:, 1, 0], theta[:, 1, 1] = sin_B * down_B, cos_B * down_B
    theta[:, :, 2] = pieces_BP[:, 2:4] * (2.0 * float(how.get("shift", 0.0)) / np.array([width, height]))
    return theta


def _grid(theta_B23: Tensor, height: int, width: int) -> Tensor:
    """(B, H, W, 2) where to look: one sum of a row's part and a column's part.

    `functional.affine_grid` multiplies a matrix by every place instead, which takes four times as long.
    """
    down_H, across_W = _places(height, theta_B23.device), _places(width, theta_B23.device)
    down_B2H1 = torch.addcmul(theta_B23[:, :, 2:3], theta_B23[:, :, 1:2], down_H).unsqueeze(3)
    across_B21W = (theta_B23[:, :, 0:1] * across_W).unsqueeze(2)
    return (down_B2H1 + across_B21W).permute(0, 2, 3, 1)


@functools.cache
def _places(side: int, device: torch.device) -> Tensor:
    """Middles of the pixels of a side, in [-1, 1]."""
    return (torch.arange(side, device=device) * 2 + 1) / side - 1
