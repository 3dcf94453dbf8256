"""Numbers, as they are or embedded."""

# B = rows, F = columns, N = bins, D = features a number is embedded in

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from netwright.base.schema import Field


class Numbers(nn.Module):
    """Standardised numbers beside what an embedding makes of each column.

    "piecewise": how far the number has come through each bin of its column, mapped linearly, added to
    a linear embedding and starting from zero; "periodic": sines and cosines of learned frequencies.

    Reference: Gorishniy et al. 2022, https://arxiv.org/abs/2203.05556, sections 3.2 and 3.3.
    """

    starts_EN: Tensor
    inverse_EN: Tensor
    low_EN: Tensor
    high_EN: Tensor
    edged_E: Tensor

    def __init__(self, field: Field, embedding: str, width: int) -> None:
        super().__init__()
        columns = field.shape[0]
        edged = [index for index in range(columns) if field.edges and len(field.edges[index]) > 2]
        self.kind = embedding if edged and embedding != "none" else "none"
        if self.kind == "none":
            self.width = columns
            return
        self.plain_parameters = True
        self.register_buffer("edged_E", torch.tensor(edged, dtype=torch.long))
        self.width = columns + len(edged) * width
        shape = (len(edged), width)
        bound = width**-0.5
        self.weight_ED = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias_ED = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        if self.kind == "piecewise":
            self._make_bins([field.edges[index] for index in edged], width)
        else:
            self.frequency_EH = nn.Parameter(torch.randn(len(edged), 16) * 0.3)
            self.mix_EHD = nn.Parameter(torch.empty(len(edged), 32, width).uniform_(-0.18, 0.18))

    def _make_bins(self, edges: list[tuple[float, ...]], width: int) -> None:
        most = max(len(each) for each in edges) - 1
        for name, tensor in bins_of(edges, most).items():
            self.register_buffer(f"{name}_EN", tensor)
        self.bins_END = nn.Parameter(torch.zeros(len(edges), most, width))

    def forward(self, x_BF: Tensor) -> Tensor:
        """(B, F) to (B, width)."""
        if self.kind == "none":
            return x_BF
        x_BE = x_BF.index_select(1, self.edged_E)
        linear_BED = x_BE.unsqueeze(2) * self.weight_ED + self.bias_ED
        if self.kind == "piecewise":
            part_BEN = (x_BE.unsqueeze(2) - self.starts_EN) * self.inverse_EN
            part_BEN = torch.minimum(torch.maximum(part_BEN, self.low_EN), self.high_EN)
            extra = torch.bmm(part_BEN.transpose(0, 1), self.bins_END).transpose(0, 1)
        else:
            angle_BEH = 2 * math.pi * x_BE.unsqueeze(2) * self.frequency_EH
            waves = torch.cat([angle_BEH.sin(), angle_BEH.cos()], dim=2)
            extra = torch.bmm(waves.transpose(0, 1), self.mix_EHD).transpose(0, 1)
        return torch.cat([x_BF, (linear_BED + extra).flatten(1)], dim=1)


def bins_of(edges: Sequence[tuple[float, ...]], most: int) -> dict[str, Tensor]:
    """Where bins begin, one over their widths, and how far a number may come in each: (E, N) each.

    Args:
        edges: Ascending edges of each column; of fewer than two there is no bin, and none is come through.
        most: N.
    """
    starts = torch.zeros(len(edges), most)
    inverse = torch.zeros(len(edges), most)
    low = torch.zeros(len(edges), most)
    high = torch.ones(len(edges), most)
    for row, each in enumerate(edges):
        bins = len(each) - 1
        if bins < 1:
            continue
        points = torch.tensor(each, dtype=torch.float32)
        starts[row, :bins] = points[:-1]
        inverse[row, :bins] = 1.0 / (points[1:] - points[:-1]).clamp(min=1e-6)
        low[row, 0] = -1.0  # below the first edge and above the last the bin goes on, a bin's width
        high[row, bins - 1] = 2.0
    return {"starts": starts, "inverse": inverse, "low": low, "high": high}
