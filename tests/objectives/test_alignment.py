"""Losses and searches over alignments, against every path counted one by one."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from netwright.objectives import alignment


def all_texts(log_TV: Tensor) -> dict[tuple[int, ...], float]:
    """The probability of every text: the sum over all paths that say it."""
    found: dict[tuple[int, ...], float] = {}
    steps, size = log_TV.shape
    for path in itertools.product(range(size), repeat=steps):
        text = tuple(code for code, _ in itertools.groupby(path) if code)
        log = sum(float(log_TV[step, code]) for step, code in enumerate(path))
        found[text] = found.get(text, 0.0) + math.exp(log)
    return found


def drawn(examples: int, steps: int, size: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(examples, steps, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(8))
def test_the_search_finds_the_likeliest_text_and_the_loss_is_its_surprise(seed: int) -> None:
    log_BTV = drawn(1, 5, 4, seed).log_softmax(-1)
    texts = all_texts(log_BTV[0])
    best = max(texts, key=lambda text: texts[text])
    found = [int(code) for code in alignment.beam(log_BTV, 200)[0] if code]
    assert tuple(found) == best
    for text in (best, (1, 1), (2, 3, 2)):
        nats_KB, sayable_B = alignment.nats(log_BTV.unsqueeze(0), torch.tensor([[*text, 0, 0]]))
        assert bool(sayable_B[0])
        assert float(nats_KB) == pytest.approx(-math.log(texts[text]), abs=1e-4)


def test_a_beam_of_one_is_greedy_and_a_text_is_without_repetitions_and_blanks() -> None:
    log_BTV = drawn(20, 12, 5).log_softmax(-1)
    assert torch.equal(alignment.beam(log_BTV, 1), alignment.greedy(log_BTV))
    sure = torch.nn.functional.one_hot(torch.tensor([[2, 2, 0, 2, 3, 3, 0, 0], [0] * 8]), 5) * 50.0
    for width in (1, 4):
        found = alignment.beam(sure.log_softmax(-1), width)
        assert [[code for code in row if code] for row in found.tolist()] == [[2, 2, 3], []]


def test_clips_that_are_searched_together_are_searched_alone() -> None:
    log_BTV = drawn(6, 10, 6).log_softmax(-1)
    whole = alignment.beam(log_BTV, 4)
    for row in range(6):
        alone = alignment.beam(log_BTV[row : row + 1], 4)[0]
        assert [code for code in whole[row].tolist() if code] == [code for code in alone.tolist() if code]


def test_steps_that_are_not_there_say_nothing_and_cost_nothing() -> None:
    output, code_BS = drawn(3, 9, 5).unsqueeze(0), torch.tensor([[1, 2, 2], [3, 0, 0], [4, 1, 0]])
    length_B = torch.tensor([9, 4, 6])
    silenced = alignment.silenced(output, torch.arange(9) < length_B.unsqueeze(1))
    assert torch.equal(alignment.steps_there(silenced), length_B)
    nats_KB, _ = alignment.nats(silenced, code_BS)
    for row, length in enumerate(length_B.tolist()):
        alone, _ = alignment.nats(output[:, row : row + 1, :length], code_BS[row : row + 1])
        torch.testing.assert_close(nats_KB[:, row], alone[:, 0], atol=1e-5, rtol=1e-5)


def test_a_text_that_cannot_be_said_costs_nothing_and_teaches_nothing() -> None:
    output = drawn(3, 4, 5).unsqueeze(0).requires_grad_()
    code_BS = torch.zeros((3, 50_000), dtype=torch.int64)
    code_BS[0] = 1
    code_BS[1, :3] = 2  # three alike need two blanks between them
    code_BS[2, :4] = torch.tensor([1, 2, 3, 4])
    nats_KB, sayable_B = alignment.nats(output, code_BS)
    assert sayable_B.tolist() == [False, False, True]
    assert nats_KB[0, :2].tolist() == [0.0, 0.0]
    nats_KB.sum().backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None and bool(torch.isfinite(output.grad).all())
    assert not output.grad[0, :2].any()
