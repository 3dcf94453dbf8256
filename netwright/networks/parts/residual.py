"""A pre-norm residual block."""

# D = width

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """x + affine(relu(affine(norm(x)))); the last affine starts at zero, so the block starts as nothing.

    Args:
        width: D of what goes in and out.
        dropout: Share of hidden units dropped while training.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, width)
        self.dropout = dropout
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x_D: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        hidden = functional.relu(self.up(self.norm(x_D)), inplace=True)
        if self.dropout and self.training:
            hidden = functional.dropout(hidden, self.dropout)
        return x_D + self.down(hidden)  # type: ignore[no-any-return]
