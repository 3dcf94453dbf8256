"""Layers of several networks that learn side by side: one call for all of them, no weight in common."""

# S = networks, B = rows, I = inputs, O = outputs

from __future__ import annotations

import torch
from torch import Tensor, nn


class SeparateLinear(nn.Module):
    """A linear map for each network: (S, B, I) -> (S, B, O).

    Weights and biases begin as those of `nn.Linear` do. All biases lie in one vector, so that no optimizer
    takes them for a matrix.
    """

    def __init__(self, networks: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.networks = networks
        self.weight_SIO = nn.Parameter(torch.empty(networks, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(networks * outputs).uniform_(-bound, bound))

    def forward(self, x_SBI: Tensor) -> Tensor:
        """(S, B, O)."""
        return torch.baddbmm(self.bias.view(self.networks, 1, -1), x_SBI, self.weight_SIO)
