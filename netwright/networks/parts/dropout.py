"""Dropout whose masks are cheap to draw."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from netwright.base.draws import source

PARTS = 256
"""The share is rounded to one of so many parts: a byte decides on each element."""


class Dropout(nn.Dropout):
    """Leaves elements out at random in training, and scales the others so that the mean stays.

    On a CPU torch draws a random number an element, which takes a fourfold time.

    Reference: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html.
    """

    apart = True
    """Parts of a batch that learn side by side have draws of their own."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        left_out = round(self.p * PARTS)
        if not self.training or x.device.type != "cpu" or not 0 < left_out < PARTS:
            return super().forward(x)
        return _Dropped.apply(x, left_out)  # type: ignore[no-untyped-call, no-any-return]


class _Dropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, left_out: int) -> Tensor:
        """Elements where a random byte is not below `left_out`."""
        words = torch.randint(-(2**63), 2**63 - 1, (-(-x.numel() // 8),), generator=source(x.device))
        kept = (words.view(torch.uint8)[: x.numel()] >= left_out).view(x.shape)
        ctx.save_for_backward(kept)
        ctx.scale = PARTS / (PARTS - left_out)
        return (x * kept).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        """The slopes of what was kept."""
        (kept,) = ctx.saved_tensors
        return (slopes[0] * kept).mul_(ctx.scale), None
