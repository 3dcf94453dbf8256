"""Members of a batched ensemble: one set of weights, told apart by a factor on every input.

Reference: Gorishniy et al. 2025 (TabM, the mini variant), https://arxiv.org/abs/2410.24210.
"""

# K = members, B = examples, D = width

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Members(nn.Module):
    """Each member sees the features through its own factors: (B, D) -> (K, B, D).

    Args:
        members: K.
        chunks: Widths of what belongs together; they sum to D. A member starts with one random factor
            for each chunk, so that it sees columns stronger or weaker, not single numbers of them.
    """

    def __init__(self, members: int, chunks: Sequence[int]) -> None:
        super().__init__()
        drawn = torch.randn(members, len(chunks))
        self.factor_KD = nn.Parameter(drawn.repeat_interleave(torch.tensor(chunks), dim=1))

    def forward(self, x_BD: Tensor) -> Tensor:
        """The features as each member sees them."""
        return x_BD * self.factor_KD.unsqueeze(1)
