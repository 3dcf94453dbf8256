"""Parts of a batch side by side, each on one thread: small sums gain more so than by threads within each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn


class Sharing:
    """Threads that stay, and end with it; each does its arithmetic alone."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, initializer=_alone)

    def slopes(self, params: list[Tensor], loss_of: Callable[[Any], Tensor], batch: Any) -> Iterator[Tensor]:
        """The losses of the parts, detached; their slopes are added to those of the parameters, in order.

        Args:
            params: What is learned.
            loss_of: From a part of the batch to what it adds to the loss.
            batch: Has `example_B`, and `part(start, stop)`.
        """
        examples = len(batch.example_B)
        size = math.ceil(examples / self.count)
        parts = [batch.part(start, min(examples, start + size)) for start in range(0, examples, size)]

        def one(part: Any) -> tuple[Tensor, tuple[Tensor | None, ...]]:
            loss = loss_of(part)
            return loss.detach(), torch.autograd.grad(loss, params, allow_unused=True)

        for loss, slopes in self._pool.map(one, parts):
            for param, slope in zip(params, slopes, strict=True):
                if slope is not None:
                    param.grad = slope if param.grad is None else param.grad + slope
            yield loss


def divisible(module: nn.Module) -> bool:
    """Whether examples may go through in parts: nothing is drawn at random, and no statistics are shared.

    Draws come from one generator, whose order threads would change.
    """
    return not any(
        getattr(each, "draws", False)
        or isinstance(each, nn.modules.batchnorm._BatchNorm)
        or (isinstance(each, nn.Dropout) and each.p > 0)
        for each in module.modules()
    )


def _alone() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # of each thread its own
