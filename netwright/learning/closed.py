"""Networks without a hidden layer under squared error: solved, not stepped towards."""

# B = examples, D = features, O = outputs

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

RIDGES = (1e-4, 1e-2, 1.0, 10.0, 100.0, 1e3, 1e4)
"""Penalties that are tried, as sums of squares of a feature of spread 1."""


def least_squares(
    batches: Iterable[tuple[Tensor, Tensor]],
    judge: Callable[[Tensor, Tensor], float],
    ridges: Sequence[float] = RIDGES,
) -> tuple[Tensor, Tensor, float]:
    """Weights (D, O) and bias (O,) with the least squared error and a penalty chosen on other rows.

    Args:
        batches: Features (B, D) and targets (B, O).
        judge: The loss of weights and bias on validation rows; lower is better.
        ridges: Penalties on the squared weights, times the number of examples over 1e4.

    Returns:
        Weights, bias, and the penalty.

    Reference: Hoerl and Kennard 1970 (ridge regression).
    """
    count, sums = 0, [torch.zeros((), dtype=torch.float64)] * 4
    for x, y in batches:
        wide, deep = x.double(), y.double()
        parts = (wide.T @ wide, wide.T @ deep, wide.sum(0), deep.sum(0))
        sums = [total + part for total, part in zip(sums, parts, strict=True)]
        count += len(x)
    gram, cross, sums_x, sums_y = sums
    mean_x, mean_y = sums_x / count, sums_y / count
    gram = gram - count * torch.outer(mean_x, mean_x)
    cross = cross - count * torch.outer(mean_x, mean_y)
    found = []
    for ridge in ridges:
        penalty = ridge * max(1.0, count / 1e4) * torch.eye(len(gram), dtype=torch.float64)
        weight = torch.linalg.solve(gram + penalty, cross)
        bias = mean_y - mean_x @ weight
        found.append((judge(weight.float(), bias.float()), ridge, weight.float(), bias.float()))
    _, ridge, weight, bias = min(found, key=lambda each: each[0])
    return weight, bias, ridge
