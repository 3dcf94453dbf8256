"""Numbers enter as they are, or as vectors: piecewise linear or periodic.

References: Gorishniy et al. 2022, https://arxiv.org/abs/2203.05556 (both embeddings);
https://github.com/yandex-research/rtdl-num-embeddings (piecewise linear, version B: a linear map plus
a correction that starts at zero).
"""

# B = examples, F = columns, T = bins, D = width of the vector of one number

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from netwright.base.schema import Field
from netwright.networks.inputs.entry import AbstractEntry, Entering

_FREQUENCIES = 16
_SPREAD = 0.3
"""Standard deviation of the first frequencies, in turns per unit of a scaled number."""


class Numbers(AbstractEntry):
    """A block of numbers, (B, F) float32 -> (B, F * D)."""

    def __init__(self, field: Field, entering: Entering) -> None:
        super().__init__(field, entering)
        columns, width = field.shape[0], entering.embedding_width
        self.embed: nn.Module = nn.Identity()
        if entering.embedding == "piecewise":
            edges = field.edges or ((),) * columns
            self.embed = Piecewise(edges, width)
        elif entering.embedding == "periodic":
            self.embed = Periodic(columns, width)
        self.chunks = (1 if entering.embedding == "none" else width,) * columns

    def forward(self, x: Tensor) -> Tensor:
        """Scaled numbers to the vectors of all columns, side by side."""
        embedded: Tensor = self.embed(x)
        return embedded


class Piecewise(nn.Module):
    """A piecewise-linear curve of each number, one for each of D outputs, that starts as a line."""

    left_FT: Tensor
    inverse_FT: Tensor

    def __init__(self, edges: tuple[tuple[float, ...], ...], width: int) -> None:
        super().__init__()
        columns = len(edges)
        bins = max(1, max(len(each) for each in edges) - 1)
        left = [_padded(each[:-1], bins) for each in edges]
        inverse = [_padded(_inverses(each), bins) for each in edges]
        # derived from the field at every building, so not part of what is saved
        self.register_buffer("left_FT", torch.tensor(left), persistent=False)
        self.register_buffer("inverse_FT", torch.tensor(inverse), persistent=False)
        bound = width**-0.5
        self.slope_FD = nn.Parameter(torch.empty(columns, width).uniform_(-bound, bound))
        self.bias_FD = nn.Parameter(torch.empty(columns, width).uniform_(-bound, bound))
        self.weight_FTD = nn.Parameter(torch.zeros(columns, bins, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) -> (B, F * D)."""
        filled_FBT = ((x.t().unsqueeze(2) - self.left_FT.unsqueeze(1)) * self.inverse_FT.unsqueeze(1)).clamp_(0, 1)
        curve_BFD = torch.bmm(filled_FBT, self.weight_FTD).transpose(0, 1)
        line_BFD = torch.addcmul(self.bias_FD, x.unsqueeze(2), self.slope_FD)
        return (line_BFD + curve_BFD).flatten(1)


class Periodic(nn.Module):
    """Cosines of learned frequencies of each number, mixed to D - 1 outputs, beside the number itself."""

    def __init__(self, columns: int, width: int) -> None:
        super().__init__()
        self.frequency_FT = nn.Parameter(torch.randn(columns, _FREQUENCIES) * _SPREAD)
        self.phase_FT = nn.Parameter(torch.empty(columns, _FREQUENCIES).uniform_(-0.5, 0.5))
        bound = _FREQUENCIES**-0.5
        shape = (columns, _FREQUENCIES, width - 1)
        self.weight_FTD = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias_FD = nn.Parameter(torch.empty(columns, width - 1).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) -> (B, F * D)."""
        turns_BFT = torch.addcmul(self.phase_FT, x.unsqueeze(2), self.frequency_FT)
        waves_FBT = torch.cos(2 * math.pi * turns_BFT).transpose(0, 1)
        mixed_BFD = torch.bmm(waves_FBT, self.weight_FTD).transpose(0, 1) + self.bias_FD
        return torch.cat([x.unsqueeze(2), mixed_BFD], dim=2).flatten(1)


def _inverses(edges: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(1.0 / (right - left) for left, right in zip(edges, edges[1:], strict=False))


def _padded(values: tuple[float, ...], length: int) -> list[float]:
    """Bins that a column lacks have inverse width 0: they are never filled."""
    return [*values, *[0.0] * (length - len(values))]
