"""Training pictures made harder: whole batches at once, each row by its own 64-bit draw."""

# B = rows, C = channels, H, W = height, width

from __future__ import annotations

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
    device = x.device
    piece = torch.from_numpy(pieces_BP).to(device)
    moves = any(float(how.get(name, 0.0)) for name in ("shift", "rotate", "scale"))
    if moves or how.get("flip"):
        flips = torch.from_numpy(mirrored_B).to(device) if how.get("flip") else None
        x = _moved(x, piece, how, flips)
    color = float(how.get("color", 0.0))
    if color:
        factor = torch.exp(piece[:, 5] * color).view(-1, 1, 1, 1)
        shade = (piece[:, 6] * color * 64.0).view(-1, 1, 1, 1)
        middle = x.mean((1, 2, 3), keepdim=True)
        x = ((x - middle) * factor + middle + shade).clamp(0, 255)
    return x


def pieces(draws_B: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """(B, 7) float32 in [-1, 1) and (B,) bool, all from the bits of one draw a row."""
    shifts = np.arange(PIECES, dtype=np.uint64) * np.uint64(9) + np.uint64(1)
    bits = (draws_B[:, None] >> shifts) & np.uint64(511)
    return (bits.astype(np.float32) + 0.5) / 256.0 - 1.0, (draws_B & np.uint64(1)).astype(np.bool_)


def _moved(x: Tensor, piece: Tensor, how: Mapping[str, Any], flips: Tensor | None) -> Tensor:
    height, width = x.shape[2:]
    angle = piece[:, 0] * math.radians(float(how.get("rotate", 0.0)))
    scale = float(how.get("scale", 0.0))
    across = torch.exp(piece[:, 1] * scale + piece[:, 4] * scale * 0.5)
    down = torch.exp(piece[:, 1] * scale - piece[:, 4] * scale * 0.5)
    shift = float(how.get("shift", 0.0))
    right = piece[:, 2] * shift * 2.0 / width
    below = piece[:, 3] * shift * 2.0 / height
    cos, sin = angle.cos(), angle.sin()
    mirror = torch.ones_like(cos) if flips is None else torch.where(flips, -1.0, 1.0)
    first = torch.stack([cos / across * mirror, -sin / across, right], dim=1)
    second = torch.stack([sin / down * mirror, cos / down, below], dim=1)
    theta = torch.stack([first, second], dim=1)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
