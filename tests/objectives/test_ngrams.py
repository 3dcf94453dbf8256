"""Kneser-Ney against the same written plainly."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from netwright.objectives.ngrams import LEAST, MOST, Counts

Table = dict[tuple[int, ...], Counter[int]]


def followed(text: list[int], order: int) -> list[Table]:
    """By length of context: how often a token came after one, or after how many different ones ahead."""
    tables: list[Table] = []
    for length in range(order):
        table: Table = defaultdict(Counter)
        seen = set()
        for place in range(length, len(text)):
            past, ahead = (
                tuple(text[place - length : place]),
                text[place - length - 1] if place > length else -1,
            )
            if length < order - 1 and (past, ahead, text[place]) in seen:
                continue
            seen.add((past, ahead, text[place]))
            table[past][text[place]] += 1
        tables.append(table)
    return tables


def plainly(train: list[int], test: list[int], size: int, order: int) -> list[float]:
    """Chen and Goodman 1999, one dictionary an order."""
    tables = followed(train, order)

    def off(table: Table, count: int) -> float:
        n1, n2, n3, n4 = (
            max(1, sum(each == n for row in table.values() for each in row.values())) for n in (1, 2, 3, 4)
        )
        share, kind = n1 / (n1 + 2 * n2), min(count, 3)
        found = {1: 1 - 2 * share * n2 / n1, 2: 2 - 3 * share * n3 / n2, 3: 3 - 4 * share * n4 / n3}[kind]
        return min(max(found, LEAST * kind), MOST * kind)

    def chance(past: list[int], token: int) -> float:
        value = 1.0 / size
        for length in range(min(len(past), order - 1) + 1):
            row = tables[length].get(tuple(past[len(past) - length :]))
            if row:
                taken = sum(off(tables[length], count) for count in row.values())
                own = row[token] - off(tables[length], row[token]) if row[token] else 0.0
                value = (own + taken * value) / sum(row.values())
        return value

    return [
        -math.log(chance(test[max(0, place - order + 1) : place], token)) for place, token in enumerate(test)
    ]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_the_same_as_written_plainly(order: int) -> None:
    draw = np.random.default_rng(0)
    train, test = draw.zipf(1.5, 400) % 6 + 4, draw.zipf(1.5, 60) % 7 + 4
    found = Counts.of(train, 12, order).surprise(test)
    np.testing.assert_allclose(found, plainly(train.tolist(), test.tolist(), 12, order), rtol=1e-5)


def test_chances_of_all_tokens_add_up_to_one_and_one_text_is_answered_as_many_are() -> None:
    draw = np.random.default_rng(1)
    counts = Counts.of(draw.integers(4, 12, 300), 12, 4)
    some = draw.integers(4, 12, (5, 7))
    every = counts.chances(some)
    np.testing.assert_allclose(every.sum(2), 1.0, rtol=1e-5)
    assert every.min() > 0.0
    np.testing.assert_allclose(counts.chances(some, 3), every[:, -3:], rtol=1e-6)
    for row, text in enumerate(some):
        np.testing.assert_allclose(counts.chances(text[None], 1)[0, 0], every[row, -1], rtol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_text_shorter_than_the_order(length: int) -> None:
    counts = Counts.of(np.full(length, 5), 8, 6)
    assert counts.reach == length - 1
    np.testing.assert_allclose(counts.chances(np.array([[4, 5, 5, 5]])).sum(2), 1.0, rtol=1e-5)
    assert counts.surprise(np.array([5])) < counts.surprise(np.array([6]))


def test_counts_come_back_from_a_file_and_damaged_ones_are_refused() -> None:
    counts = Counts.of(np.random.default_rng(2).integers(4, 9, 200), 9, 3)
    tensors, test = counts.tensors(), np.array([4, 5, 6, 7])
    np.testing.assert_array_equal(Counts.restore(tensors, 9).surprise(test), counts.surprise(test))
    for name, each in tensors.items():
        if len(each) < 2:
            continue
        with pytest.raises((ValueError, KeyError)):
            Counts.restore({**tensors, name: each.flip(0) - 100}, 9)
        with pytest.raises((ValueError, KeyError)):
            Counts.restore({**tensors, name: each[:-1]}, 9)
        with pytest.raises(ValueError, match="type"):
            Counts.restore({**tensors, name: each.double()}, 9)
    with pytest.raises(ValueError, match="no counts"):
        Counts.restore({}, 9)
