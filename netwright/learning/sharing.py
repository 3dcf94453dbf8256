"""Parts of a batch side by side, on threads of their own: small sums gain more than by threads within each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from netwright.base.draws import drawing


class Sharing:
    """Threads that stay, and end with it.

    Args:
        count: Parts of a batch.
        threads: Threads for the sums of each.
    """

    def __init__(self, count: int, threads: int = 1) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, initializer=_alone, initargs=(threads,))

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

        draws = torch.randint(2**63 - 1, (len(parts),)).tolist()  # each part has its own, in whatever order

        def one(part: Any, draw: int) -> tuple[Tensor, tuple[Tensor | None, ...]]:
            with drawing(torch.Generator().manual_seed(draw)):
                loss = loss_of(part)
                return loss.detach(), torch.autograd.grad(loss, params, allow_unused=True)

        for loss, slopes in self._pool.map(one, parts, draws):
            for param, slope in zip(params, slopes, strict=True):
                if slope is not None:
                    param.grad = slope if param.grad is None else param.grad + slope
            yield loss


def divisible(module: nn.Module) -> bool:
    """Whether examples may go through in parts: no statistics are shared, and only we draw at random.

    Torch's own dropout draws from one generator, whose order threads would change.
    """
    return not any(
        isinstance(each, nn.modules.batchnorm._BatchNorm)
        or (isinstance(each, nn.Dropout) and each.p > 0 and not getattr(each, "apart", False))
        for each in module.modules()
    )


def may_draw(module: nn.Module) -> bool:
    """Whether the network may draw at random as it learns: what a user wrote may, for all that is known.

    To seed what is drawn takes longer than the sums of a tiny layer.
    """
    return any(
        not type(each).__module__.startswith(("torch.nn.", "netwright."))
        or isinstance(each, nn.RReLU | nn.MultiheadAttention | nn.RNNBase)
        or (isinstance(each, nn.modules.dropout._DropoutNd) and each.p > 0)
        or getattr(each, "draws", False)
        for each in module.modules()
    )


def _alone(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # of each thread its own
