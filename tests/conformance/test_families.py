"""What every family of networks promises, on every kind of field it takes."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor

from netwright.base.schema import LENGTHS, Field, InputSpec
from netwright.learning.optimizers import AdamW
from netwright.learning.sharing import may_draw
from netwright.learning.trainee import Settings
from netwright.networks import FAMILIES
from netwright.networks.family import AbstractFamily, Machine
from netwright.tasks.settings import make

EDGES = tuple(float(edge) for edge in range(-3, 4))
NUMBERS = Field(key="number", columns=("a", "b"), layout="numbers", shape=(2,), edges=(EDGES, ()))
CODES = Field(key="category", columns=("c", "d"), layout="codes", shape=(2,), sizes=(4, 90))
PICTURE = Field(key="image", columns=("i",), layout="image", shape=(1, 8, 8), center=(128.0,), scale=(64.0,))
TEXT = Field(key="text:t", columns=("t",), layout="tokens", shape=(24,), sizes=(50,))
CLIP = Field(key="audio:s", columns=("s",), layout="frames", shape=(24, 5), center=(0.5,) * 5, scale=(2.0,) * 5)
SPECS = {
    "numbers": (NUMBERS,),
    "one column": (Field(key="number", columns=("a",), layout="numbers", shape=(1,), edges=((),)),),
    "codes": (CODES,),
    "table": (NUMBERS, CODES),
    "picture": (PICTURE,),
    "picture and table": (PICTURE, NUMBERS),
    "text": (TEXT,),
    "clip": (CLIP,),
    "text and table": (NUMBERS, CODES, TEXT),
    "all": (NUMBERS, CODES, TEXT, PICTURE, CLIP),
}


def spec_of(name: str) -> InputSpec:
    return InputSpec(inputs=SPECS[name], outputs=2, task="classify", examples=500)


def inputs_of(spec: InputSpec, rows: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    made = {}
    for field in spec.inputs:
        if field.layout == "numbers":
            made[field.key] = torch.randn(rows, *field.shape)
        elif field.layout == "codes":
            made[field.key] = torch.stack([torch.randint(0, n, (rows,)) for n in field.sizes], 1)
        elif field.layout in ("tokens", "frames"):
            steps = field.shape[0]
            length = torch.randint(1, steps + 1, (rows,))
            past = torch.arange(steps) >= length.unsqueeze(1)
            if field.layout == "tokens":
                made[field.key] = torch.randint(1, field.sizes[0], (rows, steps)).masked_fill(past, 0)
            else:
                made[field.key] = torch.randn(rows, *field.shape).masked_fill(past.unsqueeze(2), 0.0)
            made[field.key + LENGTHS] = length
        else:
            made[field.key] = torch.randint(0, 256, (rows, *field.shape), dtype=torch.uint8)
    return made


CELLS = [
    (family, name) for family in FAMILIES for name in SPECS if FAMILIES[family].refuses(spec_of(name)) is None
]


def built(family: str, name: str, seed: int = 0, **settings: float) -> AbstractFamily:
    spec, kind = spec_of(name), FAMILIES[family]
    derived = kind.derive(spec, 1.0, Machine())
    config = {k.removeprefix("network."): c.value for k, c in derived.items() if k.startswith("network.")}
    config |= {key: value for key, value in settings.items() if key in config}
    torch.manual_seed(seed)
    made: AbstractFamily = kind(make(kind.Config, config, "network"), spec)
    return made


@pytest.mark.parametrize(("family", "name"), CELLS)
def test_features_have_members_rows_and_width(family: str, name: str) -> None:
    network = built(family, name).eval()
    for rows in (1, 7):
        pooled = network.encode(inputs_of(spec_of(name), rows)).pooled_KBD
        assert pooled is not None
        assert pooled.shape == (network.members, rows, network.width)
        assert torch.isfinite(pooled).all()
        assert pooled.std() < 100, "sane at birth"


@pytest.mark.parametrize(("family", "name"), CELLS)
def test_rows_do_not_see_each_other(family: str, name: str) -> None:
    network, inputs = built(family, name).eval(), inputs_of(spec_of(name), 6)
    whole = network.encode(inputs).pooled_KBD
    alone = network.encode({k: x[2:3] for k, x in inputs.items()}).pooled_KBD
    assert whole is not None and alone is not None
    # float32 sums of up to a few hundred terms in another order
    torch.testing.assert_close(whole[:, 2:3], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("family", "name"), CELLS)
def test_one_seed_gives_one_network_and_its_state_survives(family: str, name: str) -> None:
    first, second, other = built(family, name), built(family, name), built(family, name, seed=1)
    a, b = first.state_dict(), second.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    other.load_state_dict(a)
    inputs = inputs_of(spec_of(name), 3)
    x, y = (each.eval().encode(inputs).pooled_KBD for each in (first, other))
    assert x is not None and y is not None and torch.equal(x, y)


@pytest.mark.parametrize(("family", "name"), CELLS)
def test_every_weight_learns(family: str, name: str) -> None:
    network = built(family, name).train()
    inputs = inputs_of(spec_of(name), 32)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    for _ in range(2):  # the second step reaches what lies behind weights that start at zero
        pooled = network.encode(inputs).pooled_KBD
        assert pooled is not None
        loss = (pooled * torch.randn(pooled.shape[-1])).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(("family", "name"), CELLS)
def test_what_is_said_to_draw_nothing_draws_nothing(family: str, name: str, dropout: float) -> None:
    network, inputs = built(family, name, dropout=dropout).train(), inputs_of(spec_of(name), 8)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    network.encode(inputs)
    assert may_draw(network) or torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("family", "name"), CELLS)
def test_settings_survive_json_and_meta_has_the_same_shapes(family: str, name: str) -> None:
    spec, kind = spec_of(name), FAMILIES[family]
    config = kind.Config()
    assert kind.Config(**json.loads(json.dumps(asdict(config)))) == config
    real = kind(config, spec).state_dict()
    with torch.device("meta"):
        planned = kind(config, spec).state_dict()
    assert {k: v.shape for k, v in real.items()} == {k: v.shape for k, v in planned.items()}


@pytest.mark.parametrize(("family", "name"), [cell for cell in CELLS if cell[1] in ("text", "clip", "all")])
def test_padding_changes_nothing(family: str, name: str) -> None:
    network, inputs = built(family, name).eval(), inputs_of(spec_of(name), 6)
    ragged = [key.removesuffix(LENGTHS) for key in inputs if key.endswith(LENGTHS)]
    longer = {
        key: torch.cat([x, torch.zeros_like(x[:, :8])], dim=1) if key in ragged else x
        for key, x in inputs.items()
    }
    for key in ragged:  # what stands after an end must not matter either
        past = torch.arange(longer[key].shape[1]) >= inputs[key + LENGTHS].unsqueeze(1)
        if key.startswith("audio"):
            longer[key] = longer[key].masked_fill(past.unsqueeze(2), 7.0)
    a, b = network.encode(inputs).pooled_KBD, network.encode(longer).pooled_KBD
    assert a is not None and b is not None
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def writer(family: str) -> AbstractFamily:
    spec = InputSpec(inputs=(TEXT,), outputs=50, task="generate", needs="steps", causal=True, examples=500)
    torch.manual_seed(0)
    settings = {"grams": 4, "places": 99} if family in ("transformer", "recurrent") else {}
    made: AbstractFamily = FAMILIES[family](FAMILIES[family].Config(dropout=0.0, **settings), spec).eval()
    for weight in made.parameters():  # blocks that begin as the identity would hide a leak
        torch.nn.init.normal_(weight, std=0.2)
    return made


def hearer(family: str, stride: int) -> AbstractFamily:
    spec = InputSpec(inputs=(CLIP,), outputs=9, task="transcribe", needs="steps", examples=500, stride=stride)
    torch.manual_seed(0)
    made: AbstractFamily = FAMILIES[family](FAMILIES[family].Config(dropout=0.0), spec).eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return made


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("family", ["convolutional", "recurrent", "transformer"])
def test_steps_that_look_both_ways_know_no_padding_and_no_neighbours(family: str, stride: int) -> None:
    network, inputs = hearer(family, stride), inputs_of(spec_of("clip"), 6)
    length_B = inputs[CLIP.key + LENGTHS]
    whole = network.encode(inputs)
    longer = network.encode(
        {**inputs, CLIP.key: torch.nn.functional.pad(inputs[CLIP.key], (0, 0, 0, 9), value=7.0)}
    )
    assert whole.steps_KBTD is not None and whole.mask_BT is not None and longer.steps_KBTD is not None
    assert torch.equal(whole.mask_BT.sum(1), -(-length_B // stride))
    for row, length in enumerate(length_B.tolist()):
        steps = -(-length // stride)
        alone = network.encode(
            {CLIP.key: inputs[CLIP.key][row : row + 1, :length], CLIP.key + LENGTHS: length_B[row : row + 1]}
        )
        assert alone.steps_KBTD is not None and alone.steps_KBTD.shape[2] == steps
        for other in (longer.steps_KBTD[:, row, :steps], alone.steps_KBTD[:, 0]):
            torch.testing.assert_close(whole.steps_KBTD[:, row, :steps], other, atol=1e-5, rtol=1e-4)


WRITERS = ("convolutional", "recurrent", "transformer")


def steps_of(network: AbstractFamily, code_BT: Tensor) -> Tensor:
    length_B = torch.full((len(code_BT),), code_BT.shape[1])
    found = network.encode({TEXT.key: code_BT, TEXT.key + LENGTHS: length_B}).steps_KBTD
    assert found is not None
    return found


@pytest.mark.parametrize("family", WRITERS)
def test_the_future_changes_nothing(family: str) -> None:
    network, code_BT = writer(family), torch.randint(1, 50, (3, 20))
    other_BT = code_BT.clone()
    other_BT[:, 12:] = torch.randint(1, 50, (3, 8))
    before, after = steps_of(network, code_BT), steps_of(network, other_BT)
    torch.testing.assert_close(before[:, :, :12], after[:, :, :12], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(before[:, :, 12:], after[:, :, 12:], atol=1e-3)


@pytest.mark.parametrize("family", WRITERS)
@pytest.mark.parametrize("examples", [1, 3])
@pytest.mark.parametrize("sizes", [[5, *[1] * 15], [1] * 20, [4, 1, 1, 6, 1, 7]])
def test_step_by_step_is_all_at_once(family: str, examples: int, sizes: list[int]) -> None:
    network, code_BT = writer(family), torch.randint(1, 50, (examples, 20))
    whole, state, parts = steps_of(network, code_BT), None, []
    with torch.no_grad():
        for some in torch.split(code_BT, sizes, dim=1):
            length_B = torch.full((examples,), some.shape[1])
            found, state = network.extend({TEXT.key: some, TEXT.key + LENGTHS: length_B}, state)
            parts.append(found)
    torch.testing.assert_close(torch.cat(parts, dim=2), whole, atol=1e-4, rtol=1e-3)


def test_a_network_without_steps_says_why_not() -> None:
    spec = InputSpec(inputs=(TEXT,), outputs=50, task="generate", needs="steps", causal=True)
    assert "one a step" in str(FAMILIES["feedforward"].refuses(spec))
    assert "order" in str(FAMILIES["recurrent"].refuses(spec_of("table")))


def test_a_convolution_over_table_columns_says_why_not() -> None:
    refusal = FAMILIES["convolutional"].refuses(spec_of("table"))
    assert refusal is not None and "neighbours" in refusal


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_setting_out_of_range_is_named(family: str) -> None:
    with pytest.raises(ValueError, match=r"network\.width"):
        FAMILIES[family].Config(width=0)


@pytest.mark.parametrize(("family", "name"), CELLS)
def test_enough_is_the_same_for_any_minutes(family: str, name: str) -> None:
    for examples in (20, 400, 30_000):
        spec = replace(spec_of(name), examples=examples)
        found = [FAMILIES[family].derive(spec, m, Machine())["learning.epochs"].value for m in (0.1, 60.0)]
        assert found[0] == found[1]


@pytest.mark.parametrize(("family", "name"), CELLS)
def test_everything_derived_is_a_known_setting_with_a_reason(family: str, name: str) -> None:
    choices = FAMILIES[family].derive(spec_of(name), 1.0, Machine(threads=2))
    assert all(choice.why for choice in choices.values())
    learning = {k.removeprefix("learning."): c.value for k, c in choices.items() if k.startswith("learning.")}
    settings = make(Settings, learning, "learning")
    assert settings.lr > 0 and settings.epochs > 0 and 1 <= settings.batch <= 500


# one smooth column cannot tell neighbours with other labels apart, nor can two steps of attention
SMOOTH = [(family, "one column") for family in FAMILIES] + [("transformer", "numbers")]


@pytest.mark.parametrize(("family", "name"), [cell for cell in CELLS if cell not in SMOOTH])
def test_thirty_two_rows_are_learned_by_heart(family: str, name: str) -> None:
    network, inputs = built(family, name).train(), inputs_of(spec_of(name), 32)
    head_KDC = torch.nn.Parameter(torch.randn(network.members, network.width, 2) * network.width**-0.5)
    target_B = (torch.arange(32) % 2).repeat(network.members)
    moved = {"params": [*network.parameters(), head_KDC], "weight_decay": 0.0}
    optimizer = AdamW([moved], lr=5e-3, betas=(0.9, 0.95))
    for _ in range(150):
        pooled = network.encode(inputs).pooled_KBD
        assert pooled is not None
        loss = torch.nn.functional.cross_entropy((pooled @ head_KDC).flatten(0, 1), target_B)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2, "labels are random: a coin gives 0.69 nats"
