"""Parts of a batch side by side: the same slopes as of the whole, bit by bit the same each time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from netwright.learning.sharing import Sharing, divisible, may_draw
from netwright.networks.parts.dropout import Dropout


@dataclass
class Batch:
    """Rows that can be taken apart."""

    x: Tensor
    y: Tensor

    @property
    def example_B(self) -> Tensor:
        return torch.arange(len(self.x))

    def part(self, start: int, stop: int) -> Batch:
        return Batch(self.x[start:stop], self.y[start:stop])


def problem() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 33), nn.Tanh(), nn.Linear(33, 2))
    return network, torch.randn(37, 5), torch.randn(37, 2)


def loss(network: nn.Module, batch: Batch) -> Tensor:
    found: Tensor = (network(batch.x) - batch.y).square().sum() / 37
    return found


def slopes(count: int) -> tuple[list[Tensor], Tensor]:
    network, x, y = problem()
    params = list(network.parameters())
    losses = list(Sharing(count).slopes(params, lambda part: loss(network, part), Batch(x, y)))
    return [param.grad for param in params if param.grad is not None], torch.stack(losses).sum()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_slopes_of_all_parts_are_those_of_the_whole(count: int) -> None:
    network, x, y = problem()
    whole = loss(network, Batch(x, y))
    whole.backward()  # type: ignore[no-untyped-call]
    found, total = slopes(count)
    torch.testing.assert_close(total, whole.detach())
    for param, slope in zip(network.parameters(), found, strict=True):
        torch.testing.assert_close(slope, param.grad)


def test_threads_in_any_order_give_the_same_bits() -> None:
    first, _ = slopes(3)
    for _ in range(20):
        again, _ = slopes(3)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_slopes_are_added_to_those_that_are_there() -> None:
    network, x, y = problem()
    params = list(network.parameters())
    sharing = Sharing(2)
    for _ in range(2):
        list(sharing.slopes(params, lambda part: loss(network, part), Batch(x, y)))
    once, _ = slopes(1)
    for param, slope in zip(params, once, strict=True):
        torch.testing.assert_close(param.grad, 2 * slope)


def test_a_part_that_fails_says_so() -> None:
    network, x, y = problem()
    with pytest.raises(RuntimeError, match="shape"):
        list(Sharing(2).slopes(list(network.parameters()), lambda part: loss(network, part), Batch(y, x)))


def test_what_draws_or_keeps_statistics_is_not_divided() -> None:
    assert divisible(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.0), nn.LayerNorm(3)))
    assert not divisible(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1)))
    assert not divisible(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))


def test_only_what_is_known_to_draw_nothing_is_said_to() -> None:
    assert not may_draw(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.0), nn.ReLU()))
    assert may_draw(nn.Sequential(nn.Linear(3, 3), nn.Dropout2d(0.1)))
    assert may_draw(nn.Sequential(nn.RReLU()))
    assert may_draw(nn.LSTM(3, 3, num_layers=2, dropout=0.1))
    assert may_draw(nn.Sequential(Unknown())), "what a user wrote may draw"


class Unknown(nn.Module):
    """Somebody's own."""


class Drawing(nn.Module):
    """What is drawn is what is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.dropout = Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.dropout(x) * self.weight
        return found


def test_parts_draw_apart_and_a_seed_repeats_them() -> None:
    network = Drawing()
    assert divisible(network)

    def drawn(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        batch = Batch(torch.ones(64, 50), torch.zeros(64, 50))
        return list(Sharing(2).slopes([network.weight], lambda part: network(part.x).square().sum(), batch))

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert first == again
    assert first[0] != first[1]
    assert first != other
