"""Networks without a hidden layer under squared error: solved, not stepped towards."""

# B = examples, D = features, O = outputs

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

CALM = 0.4
"""A window's error counts by one over its spread and this, in spreads of the whole series."""
RIDGES = (1e-4, 1e-2, 1.0, 10.0, 100.0, 1e3, 1e4)
"""Penalties that are tried, as sums of squares of a feature of spread 1."""
RANK = 24
"""Shapes over its steps that a forecast is put together from: what more of them would tell is mostly chance."""


def least_squares(
    batches: Iterable[tuple[Tensor, Tensor]],
    judge: Callable[[Tensor], float],
    ridges: Sequence[float] = RIDGES,
) -> tuple[Tensor, float]:
    """Weights (D, O) with the least squared error and a penalty chosen on other rows; there is no bias.

    What is forecast is told from the last value on, and a bias there is a drift that goes on for ever. On ETTh1
    before its test rows and on ETTh2, 720 steps ahead, at eleven origins, a bias cost 2.8 % of squared error
    where it cost any, and gained 0.9 % where it gained any. A window that swings wildly has large errors, and
    few of them would decide; so each is weighed by its own spread. At six origins of both, 96 to 720 steps
    ahead, that gained 0.7 % of the error as it is, unweighed, and cost 0.9 % at worst. Answers of many steps
    are alike from step to step: of the answers to these examples only the directions of most spread are kept.
    At six origins of both that gained 0.2 % of the error, and cost 0.1 % at worst.

    Args:
        batches: Features (B, D) and targets (B, O).
        judge: The loss of weights on validation rows; lower is better.
        ridges: Penalties on the squared weights, times the number of examples over 1e4.

    Returns:
        Weights, and the penalty.

    References: Hoerl and Kennard 1970 (ridge regression); Izenman 1975,
    https://doi.org/10.1016/0047-259X(75)90042-1 (reduced rank).
    """
    count, gram, cross = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for x, y in batches:
        weight_B1 = 1.0 / (x.std(dim=1, keepdim=True, correction=0) + CALM)
        wide = (x * weight_B1).double()
        gram, cross = gram + wide.T @ wide, cross + wide.T @ (y * weight_B1).double()
        count += len(x)
    found = []
    for ridge in ridges:
        penalty = ridge * max(1.0, count / 1e4) * torch.eye(len(gram), dtype=torch.float64)
        weight = torch.linalg.solve(gram + penalty, cross).float()
        found.append((judge(weight), ridge, weight))
    _, ridge, weight = min(found, key=lambda each: each[0])
    return _of_few_shapes(weight, gram), ridge


def _of_few_shapes(weight_DO: Tensor, gram_DD: Tensor) -> Tensor:
    """The weights whose answers lie in the `RANK` directions of most spread of the answers of all."""
    if weight_DO.shape[1] <= RANK:
        return weight_DO
    wide_DO = weight_DO.double()
    _, direction_OO = torch.linalg.eigh(wide_DO.T @ gram_DD @ wide_DO)
    kept_OR = direction_OO[:, -RANK:]
    found: Tensor = (wide_DO @ kept_OR @ kept_OR.T).float()
    return found
