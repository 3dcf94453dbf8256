"""Pictures as rows of numbers, for networks that know no neighbours."""

# B = rows, C = channels, H, W = height, width

from __future__ import annotations

import torch
from torch import Tensor, nn

from netwright.base.schema import Field


class Normalise(nn.Module):
    """The first step of every network that sees pictures: uint8 to numbers around 0."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.register_buffer("center_C", torch.tensor(field.center).view(1, -1, 1, 1))
        self.register_buffer("inverse_C", 1.0 / torch.tensor(field.scale).view(1, -1, 1, 1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) uint8 to float32."""
        return (x_BCHW.float() - self.center_C) * self.inverse_C  # type: ignore[operator]


class Flat(nn.Module):
    """A normalised picture, pixel after pixel."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.normalise = Normalise(field)
        channels, height, width = field.shape
        self.width = channels * height * width

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) uint8 to (B, C*H*W) float32."""
        return self.normalise(x_BCHW).flatten(1)  # type: ignore[no-any-return]


class Patches(nn.Module):
    """A normalised picture cut into squares, each mapped linearly, with a learned place.

    Reference: Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929.
    """

    def __init__(self, field: Field, side: int, width: int) -> None:
        super().__init__()
        self.normalise = Normalise(field)
        channels, height, across = field.shape
        self.map = nn.Conv2d(channels, width, side, side)
        self.map.plain = True  # type: ignore[assignment]
        self.place_TD = nn.Parameter(torch.randn((height // side) * (across // side), width) * 0.1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) uint8 to (B, T, D); what is left over at right and bottom is not seen."""
        found: Tensor = self.map(self.normalise(x_BCHW)).flatten(2).transpose(1, 2) + self.place_TD
        return found
