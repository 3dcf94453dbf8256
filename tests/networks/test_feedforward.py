"""Feedforward networks: the linear model, the ensemble, and how fields enter."""

# K = members, B = examples, D = width

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from netwright.base.errors import RecipeError
from netwright.base.schema import Field, InputSpec, Needs
from netwright.networks.family import Machine
from netwright.networks.feedforward import Feedforward
from netwright.networks.inputs.codes import EMBEDDED, FEW, Codes
from netwright.networks.inputs.images import Flat
from netwright.networks.inputs.numbers import Numbers

EDGES = (-2.0, -1.0, 0.0, 0.5, 2.0)
TWO = Field(key="number", columns=("a", "b"), layout="numbers", shape=(2,), edges=(EDGES, ()))
CODES = Field(key="category", columns=("c",), layout="codes", shape=(1,), sizes=(3,))
PICTURE = Field(
    key="image", columns=("d",), layout="image", shape=(2, 4, 3), center=(100.0, 50.0), scale=(50.0, 25.0)
)


def spec_of(*fields: Field, examples: int = 1000, needs: Needs = "pooled") -> InputSpec:
    return InputSpec(inputs=fields, outputs=1, task="regress", examples=examples, needs=needs)


def pooled(network: Feedforward, **inputs: Tensor) -> Tensor:
    with torch.no_grad():
        features_KBD = network.eval().encode(inputs).pooled_KBD
    assert features_KBD is not None
    return features_KBD


def test_with_no_hidden_layer_the_features_are_the_inputs_themselves() -> None:
    network = Feedforward(Feedforward.Config(depth=0, members=8), spec_of(TWO, CODES))
    number_BF, code_BF = torch.tensor([[0.5, -1.0], [2.0, 0.0]]), torch.tensor([[2], [0]])
    expected = torch.tensor([[[0.5, -1.0, 0.0, 0.0, 1.0], [2.0, 0.0, 1.0, 0.0, 0.0]]])
    assert torch.equal(pooled(network, number=number_BF, category=code_BF), expected)
    assert (network.members, network.width) == (1, 5)
    assert list(network.parameters()) == []


def test_every_setting_out_of_range_is_named_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        Feedforward.Config(depth=-1, width=0, dropout=1.5)
    said = str(caught.value)
    assert all(name in said for name in ("network.depth", "network.width", "network.dropout"))
    assert "network.members" not in said


def test_an_answer_a_step_is_refused_in_one_sentence() -> None:
    refusal = Feedforward.refuses(spec_of(TWO, needs="steps"))
    assert refusal is not None and refusal.endswith(".")
    assert Feedforward.refuses(spec_of(TWO)) is None


def test_members_share_all_layers_and_still_differ() -> None:
    sizes = {}
    for members in (2, 16):
        torch.manual_seed(0)
        network = Feedforward(Feedforward.Config(members=members, width=32), spec_of(TWO))
        features_KBD = pooled(network, number=torch.randn(4, 2))
        assert features_KBD.shape == (members, 4, 32)
        assert not torch.equal(features_KBD[0], features_KBD[1])
        sizes[members] = sum(param.numel() for param in network.layers.parameters())
    assert sizes[2] == sizes[16]


def test_one_member_carries_no_adapter() -> None:
    network = Feedforward(Feedforward.Config(members=1), spec_of(TWO))
    assert network.adapter_KD is None
    assert pooled(network, number=torch.randn(3, 2)).shape == (1, 3, 256)


def test_residual_blocks_start_as_nothing() -> None:
    torch.manual_seed(0)
    config = Feedforward.Config(members=1, residual=True, depth=2, width=16, embedding="none")
    network = Feedforward(config, spec_of(TWO))
    x_BF = torch.randn(5, 2)
    first, last = network.layers[0], network.layers[-2]
    with torch.no_grad():
        expected = torch.relu(last(first(x_BF)))
    assert torch.equal(pooled(network, number=x_BF)[0], expected)


