"""N-gram models against the same written plainly."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np

from netwright.objectives import ngrams


def plainly(train: list[int], test: list[int], size: int, order: int) -> list[float]:
    """Witten-Bell, one dictionary an order."""
    follow: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for length in range(order):
        for place in range(length, len(train)):
            follow[tuple(train[place - length : place])][train[place]] += 1

    def chance(past: list[int], token: int) -> float:
        value = 1.0 / size
        for length in range(min(len(past), order - 1) + 1):
            seen = follow.get(tuple(past[len(past) - length :]))
            if seen:
                value = (seen[token] + len(seen) * value) / (sum(seen.values()) + len(seen))
        return value

    return [
        -math.log(chance(test[max(0, place - order + 1) : place], token)) for place, token in enumerate(test)
    ]


def test_the_same_as_written_plainly() -> None:
    draw = np.random.default_rng(0)
    train, test = draw.integers(4, 9, 300), draw.integers(4, 9, 60)
    for order in (1, 2, 3, 4):
        found = ngrams.surprise(train, test, 9, order)
        np.testing.assert_allclose(found, plainly(train.tolist(), test.tolist(), 9, order), rtol=1e-12)


def test_chances_of_all_tokens_add_up_to_one() -> None:
    train = np.random.default_rng(1).integers(4, 12, 200)
    total = sum(math.exp(-ngrams.surprise(train, np.array([5, 6, each]), 12, 3)[2]) for each in range(12))
    assert abs(total - 1.0) < 1e-9
