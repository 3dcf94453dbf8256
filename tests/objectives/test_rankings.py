"""Rankings against a naive count, and the linear item-to-item model against its own equations."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
import torch

from netwright.objectives import ease, rankings
from netwright.tasks.ranking import rank


def frame(ranks: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"rank": ranks})


def test_ndcg_by_hand() -> None:
    found = rankings.ndcg(frame([1.0, 2.0, 10.0, 11.0, math.inf]), 10)
    assert found == pytest.approx((1.0 + 1.0 / math.log2(3.0) + 1.0 / math.log2(11.0)) / 5)


def test_recall_and_reciprocal_rank_by_hand() -> None:
    ranks = frame([1.0, 4.0, 20.0, 21.0, math.inf])
    assert rankings.recall(ranks, 20) == pytest.approx(0.6)
    assert rankings.reciprocal(ranks) == pytest.approx((1 + 1 / 4 + 1 / 20 + 1 / 21) / 5)


def test_what_cannot_be_measured_is_nan() -> None:
    assert all(math.isnan(metric.reduce(frame([]))) for metric in rankings.RECOMMEND)


def test_ranks_are_those_of_sorting() -> None:
    draw = np.random.default_rng(0)
    scores = draw.integers(0, 6, (40, 25)).astype(np.float32)  # many equals
    target = draw.integers(0, 25, 40)
    naive = [
        sorted(range(25), key=lambda i: (-row[i], i)).index(t) + 1
        for row, t in zip(scores, target, strict=True)
    ]
    found = rank(torch.from_numpy(scores), torch.from_numpy(target))
    assert found.tolist() == naive
    assert math.isinf(rank(torch.from_numpy(scores[:1]), torch.tensor([-1])).item())


def interactions() -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    taken = (np.random.default_rng(1).random((60, 12)) < 0.3).astype(np.float64)
    users, items = np.nonzero(taken)
    return taken, torch.from_numpy(users * 7 - 100), torch.from_numpy(items)


def test_counts_are_those_of_the_matrix() -> None:
    taken, users, items = interactions()
    np.testing.assert_array_equal(ease.gram(users, items, 12).numpy(), taken.T @ taken)


def test_each_column_solves_its_own_ridge_regression() -> None:
    """Column j of EASE is the ridge regression of item j on all other items (Steck 2019, section 3)."""
    taken, users, items = interactions()
    found = ease.weights(ease.gram(users, items, 12), 5.0).numpy()
    for item in range(12):
        others = [each for each in range(12) if each != item]
        x = taken[:, others]
        naive = np.linalg.solve(x.T @ x + 5.0 * np.eye(11), x.T @ taken[:, item])
        np.testing.assert_allclose(found[others, item], naive, atol=2e-5)  # float32
        assert found[item, item] == 0.0


def test_a_ridge_that_single_precision_loses_is_raised() -> None:
    alike_II = torch.full((40, 40), 3e9)  # forty items that billions of users all took
    found_II = ease.weights(alike_II, 30.0)
    assert bool(torch.isfinite(found_II).all())
