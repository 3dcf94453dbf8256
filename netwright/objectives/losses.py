"""How wrong an answer is, one number an example. Pure functions; the mean is taken by who calls them."""

# B = examples, C = classes, L = labels of a tag task

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from netwright.base.errors import RecipeError


def cross_entropy(
    logits_BC: Tensor,
    labels_B: Tensor,
    *,
    smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy with smoothed labels: $-w_y \sum_c q_c \log p_c$, $q_c = (1-s)[c=y] + s/C$.

    The weight is that of the row's own class and multiplies the whole loss of the row; PyTorch's
    `cross_entropy` weights every smoothed term by its own class instead.

    Args:
        logits_BC: Unnormalised scores, (B, C) float.
        labels_B: Class index, (B,) int64 in [0, C).
        smoothing: Share of the target spread over all classes alike, 0 <= s < 1.
        class_weights: Weight of each class, (C,) float >= 0; None counts all alike.

    Returns:
        One loss a row, (B,), in nats.

    Raises:
        RecipeError: If smoothing < 0 or smoothing >= 1.

    Example:
        >>> cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
        tensor([0.1269])

    Reference: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, section 7 (label smoothing).
    """
    if not 0.0 <= smoothing < 1.0:
        raise RecipeError(f"label smoothing cannot be {smoothing:g}.", hint="give a share from 0 to below 1.")
    loss_B = functional.cross_entropy(logits_BC, labels_B, reduction="none", label_smoothing=smoothing)
    return loss_B if class_weights is None else loss_B * class_weights[labels_B]


def binary_cross_entropy(logits_BL: Tensor, targets_BL: Tensor) -> Tensor:
    r"""Cross-entropy of each label against 0 or 1, averaged over the labels of a row.

    Args:
        logits_BL: Log odds, (B, L) float.
        targets_BL: 0, 1 or a probability between, (B, L) float.

    Returns:
        One loss a row, (B,), in nats a label.

    Example:
        >>> binary_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
        tensor([0.6931])
    """
    loss_BL = functional.binary_cross_entropy_with_logits(logits_BL, targets_BL, reduction="none")
    return loss_BL.mean(-1)


def squared_error(prediction_B: Tensor, target_B: Tensor) -> Tensor:
    """Square of the difference: its best constant is the mean.

    Args:
        prediction_B: Predictions, (B,) float; shapes that broadcast are taken.
        target_B: Truth, (B,) float.

    Returns:
        One loss a row, (B,), in squared units of the target.

    Example:
        >>> squared_error(torch.tensor([3.0]), torch.tensor([1.0]))
        tensor([4.])
    """
    return (prediction_B - target_B).square()


def huber(prediction_B: Tensor, target_B: Tensor, *, delta: float = 1.0) -> Tensor:
    r"""Half the square up to `delta`, a straight line beyond, so that single wild rows pull less.

    Args:
        prediction_B: Predictions, (B,) float; shapes that broadcast are taken.
        target_B: Truth, (B,) float.
        delta: Where the line begins, > 0, in units of the target.

    Returns:
        One loss a row, (B,), in squared units of the target.

    Raises:
        RecipeError: If delta <= 0.

    Example:
        >>> huber(torch.tensor([3.0, 0.5]), torch.tensor([0.0, 0.0]))
        tensor([2.5000, 0.1250])

    Reference: Huber 1964, https://doi.org/10.1214/aoms/1177703732.
    """
    if not delta > 0.0:
        raise RecipeError(f"delta of the Huber loss cannot be {delta:g}.", hint="give it above 0.")
    size_B = (prediction_B - target_B).abs()
    near_B = size_B.clamp(max=delta)
    # x²/2 inside and delta·(x - delta/2) outside are both near·(x - near/2), without a branch
    return near_B * (size_B - 0.5 * near_B)


def absolute(prediction_B: Tensor, target_B: Tensor) -> Tensor:
    """Size of the difference: its best constant is the median.

    Args:
        prediction_B: Predictions, (B,) float; shapes that broadcast are taken.
        target_B: Truth, (B,) float.

    Returns:
        One loss a row, (B,), in units of the target.

    Example:
        >>> absolute(torch.tensor([3.0]), torch.tensor([1.0]))
        tensor([2.])
    """
    return torch.abs(prediction_B - target_B)


LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "squared_error": squared_error,
    "huber": huber,
    "absolute": absolute,
}
"""Every loss by name: what the conformance tests go through."""
