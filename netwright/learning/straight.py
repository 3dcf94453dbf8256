"""Small plain stacks of layers learn without a graph: forward and backward written out, in numpy.

A graph costs a tiny network more than its sums: 32-64-64-2 with batches of 64 takes a quarter of the time so.
"""

# B = examples, I = inputs of a layer, O = its outputs

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

F32 = npt.NDArray[np.float32]

SMALL = 64**3
"""Products of a layer up to which numpy multiplies on one thread and calls cost more than sums."""
BENDS: dict[type[nn.Module], tuple[Callable[[F32], Any], Callable[[F32], Any]]] = {
    nn.ReLU: (lambda h: np.maximum(h, 0.0, out=h), lambda h: h > 0.0),
    nn.Tanh: (lambda h: np.tanh(h, out=h), lambda h: 1.0 - h * h),
    nn.Sigmoid: (lambda h: np.divide(1.0, 1.0 + np.exp(-h), out=h), lambda h: h * (1.0 - h)),
}
"""Activation -> applied in place, and its slope told from its own values."""


@dataclass(frozen=True)
class _Layer:
    """A layer of weighted sums, and the activations behind it; arrays share memory with the parameters."""

    weight: Tensor
    bias: Tensor | None
    weight_OI: F32
    bias_O: F32 | None
    slope: Tensor
    bias_slope: Tensor | None
    slope_OI: F32
    slope_O: F32 | None
    bend: type[nn.Module] | None


class Stack:
    """Layers one after another, and nothing else."""

    def __init__(self, layers: list[_Layer], known: bool) -> None:
        self._layers = layers
        self._known = known

    @classmethod
    def of(cls, module: nn.Module, criterion: Any, batch: int) -> Stack | None:
        """The module as a stack, or None if it is more than that, or so large that its sums are what it costs.

        Args:
            module: Its parameters stay where they are in memory while it learns.
            criterion: The loss: slopes of plain cross-entropy are written out too.
            batch: Examples a step.
        """
        if type(module) is not nn.Sequential or _hooked(module):
            return None
        layers: list[_Layer] = []
        for child in module:
            if _hooked(child):
                return None
            if type(child) is nn.Linear and _plain(child) and batch * child.weight.numel() <= SMALL:
                layers.append(_layer(child))
            elif type(child) in BENDS and layers and layers[-1].bend is None:
                layers[-1] = _bent(layers[-1], type(child))
            else:
                return None
        return cls(layers, _is_plain_cross_entropy(criterion)) if layers and _once(module) else None

    def slopes(self, x_BI: Tensor, target: Tensor, losses: Callable[[Tensor, Tensor], Tensor]) -> float:
        """The mean loss of a batch; the slopes of the parameters are left in their `grad`.

        Args:
            x_BI: float32.
            target: What the outputs are compared with, an example each.
            losses: From outputs and targets to the loss of each example, (B,).
        """
        seen = [x_BI.numpy()]
        for layer in self._layers:
            h_BO = seen[-1] @ layer.weight_OI.T
            if layer.bias_O is not None:
                h_BO += layer.bias_O
            if layer.bend is not None:
                BENDS[layer.bend][0](h_BO)
            seen.append(h_BO)
        if self._known and _are_classes(target, seen[-1]):
            loss, slope_BO = _cross_entropy(seen[-1], target.numpy())
        else:
            loss, slope_BO = _any_loss(seen[-1], target, losses)
        self._back(seen, slope_BO)
        return loss

    def _back(self, seen: list[F32], slope_BO: F32) -> None:
        for place in range(len(self._layers) - 1, -1, -1):
            layer = self._layers[place]
            if layer.bend is not None:
                slope_BO *= BENDS[layer.bend][1](seen[place + 1])
            np.matmul(slope_BO.T, seen[place], out=layer.slope_OI)
            layer.weight.grad = layer.slope
            if layer.bias is not None:
                np.add.reduce(slope_BO, axis=0, out=layer.slope_O)
                layer.bias.grad = layer.bias_slope
            if place:
                slope_BO = slope_BO @ layer.weight_OI


def _cross_entropy(logit_BO: F32, class_B: npt.NDArray[np.int64]) -> tuple[float, F32]:
    """The mean loss, and its slopes: probabilities less what is so. The logits are used up."""
    example_B = np.arange(len(logit_BO))
    logit_BO -= logit_BO.max(axis=1, keepdims=True)
    own_B = logit_BO[example_B, class_B]
    p_BO = np.exp(logit_BO, out=logit_BO)
    total_B1 = p_BO.sum(axis=1, keepdims=True)
    loss = float((np.log(total_B1[:, 0]) - own_B).mean())
    p_BO /= total_B1
    p_BO[example_B, class_B] -= 1.0
    p_BO /= np.float32(len(p_BO))
    return loss, p_BO


def _any_loss(out_BO: F32, target: Tensor, losses: Callable[[Tensor, Tensor], Tensor]) -> tuple[float, F32]:
    """The mean loss and its slopes, found by a graph of the loss alone."""
    out = torch.from_numpy(out_BO).requires_grad_()
    loss = losses(out, target).mean()
    (slope,) = torch.autograd.grad(loss, [out])
    return float(loss.detach()), slope.contiguous().numpy()


def _is_plain_cross_entropy(criterion: Any) -> bool:
    if type(criterion) is not nn.CrossEntropyLoss or _hooked(criterion):
        return False
    return criterion.weight is None and float(criterion.label_smoothing) == 0.0


def _are_classes(target: Tensor, out_BO: F32) -> bool:
    """Whether each is the number of a class; what is not, such as one to be ignored, is left to torch."""
    if target.dtype != torch.int64 or target.ndim != 1:
        return False
    largest = int(target.numpy().view(np.uint64).max())  # negative ones are very large so
    return largest < len(out_BO[0])


def _layer(child: nn.Linear) -> _Layer:
    slope = torch.empty_like(child.weight, requires_grad=False)
    bias: Tensor | None = child.bias
    bias_slope = None if bias is None else torch.empty_like(bias, requires_grad=False)
    return _Layer(
        weight=child.weight,
        bias=bias,
        weight_OI=child.weight.detach().numpy(),
        bias_O=None if bias is None else bias.detach().numpy(),
        slope=slope,
        bias_slope=bias_slope,
        slope_OI=slope.numpy(),
        slope_O=None if bias_slope is None else bias_slope.numpy(),
        bend=None,
    )


def _bent(layer: _Layer, bend: type[nn.Module]) -> _Layer:
    return _Layer(**{**vars(layer), "bend": bend})


def _plain(child: nn.Linear) -> bool:
    return all(
        each.dtype == torch.float32
        and each.device.type == "cpu"
        and each.requires_grad
        and each.is_contiguous()
        for each in child.parameters()
    )


def _once(module: nn.Module) -> bool:
    """Whether no parameter stands twice: its slopes would be written over."""
    names = [name for name, _ in module.named_parameters(remove_duplicate=False)]
    return len(names) == len(list(module.parameters()))


def _hooked(module: Any) -> bool:
    """Whether something listens to what goes through the module."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, name) for name in hooks)
