"""A residual block of two linear maps."""

from __future__ import annotations

from torch import Tensor, nn

from netwright.networks.parts.dropout import Dropout


class Residual(nn.Module):
    """x + W2 · dropout(relu(W1 · norm(x))); W2 starts at zero, so the block starts as the identity.

    Reference: He et al. 2016, https://arxiv.org/abs/1603.05027 (pre-activation).
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, hidden)
        self.dropout = Dropout(dropout)
        self.narrow = nn.Linear(hidden, width)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same."""
        hidden = nn.functional.relu(self.widen(self.norm(x)))
        out: Tensor = x + self.narrow(self.dropout(hidden))
        return out
