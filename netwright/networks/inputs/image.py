"""Pictures enter as normalised pixels; a network that knows no neighbours takes them in one row."""

# B = examples, C = channels, H = height, W = width

from __future__ import annotations

import torch
from torch import Tensor, nn

from netwright.base.schema import Field
from netwright.networks.inputs.entry import AbstractEntry, Entering


class Normalise(nn.Module):
    """uint8 pixels (or floats in the same units) to floats of about zero mean and unit spread."""

    center_C11: Tensor
    factor_C11: Tensor

    def __init__(self, field: Field) -> None:
        super().__init__()
        channels = field.shape[0]
        center = torch.tensor(field.center or (127.5,) * channels)
        factor = 1.0 / torch.tensor(field.scale or (64.0,) * channels)
        # derived from the field at every building, so not part of what is saved
        self.register_buffer("center_C11", center.view(-1, 1, 1), persistent=False)
        self.register_buffer("factor_C11", factor.view(-1, 1, 1), persistent=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) uint8 or float -> (B, C, H, W) float32."""
        return (x_BCHW.float() - self.center_C11) * self.factor_C11


class Image(AbstractEntry):
    """Pictures, (B, C, H, W) uint8 -> (B, C * H * W)."""

    def __init__(self, field: Field, entering: Entering) -> None:
        super().__init__(field, entering)
        self.normalise = Normalise(field)
        channels, height, width = field.shape
        self.chunks = (channels * height * width,)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pixels in one row."""
        pixels: Tensor = self.normalise(x)
        return pixels.flatten(1)
