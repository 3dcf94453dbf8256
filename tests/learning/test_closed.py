"""Solved linear networks against NumPy's least squares."""

from __future__ import annotations

import numpy as np
import torch

from netwright.learning.closed import CALM, RANK, least_squares


def test_the_same_as_least_squares_of_rows_weighed_by_their_spread() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(500, 6)) * draw.uniform(0.1, 3.0, (500, 1)), draw.normal(size=(500, 2))
    weight = 1.0 / (x.std(axis=1, keepdims=True) + CALM)
    wanted, *_ = np.linalg.lstsq(x * weight, y * weight, rcond=None)
    whole = torch.from_numpy(x).float(), torch.from_numpy(y).float()
    parts = zip(whole[0].split(64), whole[1].split(64), strict=True)
    found, ridge = least_squares(parts, lambda weight: 0.0, ridges=(1e-6,))
    assert ridge == 1e-6
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-3, atol=1e-4)


def test_a_window_that_swings_wildly_does_not_decide() -> None:
    x = torch.linspace(-1, 1, 200).view(-1, 1).repeat(1, 2) * torch.tensor([1.0, -1.0])
    y = x[:, :1] * 2.0
    wild_x, wild_y = torch.tensor([[50.0, -50.0]]), torch.tensor([[-100.0]])
    found, _ = least_squares([(x, y), (wild_x, wild_y)], lambda weight: 0.0, ridges=(1e-3,))
    assert float((x @ found - y).abs().mean()) < 0.1


def test_the_penalty_is_the_one_that_does_best_on_other_rows() -> None:
    x, y = torch.randn(50, 4), torch.randn(50, 1)
    found, ridge = least_squares([(x, y)], lambda weight: abs(float(weight.norm()) - 0.05), ridges=(0.1, 1e4))
    assert ridge == 1e4 and float(found.norm()) < 0.05


def test_answers_of_many_steps_keep_the_shapes_of_most_spread() -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(400, 30))
    y = x @ draw.normal(size=(30, 60)) + draw.normal(size=(400, 60))
    whole = torch.from_numpy(x).float(), torch.from_numpy(y).float()
    found, _ = least_squares([whole], lambda weight: 0.0, ridges=(1e-6,))
    weight = 1.0 / (x.std(axis=1, keepdims=True) + CALM)
    plain, *_ = np.linalg.lstsq(x * weight, y * weight, rcond=None)
    left, size, right = np.linalg.svd((x * weight) @ plain, full_matrices=False)
    wanted = (left[:, :RANK] * size[:RANK]) @ right[:RANK]  # Eckart and Young: the nearest of this rank
    np.testing.assert_allclose((x * weight) @ found.numpy(), wanted, rtol=1e-3, atol=1e-3)
