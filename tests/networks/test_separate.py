"""Networks that share no weight, side by side: each as it would be alone, and reading cells in its own way."""

# S = networks, B = rows, I = inputs, O = outputs

from __future__ import annotations

import datetime

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from netwright.abreast import _edges, clipped
from netwright.base.errors import RecipeError
from netwright.base.schema import Column, Field, InputSpec
from netwright.data.columns import Inputs
from netwright.data.table import Table
from netwright.networks.feedforward import Feedforward
from netwright.networks.inputs.separate import SeparateInputs, SeparateNumbers
from netwright.networks.parts.separate import SeparateLinear

ROWS = 120


def test_each_map_is_a_linear_map_of_its_own() -> None:
    torch.manual_seed(0)
    layer, x_SBI = SeparateLinear(3, 5, 4), torch.randn(3, 7, 5)
    biases = layer.bias.view(3, 4)
    for network in range(3):
        expected = nn.functional.linear(x_SBI[network], layer.weight_SIO[network].T, biases[network])
        torch.testing.assert_close(layer(x_SBI)[network], expected)


def test_biases_are_one_vector_so_that_no_optimizer_decays_them() -> None:
    assert SeparateLinear(3, 5, 4).bias.shape == (12,)


def mixed() -> Table:
    """Numbers with gaps and far values, words of which some are rare, dates."""
    draw = np.random.default_rng(3)
    number = draw.lognormal(0, 2, ROWS)
    gaps = [None if row % 7 == 0 else float(each) for row, each in enumerate(draw.normal(5, 3, ROWS))]
    words = draw.choice(["a", "b", "c", "d"], ROWS, p=[0.6, 0.3, 0.06, 0.04])
    days = [
        datetime.date(2020, 1, 1) + datetime.timedelta(days=int(each)) for each in draw.integers(0, 900, ROWS)
    ]
    cells = pl.DataFrame({"x": number, "gaps": gaps, "word": words, "day": days})
    return Table(cells=cells, source="mixed")


KINDS = {"x": "number", "gaps": "number", "word": "category", "day": "date"}
COLUMNS = tuple(Column(name=name, kind=kind, role="input", why="") for name, kind in KINDS.items())


def test_rows_are_read_as_the_kinds_fitted_to_a_networks_own_rows_would_encode_them() -> None:
    table, every = mixed(), np.arange(ROWS)
    common = Inputs.fit(table, COLUMNS, every)
    owns = [Inputs.fit(table, COLUMNS, every[every % 3 != part]) for part in range(3)]
    reading = SeparateInputs(3, common.fields(), "none", 1)
    for place, (kind, module) in enumerate(zip(common.kinds, reading.each, strict=True)):
        for network, own in enumerate(owns):
            facts = kind.against(own.kinds[place])
            assert facts is not None
            beside = (_edges(kind, own.kinds[place]),) if isinstance(module, SeparateNumbers) else ()
            module.own(network, facts, *beside)  # type: ignore[operator]
    read = reading.read({key: packed.values for key, packed in common.encode(table).items()})
    for network, own in enumerate(owns):
        for key, packed in own.encode(table).items():
            # both are float32 within (-3, 3); near its ends an encoded number tells the value less exactly
            torch.testing.assert_close(read[key][network], packed.values, atol=2e-5, rtol=0)
    plain = {key: packed.values for key, packed in common.encode(table).items()}
    assert not torch.allclose(read["number"][0], plain["number"], atol=1e-3), "nothing was read in its own way"


def test_the_gradient_of_each_is_clipped_as_torch_clips_it_alone() -> None:
    torch.manual_seed(0)
    layer = SeparateLinear(2, 3, 4)
    x_SBI = torch.randn(2, 6, 3) * torch.tensor([50.0, 0.01]).view(2, 1, 1)
    with clipped(layer, 2, 1.0):
        layer(x_SBI).square().sum().backward()
    assert layer.weight_SIO.grad is not None and layer.bias.grad is not None
    for network in range(2):
        alone = nn.Linear(3, 4)
        with torch.no_grad():
            alone.weight.copy_(layer.weight_SIO[network].T)
            alone.bias.copy_(layer.bias.view(2, 4)[network])
        alone(x_SBI[network]).square().sum().backward()
        nn.utils.clip_grad_norm_(alone.parameters(), 1.0)
        assert alone.weight.grad is not None
        torch.testing.assert_close(layer.weight_SIO.grad[network].T, alone.weight.grad)
        torch.testing.assert_close(layer.bias.grad.view(2, 4)[network], alone.bias.grad)


def test_what_they_cannot_read_is_refused_in_words() -> None:
    picture = Field(
        key="image", columns=("d",), layout="image", shape=(2, 4, 3), center=(0.0, 0.0), scale=(1.0, 1.0)
    )
    spec = InputSpec(inputs=(picture,), outputs=1, task="regress")
    with pytest.raises(RecipeError, match="not 'd'"):
        Feedforward(Feedforward.Config(folds=3), spec)
    with pytest.raises(RecipeError, match="residual"):
        Feedforward.Config(folds=3, residual=True)
    with pytest.raises(RecipeError, match="waves"):
        SeparateNumbers(2, Field(key="number", columns=("a",), layout="numbers", shape=(1,)), "periodic", 4)
