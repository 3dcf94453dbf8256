"""The shapes of a network's weights are known before any memory is taken for them, and without the compiler."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from netwright.serving.planned import Shapes


def first_weights() -> list[Tensor]:
    """What constructors do: draws, arithmetic with numbers and with one another, modules of torch's own."""
    whole = torch.randint(0, 2, (3, 4)) * 2.0 - 1.0
    drawn = nn.init.normal_(torch.empty(5, 1), std=0.3) / 2
    table = nn.Embedding(7, 4, padding_idx=0)
    starts = torch.tensor([2, 3, 4]).cumsum(0) - 2
    layers = nn.ModuleList([nn.Linear(3, 2), nn.LSTM(2, 4), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)])
    scale = 1.0 / torch.ones(4).clamp(min=0.1)
    both = drawn * torch.rand(1, 6) + torch.randn(5, 6)
    return [whole, drawn, table.weight, starts, scale, both, *layers.state_dict().values()]


def test_planned_shapes_and_types_are_those_of_the_real_thing() -> None:
    real = first_weights()
    with torch.device("meta"), Shapes():
        planned = first_weights()
    assert [(each.shape, each.dtype) for each in planned] == [(each.shape, each.dtype) for each in real]
    assert all(each.is_meta for each in planned)


def test_what_is_not_named_goes_the_usual_way() -> None:
    with torch.device("meta"), Shapes():
        assert torch.linalg.norm(torch.empty(3, 4), dim=1).shape == (3,)
        with pytest.raises(RuntimeError):
            torch.empty(3, 4) * torch.empty(5)
