"""Bags of tokens: pairs know their order, and parts of words what words have in common."""

from __future__ import annotations

import pytest
import torch

from netwright.base.schema import LENGTHS, Field
from netwright.networks.inputs import bags
from netwright.networks.inputs.bags import MOST_INSIDE, SIZES, Bag, inside

WORDS = ("paying", "payment", "lake", "a", "ca", "supercalifragilisticexpialidocious")
CODES = 4 + len(WORDS)


def bag(words: tuple[str, ...] = WORDS) -> Bag:
    torch.manual_seed(0)
    field = Field(key="t", columns=("t",), layout="tokens", shape=(9,), sizes=(CODES,), tokens=words)
    return Bag(field, 5).eval()


def pooled(network: Bag, *codes: int) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = network({"t": torch.tensor([codes]), "t" + LENGTHS: torch.tensor([len(codes)])})
    return found


def test_words_share_the_places_of_the_parts_they_share() -> None:
    found_VN = inside(WORDS, CODES)
    assert found_VN.shape == (CODES, MOST_INSIDE)
    places = [set(row.tolist()) - {0} for row in found_VN]
    assert places[4] & places[5], "pay stands in both"
    assert not places[4] & places[6]
    assert len(places[4]) == sum(len("paying") - size + 1 for size in SIZES)
    assert len(places[9]) == MOST_INSIDE
    assert not any(places[:4]) and not places[7] and not places[8], "marks and short tokens have no parts"


def test_a_bag_knows_pairs_and_parts() -> None:
    network = bag()
    assert not torch.allclose(pooled(network, 4, 6), pooled(network, 6, 4)), "pairs know the order"
    before = pooled(network, 5)
    with torch.no_grad():
        network.table[4 : 4 + len(WORDS)] = 0.0  # tokens themselves say nothing any more
    assert float(pooled(network, 5).abs().sum()) > 0.0
    assert not torch.allclose(before, pooled(network, 5))
    assert float(pooled(network, 7).abs().sum()) == 0.0, "a token of one character has nothing inside"


def test_padding_changes_nothing_and_characters_have_no_parts() -> None:
    network = bag()
    with torch.no_grad():
        padded = network({"t": torch.tensor([[4, 6, 0, 0]]), "t" + LENGTHS: torch.tensor([2])})
    torch.testing.assert_close(padded, pooled(network, 4, 6))
    assert len(bag(()).table) < len(bag().table)


def batch(*lines: list[int]) -> dict[str, torch.Tensor]:
    longest = max(map(len, lines))
    codes = torch.tensor([line + [0] * (longest - len(line)) for line in lines])
    return {"t": codes, "t" + LENGTHS: torch.tensor([len(line) for line in lines])}


def test_the_slope_is_of_the_rows_that_were_read_and_is_that_of_the_whole_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bags, "DROPPED", 0.0)
    network, read = bag(), batch([4, 6, 5], [7], [])
    wanted = network(read)
    (wanted.square().sum() + wanted[0, 0]).backward()
    whole, network.table.grad = network.table.grad, None
    found = network.train()(read)
    torch.testing.assert_close(found, wanted)
    (found.square().sum() + found[0, 0]).backward()
    slope = network.table.grad
    assert slope is not None and slope.is_sparse and whole is not None
    torch.testing.assert_close(slope.to_dense(), whole)
    rows = slope.coalesce().indices()[0]
    assert len(rows) == len(set(rows.tolist())) < len(network.table)
    assert not wanted[2].any(), "no token, no vector"


def test_tokens_are_left_out_at_random_in_training_alone() -> None:
    network, read = bag(), batch([4, 6, 5, 4, 5], [7, 8, 9])
    torch.testing.assert_close(network(read), network(read))
    network.train()
    torch.manual_seed(1)
    first = network(read)
    assert not torch.allclose(first, network(read))
    torch.manual_seed(1)
    torch.testing.assert_close(first, network(read), rtol=0.0, atol=0.0)
