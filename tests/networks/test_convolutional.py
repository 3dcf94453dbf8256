"""Convolutional networks: what they refuse, what they give, what they derive, and that they learn."""

# K = 1, B = examples, C = channels, H, W = height, width, D = features

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from netwright.base.errors import RecipeError
from netwright.base.schema import Field, InputSpec
from netwright.networks.convolutional import Convolutional
from netwright.networks.family import Machine

TABLE = Field(key="number", columns=("a", "b"), layout="numbers", shape=(2,))


def picture(channels: int, height: int, width: int) -> Field:
    """A field of pictures around middle grey."""
    return Field(
        key="image:x",
        columns=("x",),
        layout="image",
        shape=(channels, height, width),
        center=(128.0,) * channels,
        scale=(64.0,) * channels,
    )


def spec_of(*fields: Field, examples: int = 1_000) -> InputSpec:
    """Two classes."""
    return InputSpec(inputs=fields, outputs=2, task="classify", examples=examples)


def built(spec: InputSpec, **settings: int | float) -> Convolutional:
    """The network as it is derived for the spec, but for the settings given."""
    derived = Convolutional.derive(spec, 1.0, Machine())
    part = {k.removeprefix("network."): c.value for k, c in derived.items() if k.startswith("network.")}
    return Convolutional(Convolutional.Config(**{**part, **settings}), spec)


def pixels(*shape: int) -> Tensor:
    """Random pictures, uint8."""
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def pooled(network: Convolutional, x: Tensor, **others: Tensor) -> Tensor:
    """(B, D) features."""
    features = network.encode({"image:x": x, **others}).pooled_KBD
    assert features is not None
    assert features.shape == (1, len(x), network.width)
    return features[0]


def test_a_table_without_pictures_is_refused_in_one_sentence() -> None:
    assert "neighbours" in (Convolutional.refuses(spec_of(TABLE)) or "")


def test_pictures_below_8_pixels_are_refused() -> None:
    assert "8 x 8" in (Convolutional.refuses(spec_of(picture(1, 7, 28))) or "")
    assert Convolutional.refuses(spec_of(picture(1, 8, 8))) is None


def test_an_answer_a_step_is_refused() -> None:
    spec = InputSpec(inputs=(picture(1, 8, 8),), outputs=2, task="forecast", needs="steps")
    assert Convolutional.refuses(spec) is not None


@pytest.mark.parametrize(
    "shape",
    [(1, 8, 8), (3, 8, 64), (1, 9, 13), (1, 28, 28), (3, 32, 32), (3, 64, 48), (3, 96, 128), (1, 128, 17)],
)
def test_every_size_from_8_pixels_up_gives_features_of_the_declared_width(
    shape: tuple[int, int, int],
) -> None:
    network = built(spec_of(picture(*shape)))
    assert pooled(network, pixels(2, *shape)).isfinite().all()


@pytest.mark.parametrize("settings", [{"stride": 4, "stem": 4}, {"stem": 1, "stride": 1}, {"stem": 16}])
def test_every_allowed_stem_fits_the_smallest_picture(settings: dict[str, int]) -> None:
    network = built(spec_of(picture(1, 8, 8)), **settings)
    assert pooled(network, pixels(1, 1, 8, 8)).isfinite().all()


def test_one_example_alone_can_be_trained_on() -> None:
    network = built(spec_of(picture(1, 8, 8))).train()
    assert pooled(network, pixels(1, 1, 8, 8)).isfinite().all()


def test_examples_do_not_see_each_other_in_evaluation() -> None:
    network = built(spec_of(picture(3, 32, 32))).eval()
    x = pixels(5, 3, 32, 32)
    # 1e-4: convolutions of another batch size may sum in another order
    torch.testing.assert_close(pooled(network, x)[2:3], pooled(network, x[2:3]), rtol=1e-4, atol=1e-4)


def test_augmented_floats_and_stored_bytes_mean_the_same() -> None:
    network = built(spec_of(picture(1, 28, 28))).eval()
    x = pixels(3, 1, 28, 28)
    assert torch.equal(pooled(network, x), pooled(network, x.float()))


def test_the_same_seed_gives_the_same_bits() -> None:
    spec, x = spec_of(picture(3, 32, 32)), pixels(2, 3, 32, 32)
    outcomes = []
    for _ in range(2):
        torch.manual_seed(3)
        outcomes.append(pooled(built(spec).eval(), x))
    assert torch.equal(*outcomes)


def test_every_weight_gets_a_gradient() -> None:
    network = built(spec_of(picture(3, 32, 32)), depth=2)
    pooled(network, pixels(8, 3, 32, 32)).square().sum().backward()  # type: ignore[no-untyped-call]
    assert [name for name, each in network.named_parameters() if each.grad is None] == []


def test_features_are_of_sane_size_at_birth() -> None:
    network = built(spec_of(picture(3, 64, 64)), depth=3).train()
    spread = pooled(network, pixels(16, 3, 64, 64)).std().item()
    assert 0.1 < spread < 5.0


def test_weights_survive_saving() -> None:
    spec, x = spec_of(picture(1, 28, 28)), pixels(2, 1, 28, 28)
    first, second = built(spec).eval(), built(spec).eval()
    second.load_state_dict(first.state_dict())
    assert torch.equal(pooled(first, x), pooled(second, x))


def test_columns_beside_the_picture_join_after_it() -> None:
    network = built(spec_of(picture(1, 16, 16), TABLE)).eval()
    x = pixels(4, 1, 16, 16)
    numbers = torch.randn(4, 2)
    assert not torch.equal(pooled(network, x, number=numbers), pooled(network, x, number=torch.zeros(4, 2)))


def test_two_columns_of_pictures_have_a_tower_each() -> None:
    other = Field(**{**asdict(picture(3, 24, 24)), "key": "image:y"})
    network = built(spec_of(picture(1, 16, 16), other))
    inputs = {"image:x": pixels(4, 1, 16, 16), "image:y": pixels(4, 3, 24, 24)}
    features = network.encode(inputs).pooled_KBD
    assert features is not None
    assert features.shape == (1, 4, network.width)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"width": 1}, "network.width"),
        ({"dropout": 1.0}, "network.dropout"),
        ({"stem": 3, "stride": 4}, "stem"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, int], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        Convolutional.Config(**settings)


@pytest.mark.parametrize("examples", [3, 40, 1_400, 55_000, 2_000_000])
@pytest.mark.parametrize("side", [8, 28, 128])
def test_what_is_derived_is_in_range_and_has_reasons(examples: int, side: int) -> None:
    derived = Convolutional.derive(spec_of(picture(3, side, side), examples=examples), 2.0, Machine(threads=2))
    assert all(choice.why for choice in derived.values())
    json.dumps({name: choice.value for name, choice in derived.items()}, allow_nan=False)
    assert derived["learning.batch"].value >= 8
    assert derived["learning.epochs"].value >= 1


def test_minutes_do_not_change_how_many_passes_are_enough() -> None:
    spec = spec_of(picture(3, 64, 64))
    short, long = (Convolutional.derive(spec, minutes, Machine()) for minutes in (0.1, 60.0))
    assert short["learning.epochs"] == long["learning.epochs"]


def test_sixteen_pictures_are_learnt_by_heart() -> None:
    torch.manual_seed(0)
    network = built(spec_of(picture(1, 16, 16)), width=8).train()
    head = torch.nn.Linear(network.width, 2)
    x, y = pixels(16, 1, 16, 16), torch.arange(16) % 2
    optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=0.01)
    for _ in range(60):
        loss = functional.cross_entropy(head(pooled(network, x)), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < 0.05
