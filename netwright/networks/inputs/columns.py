"""Columns of a table as steps: one vector a column."""

# B = rows, F = columns, D = width

from __future__ import annotations

import torch
from torch import Tensor, nn

from netwright.base.schema import Field
from netwright.networks.inputs.numbers import Numbers


class Columns(nn.Module):
    """A number scales a vector of its column, through its bins where it has some; a code has a vector.

    Reference: Gorishniy et al. 2021, https://arxiv.org/abs/2106.11959 (FT-Transformer).
    """

    def __init__(self, field: Field, width: int) -> None:
        super().__init__()
        columns = field.shape[0]
        bound = width**-0.5
        self.bias_FD = nn.Parameter(torch.empty(columns, width).uniform_(-bound, bound))
        self.codes = field.layout == "codes"
        self.plain = True
        if self.codes:
            starts = [sum(field.sizes[:place]) for place in range(columns)]
            self.register_buffer("start_F", torch.tensor(starts))
            self.table = nn.Parameter(torch.empty(sum(field.sizes), width).uniform_(-bound, bound))
        else:
            self.weight_FD = nn.Parameter(torch.empty(columns, width).uniform_(-bound, bound))
            self.bins = Numbers(field, "piecewise", width)

    def forward(self, x_BF: Tensor) -> Tensor:
        """(B, F) to (B, F, D)."""
        if self.codes:
            return nn.functional.embedding(x_BF + self.start_F, self.table) + self.bias_FD  # type: ignore[operator]
        x_BFD = x_BF.unsqueeze(2) * self.weight_FD + self.bias_FD
        if self.bins.kind == "none":
            return x_BFD
        binned_BED = self.bins(x_BF)[:, x_BF.shape[1] :].view(len(x_BF), -1, x_BFD.shape[2])
        return x_BFD.index_add(1, self.bins.edged_E, binned_BED)
