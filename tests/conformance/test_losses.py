"""What every loss promises: one finite number a row, the right gradient, rows that do not see each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from netwright.base.errors import RecipeError
from netwright.objectives import losses

REFERENCE = json.loads((Path(__file__).parents[1] / "references" / "objectives.json").read_text())["losses"]
NAMES = sorted(losses.LOSSES)


def example(name: str, rows: int = 12, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    if name == "cross_entropy":
        logits = scale * torch.randn(rows, 5, generator=draw, dtype=torch.float64)
        return logits, torch.randint(0, 5, (rows,), generator=draw)
    if name == "binary_cross_entropy":
        logits = scale * torch.randn(rows, 3, generator=draw, dtype=torch.float64)
        return logits, torch.randint(0, 2, (rows, 3), generator=draw).double()
    both = scale * torch.randn(2, rows, generator=draw, dtype=torch.float64)
    return both[0], both[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_gives_one_number_a_row(name: str) -> None:
    assert losses.LOSSES[name](*example(name)).shape == (12,)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_the_finite_difference(name: str) -> None:
    output, target = example(name)
    function = losses.LOSSES[name]
    # the default tolerances of gradcheck are made for float64
    assert torch.autograd.gradcheck(lambda x: function(x, target), output.requires_grad_())


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_the_reference(name: str) -> None:
    outputs, targets = {
        "cross_entropy": (REFERENCE["logits"], torch.tensor(REFERENCE["labels"])),
        "binary_cross_entropy": (REFERENCE["logits"], torch.tensor(REFERENCE["tags"]).double()),
    }.get(name, (REFERENCE["prediction"], torch.tensor(REFERENCE["target"], dtype=torch.float64)))
    found = losses.LOSSES[name](torch.tensor(outputs, dtype=torch.float64), targets)
    # float64 throughout: only the order of a few additions differs
    torch.testing.assert_close(
        found, torch.tensor(REFERENCE[name], dtype=torch.float64), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_a_loss_and_its_gradient_are_finite_at_huge_outputs(name: str, size: float) -> None:
    output, target = example(name)
    wild = (size * output.sign()).float().requires_grad_()
    loss = losses.LOSSES[name](wild, target.float() if target.is_floating_point() else target)
    (gradient,) = torch.autograd.grad(loss.sum(), wild)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", NAMES)
def test_rows_do_not_see_each_other_and_their_order_does_not_matter(name: str) -> None:
    output, target = example(name)
    function: Callable[..., Tensor] = losses.LOSSES[name]
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(function(output, target)[order], function(output[order], target[order]))
    torch.testing.assert_close(function(output, target)[:1], function(output[:1], target[:1]))


@pytest.mark.parametrize("name", NAMES)
def test_the_right_answer_costs_least(name: str) -> None:
    output, target = example(name)
    if name == "cross_entropy":
        best = 100.0 * torch.nn.functional.one_hot(target, 5).double()
    elif name == "binary_cross_entropy":
        best = 100.0 * (2.0 * target - 1.0)
    else:
        best = target
    function = losses.LOSSES[name]
    assert (function(best, target) <= function(output, target)).all()
    # exp(-100) is what is left of a wrong class
    torch.testing.assert_close(function(best, target), torch.zeros(12, dtype=torch.float64), atol=1e-12, rtol=0)


def test_smoothed_labels_are_the_reference() -> None:
    logits = torch.tensor(REFERENCE["logits"], dtype=torch.float64)
    found = losses.cross_entropy(logits, torch.tensor(REFERENCE["labels"]), smoothing=0.1)
    expected = torch.tensor(REFERENCE["cross_entropy_smoothed_0.1"], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)  # float64, a few additions


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_weights_multiply_the_loss_of_a_row(smoothing: float) -> None:
    logits, labels = example("cross_entropy")
    weights = torch.tensor([1.0, 2.0, 0.0, 5.0, 0.5], dtype=torch.float64)
    plain = losses.cross_entropy(logits, labels, smoothing=smoothing)
    weighted = losses.cross_entropy(logits, labels, smoothing=smoothing, class_weights=weights)
    torch.testing.assert_close(weighted, plain * torch.tensor([weights[label] for label in labels]))


def test_huber_is_the_square_near_and_a_line_far_away() -> None:
    found = losses.huber(torch.tensor([0.5, 2.0, 10.0]), torch.zeros(3), delta=2.0)
    torch.testing.assert_close(found, torch.tensor([0.125, 2.0, 18.0]))


def test_errors_of_members_broadcast() -> None:
    output_KB, target_1B = torch.zeros(4, 3), torch.ones(1, 3)
    for name in ("squared_error", "huber", "absolute"):
        assert losses.LOSSES[name](output_KB, target_1B).shape == (4, 3)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_smoothing_outside_its_range_is_refused(smoothing: float) -> None:
    with pytest.raises(RecipeError, match="label smoothing cannot be"):
        losses.cross_entropy(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), smoothing=smoothing)


def test_a_huber_loss_without_a_width_is_refused() -> None:
    with pytest.raises(RecipeError, match="delta of the Huber loss cannot be 0"):
        losses.huber(torch.zeros(1), torch.zeros(1), delta=0.0)
