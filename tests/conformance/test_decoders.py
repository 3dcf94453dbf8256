"""What every family that answers step by step promises, and what the search makes of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from netwright.base.schema import LENGTHS, Field, InputSpec
from netwright.data.tokens import BEGIN, END
from netwright.networks import FAMILIES
from netwright.networks.family import AbstractFamily
from netwright.tasks.network import Network
from netwright.tasks.search import UNSAID, _likeliest, search
from netwright.tasks.task import Head

WORDS = 40
SOURCE = Field(key="text:s", columns=("s",), layout="tokens", shape=(24,), sizes=(WORDS,))
SAID = Field(key="said", columns=("t",), layout="tokens", shape=(24,), sizes=(WORDS,))
SPEC = InputSpec(inputs=(SOURCE,), outputs=WORDS, task="translate", needs="decoder", examples=500, prefix=SAID)
DECODERS = [name for name in FAMILIES if FAMILIES[name].refuses(SPEC) is None]


def family(name: str) -> AbstractFamily:
    torch.manual_seed(0)
    made: AbstractFamily = FAMILIES[name](FAMILIES[name].Config(dropout=0.0, width=32), SPEC).eval()
    for weight in made.parameters():  # blocks that begin as the identity would hide a mistake
        torch.nn.init.normal_(weight, std=0.2)
    return made


def speaker(name: str) -> Network:
    made = family(name)
    network = Network(made, Head(1, made.width, WORDS), "decoder").eval()
    torch.nn.init.normal_(network.head.get_parameter("weight_KDO"), std=1.0)
    return network


def ragged(key: str, rows: int, seed: int, steps: int = 12) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    length_B = torch.randint(1, steps + 1, (rows,), generator=draw)
    code_BT = torch.randint(4, WORDS, (rows, steps), generator=draw)
    past = torch.arange(steps) >= length_B.unsqueeze(1)
    return {key: code_BT.masked_fill(past, 0), key + LENGTHS: length_B}


def pairs(rows: int = 6) -> dict[str, Tensor]:
    return {**ragged(SOURCE.key, rows, 1), **ragged(SAID.key, rows, 2)}


def outputs(network: Network, inputs: dict[str, Tensor]) -> Tensor:
    """Outputs at the steps that are there; zeros elsewhere."""
    with torch.inference_mode():
        found: Tensor = network(inputs)[0]
    steps = found.shape[1]
    return found * (torch.arange(steps) < inputs[SAID.key + LENGTHS].unsqueeze(1)).unsqueeze(2)


def longest(inputs: dict[str, Tensor]) -> Tensor:
    return 2 * inputs[SOURCE.key + LENGTHS] + 10


def found(network: Network, inputs: dict[str, Tensor], beam: int) -> Tensor:
    with torch.inference_mode():
        return search(network, inputs, SAID.key, longest(inputs), beam=beam)


def test_some_families_decode_and_the_others_say_why_not() -> None:
    assert set(DECODERS) == {"recurrent", "transformer"}
    for name in set(FAMILIES) - set(DECODERS):
        assert str(FAMILIES[name].refuses(SPEC)).endswith(".")


@pytest.mark.parametrize("name", DECODERS)
def test_padding_of_either_side_changes_nothing(name: str) -> None:
    network, inputs = speaker(name), pairs()
    before = outputs(network, inputs)
    for key in (SOURCE.key, SAID.key):
        longer = {**inputs, key: torch.cat([inputs[key], torch.zeros_like(inputs[key][:, :8])], dim=1)}
        after = outputs(network, longer)[:, : before.shape[1]]
        torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", DECODERS)
def test_pairs_do_not_see_each_other(name: str) -> None:
    network, inputs = speaker(name), pairs()
    whole = outputs(network, inputs)
    for row in range(len(whole)):
        alone = outputs(network, {key: x[row : row + 1] for key, x in inputs.items()})
        torch.testing.assert_close(whole[row : row + 1], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", DECODERS)
def test_what_is_said_later_changes_nothing(name: str) -> None:
    network, inputs = speaker(name), pairs()
    inputs[SAID.key + LENGTHS] = torch.full((6,), 12)
    other = {**inputs, SAID.key: inputs[SAID.key].clone()}
    other[SAID.key][:, 7:] = 5
    before, after = outputs(network, inputs), outputs(network, other)
    torch.testing.assert_close(before[:, :7], after[:, :7], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(before[:, 7:], after[:, 7:], atol=1e-3)


@pytest.mark.parametrize("name", DECODERS)
def test_the_source_matters(name: str) -> None:
    network, inputs = speaker(name), pairs()
    other = {**inputs, SOURCE.key: inputs[SOURCE.key].flip(0), SOURCE.key + LENGTHS: longest(inputs) * 0 + 3}
    assert not torch.allclose(outputs(network, inputs), outputs(network, other), atol=1e-3)


@pytest.mark.parametrize("name", DECODERS)
def test_step_by_step_is_all_at_once(name: str) -> None:
    network, inputs = family(name), pairs()
    said_BT = torch.randint(4, WORDS, (6, 12))
    with torch.inference_mode():
        memory = network.encode(inputs)
        every = torch.full((6,), 12)
        whole, _ = network.decode({SAID.key: said_BT, SAID.key + LENGTHS: every}, memory, None)
        state, parts = None, []
        for step_BT in torch.split(said_BT, 1, dim=1):
            one = {SAID.key: step_BT, SAID.key + LENGTHS: torch.ones(6, dtype=torch.int64)}
            part, state = network.decode(one, memory, state)
            parts.append(part.steps_KBTD)
    # float32, sums of a few hundred terms in another order
    torch.testing.assert_close(torch.cat(parts, dim=2), whole.steps_KBTD, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("beam", [1, 4])
def test_one_source_is_answered_as_among_many(name: str, beam: int) -> None:
    network, inputs = speaker(name), ragged(SOURCE.key, 9, 3)
    many = found(network, inputs, beam)
    for row in range(9):
        one = found(network, {key: x[row : row + 1] for key, x in inputs.items()}, beam)[0]
        kept = many[row, : len(one)]
        assert torch.equal(kept, one) and not many[row, len(one) :].any()


@pytest.mark.parametrize("name", DECODERS)
def test_few_at_once_are_answered_as_many_at_once(name: str) -> None:
    network, inputs = speaker(name), ragged(SOURCE.key, 9, 3)
    with torch.inference_mode():
        few = search(network, inputs, SAID.key, longest(inputs), beam=3, at_once=2)
    assert torch.equal(few, found(network, inputs, 3))


def test_the_likeliest_of_many_codes_stand_in_the_likeliest_blocks() -> None:
    score_RV = torch.rand(7, 1_234, generator=torch.Generator().manual_seed(0))
    top_RC, code_RC = _likeliest(score_RV, 8)
    expected = score_RV.topk(8, dim=1)
    assert torch.equal(top_RC, expected.values) and torch.equal(code_RC, expected.indices)


@pytest.mark.parametrize("name", DECODERS)
def test_one_beam_takes_the_likeliest_token_each_time(name: str) -> None:
    network, inputs = speaker(name), ragged(SOURCE.key, 5, 4)
    answers, most = found(network, inputs, 1), longest(inputs)
    for row in range(5):
        said = [BEGIN]
        while len(said) <= int(most[row]):
            step = {SAID.key: torch.tensor([said]), SAID.key + LENGTHS: torch.tensor([len(said)])}
            with torch.inference_mode():
                source = {key: x[row : row + 1] for key, x in inputs.items()}
                score_V = network({**source, **step})[0, 0, -1].index_fill(0, torch.tensor(UNSAID), -torch.inf)
            said.append(int(score_V.argmax()))
            if said[-1] == END:
                said.pop()
                break
        wanted = torch.tensor(said[1:])
        assert torch.equal(answers[row, : len(wanted)], wanted)
        assert not answers[row, len(wanted) :].any()


def score(network: Network, inputs: dict[str, Tensor], row: int, code_T: Tensor) -> float:
    """Mean log-probability a token of an answer and its end, if it came to one."""
    code_T = code_T[code_T > 0]
    done = len(code_T) < int(longest(inputs)[row])
    said = torch.cat([torch.tensor([BEGIN]), code_T])
    wanted = torch.cat([code_T, torch.tensor([END])]) if done else code_T
    source = {key: x[row : row + 1] for key, x in inputs.items()}
    step = {SAID.key: said.unsqueeze(0), SAID.key + LENGTHS: torch.tensor([len(said)])}
    with torch.inference_mode():
        chance_TV = network({**source, **step})[0, 0].log_softmax(-1)
    return float(chance_TV[torch.arange(len(wanted)), wanted].mean())


@pytest.mark.parametrize("name", DECODERS)
def test_more_beams_find_likelier_answers(name: str) -> None:
    network, inputs = speaker(name), ragged(SOURCE.key, 12, 5)
    narrow, wide = (
        sum(score(network, inputs, row, answer) for row, answer in enumerate(found(network, inputs, beam)))
        for beam in (1, 8)
    )
    assert wide > narrow
