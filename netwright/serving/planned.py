"""What a network's weights will look like, without any memory for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

DRAWS = {Tensor.normal_, Tensor.uniform_, Tensor.random_, Tensor.mul_, nn.init.normal_, nn.init.uniform_}
"""What changes values and nothing else."""
ARITHMETIC = {
    Tensor.mul, Tensor.add, Tensor.sub, Tensor.div, Tensor.__mul__, Tensor.__rmul__, Tensor.__add__,
    Tensor.__radd__, Tensor.__sub__, Tensor.__rsub__, Tensor.__truediv__, Tensor.__rtruediv__,
    torch.mul, torch.div,
}  # fmt: skip
EACH = {Tensor.clamp, Tensor.cumsum, Tensor.exp, Tensor.sqrt, Tensor.neg, torch.clamp, torch.sqrt}
"""What gives one number of the same type for each, whole ones of 64 bits."""


class Shapes(TorchFunctionMode):
    """Shapes and types alone of what is done to first weights on the meta device.

    Torch's own way through arithmetic and draws there imports its compiler, which takes seconds. What is not
    named above still goes that way.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """A result of the right shape and type."""
        if func in DRAWS:
            return args[0] if args else (kwargs or {})["tensor"]
        if func is torch.randint and isinstance(args[-1], tuple):
            return torch.empty(args[-1], dtype=(kwargs or {}).get("dtype", torch.int64), device="meta")
        if func in EACH:
            return torch.empty(args[0].shape, dtype=args[0].dtype, device="meta")
        if func in ARITHMETIC and len(args) == 2:
            return torch.empty(_joined(args), dtype=torch.result_type(*args), device="meta")
        return func(*args, **(kwargs or {}))


def _joined(args: Iterable[Any]) -> tuple[int, ...]:
    """The shape of tensors taken together, as torch has it: its own way there imports a library of algebra."""
    try:
        return np.broadcast_shapes(*(tuple(each.shape) for each in args if isinstance(each, Tensor)))
    except ValueError as error:
        raise RuntimeError(str(error)) from error