def test_dropout_works_in_training_only() -> None:
    torch.manual_seed(0)
    network = Feedforward(Feedforward.Config(dropout=0.5, members=1), spec_of(TWO))
    x_BF = torch.randn(4, 2)
    assert torch.equal(pooled(network, number=x_BF), pooled(network, number=x_BF))
    network.train()
    first, second = (network.encode({"number": x_BF}).pooled_KBD for _ in range(2))
    assert first is not None and second is not None and not torch.equal(first, second)


@pytest.mark.parametrize("embedding", ["piecewise", "periodic"])
def test_an_embedding_keeps_the_number_itself(embedding: str) -> None:
    module = Numbers(TWO, embedding, 6)
    x_BF = torch.randn(5, 2)
    out_BD = module(x_BF)
    assert out_BD.shape == (5, module.width)
    assert torch.equal(out_BD[:, :2], x_BF)
    assert module.width == 2 + 6  # the second column has no bins, so nothing to embed


def test_a_piecewise_embedding_bends_at_its_edges_only() -> None:
    torch.manual_seed(0)
    module = Numbers(TWO, "piecewise", 4)
    with torch.no_grad():
        module.bins_END.normal_()
        x_B = torch.linspace(-2.4, 2.4, 97)  # steps of 0.05: every edge lies on a point
        curve_BD = module(torch.stack([x_B, torch.zeros_like(x_B)], dim=1))[:, 2:]
    bend_B = curve_BD.diff(dim=0).diff(dim=0).abs().amax(1)
    bends = {round(float(x), 2) for x in x_B[1:-1][bend_B > 1e-3]}
    assert bends == {-1.0, 0.0, 0.5}  # not at the outer edges: the outer bins go on for a bin's width


def test_a_piecewise_embedding_starts_as_a_line() -> None:
    module = Numbers(TWO, "piecewise", 4)
    x_B = torch.linspace(-3, 3, 31)
    with torch.no_grad():
        curve_BD = module(torch.stack([x_B, x_B], dim=1))
    # sums of float32 around 3: second differences are rounding alone
    assert curve_BD.diff(dim=0).diff(dim=0).abs().max() < 1e-5


def test_a_column_without_bins_enters_as_it_is() -> None:
    field = Field(key="number", columns=("a",), layout="numbers", shape=(1,), edges=((),))
    module = Numbers(field, "piecewise", 12)
    x_BF = torch.randn(3, 1)
    assert module.width == 1 and torch.equal(module(x_BF), x_BF)


def test_columns_of_many_codes_are_embedded_and_few_are_one_hot() -> None:
    field = Field(key="c", columns=("a", "b", "c"), layout="codes", shape=(3,), sizes=(FEW, FEW + 1, 2))
    module = Codes(field)
    out_BD = module(torch.tensor([[3, 0, 1], [FEW - 1, FEW, 0]]))
    assert out_BD.shape == (2, FEW + 2 + EMBEDDED) == (2, module.width)
    hot_BD = out_BD[:, : FEW + 2]
    assert torch.equal(hot_BD.sum(1), torch.tensor([2.0, 2.0]))
    assert hot_BD[0, 3] == 1 and hot_BD[0, FEW + 1] == 1 and hot_BD[1, FEW - 1] == 1 and hot_BD[1, FEW] == 1


def test_pictures_are_normalised_channel_by_channel() -> None:
    module = Flat(PICTURE)
    x_BCHW = torch.tensor([150, 75], dtype=torch.uint8).view(1, 2, 1, 1).expand(1, 2, 4, 3)
    assert torch.equal(module(x_BCHW), torch.ones(1, 24))


def test_tables_take_an_ensemble_and_pictures_residual_blocks() -> None:
    table = Feedforward.derive(spec_of(TWO, CODES), 2.0, Machine(threads=2))
    picture = Feedforward.derive(spec_of(PICTURE), 2.0, Machine(threads=2))
    assert table["network.members"].value > 1
    assert picture["network.members"].value == 1 and picture["network.residual"].value is True


def test_little_data_takes_few_steps_on_one_thread() -> None:
    choices = Feedforward.derive(spec_of(TWO, examples=100), 1.0, Machine(threads=8))
    steps = choices["learning.epochs"].value * 100 / choices["learning.batch"].value
    assert choices["learning.threads"].value == 1
    assert steps <= 500  # a fit of a hundred rows must not take longer than starting Python
