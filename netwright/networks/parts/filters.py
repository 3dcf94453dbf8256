"""Convolutions along the steps of texts, clips and series: widths side by side, then residual blocks."""

# B = examples, T = steps, D = width

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from netwright.networks.inputs.steps import Steps, mask, pooled
from netwright.networks.parts.attention import norm
from netwright.networks.parts.dropout import Dropout

SIDES = (1, 2, 3, 5)
"""Widths of the filters of the first layer.

Reference: Kim 2014, https://arxiv.org/abs/1408.5882.
"""


class Along(nn.Module):
    """From one ordered field to features a step, or pooled.

    Args:
        steps: Tokens or frames as vectors, of a width divisible by 4.
        depth: Residual blocks after the first layer, >= 0.
        dropout: Share of features left out at random in training.
        causal: Whether a step sees only itself and earlier ones.
        shrink: Whether steps are halved after each block: for what is pooled in the end.
    """

    def __init__(self, steps: Steps, depth: int, dropout: float, *, causal: bool, shrink: bool) -> None:
        super().__init__()
        width = steps.width
        self.steps = steps
        self.first = nn.ModuleList(Filter(width, width // len(SIDES), side, causal=causal) for side in SIDES)
        self.blocks = nn.ModuleList(
            Filter(width, width, 3, 1 if shrink else 2**block, causal=causal) for block in range(depth)
        )
        self.shrink, self.dropout, self.each = shrink, Dropout(dropout), width
        self.width = 2 * width

    def forward(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(B, T, D) with zeros after the ends, and (B,) lengths; T is shorter where steps are halved."""
        x, length_B = self.steps(inputs)
        there = mask(length_B, x.shape[1]).unsqueeze(2)
        x = torch.cat([each(x * there) for each in self.first], dim=2)
        x = functional.gelu(x) * there
        for block in self.blocks:
            x = (x + self.dropout(functional.gelu(block(norm(x))))) * there
            if self.shrink:
                x, length_B = _halved(x, length_B)
                there = mask(length_B, x.shape[1]).unsqueeze(2)
        return x, length_B

    def pooled(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(B, 2 * D)."""
        return pooled(*self.forward(inputs))


class Filter(nn.Module):
    """A convolution along the steps that keeps their number."""

    def __init__(self, into: int, out: int, side: int, gap: int = 1, *, causal: bool) -> None:
        super().__init__()
        self.filters = nn.Conv1d(into, out, side, dilation=gap)
        over = (side - 1) * gap
        self.padding = (over, 0) if causal else (over // 2, over - over // 2)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D')."""
        found: Tensor = self.filters(functional.pad(x_BTD.transpose(1, 2), self.padding)).transpose(1, 2)
        return found


def _halved(x_BTD: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor]:
    """The larger of every two steps; what is after an end is zero and counts as nothing."""
    there = mask(length_B, x_BTD.shape[1]).unsqueeze(2)
    x = x_BTD.masked_fill(~there, -1e9)
    x = functional.pad(x, (0, 0, 0, x.shape[1] % 2), value=-1e9)
    x = x.reshape(len(x), -1, 2, x.shape[2]).amax(2)
    length_B = (length_B + 1) // 2
    return x * mask(length_B, x.shape[1]).unsqueeze(2), length_B
