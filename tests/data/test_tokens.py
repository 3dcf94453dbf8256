"""Texts become codes and come back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.base import strict
from netwright.base.errors import BundleError
from netwright.data.packed import Packed, gather, pack, sizes
from netwright.data.tokens import FIRST, UNKNOWN, How, Tokenizer

TEXTS = ["the cat sat", "the dog sat down", "Straße, 東京 🦊!", "the the the cat"] * 5
HOWS: tuple[How, ...] = ("bpe", "words", "characters")


@pytest.fixture(scope="module", params=HOWS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer.fit(TEXTS, request.param, 600, lower=False)


def test_training_texts_come_back(tokenizer: Tokenizer) -> None:
    for text in TEXTS[:2]:
        assert tokenizer.decode(tokenizer.encode([text])[0]) == text


@given(text=st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_bytes_write_any_text(text: str) -> None:
    bpe = BPE
    text = text.encode("utf-8", "ignore").decode()
    codes = bpe.encode([text])[0]
    assert bpe.decode(codes) == text
    assert ((codes >= FIRST) & (codes < bpe.size)).all(), "no text becomes a mark, not even '<pad>'"


BPE = Tokenizer.fit(TEXTS, "bpe", 600, lower=False)


def test_fitted_twice_is_the_same(tokenizer: Tokenizer) -> None:
    again = Tokenizer.fit(TEXTS, tokenizer.how, 600, lower=False)
    assert again.to_bytes() == tokenizer.to_bytes()


def test_stored_and_rebuilt_is_the_same(tokenizer: Tokenizer) -> None:
    again = Tokenizer.from_bytes(tokenizer.to_bytes())
    for text in (*TEXTS[:4], "unseen ünd 中"):
        np.testing.assert_array_equal(again.encode([text])[0], tokenizer.encode([text])[0])


def test_an_unseen_word_is_one_mark() -> None:
    words = Tokenizer.fit(TEXTS, "words", 600, lower=True)
    assert words.encode(["The zebra"])[0].tolist()[1] == UNKNOWN
    assert words.encode(["THE"])[0][0] >= FIRST


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b'{"how": "bpe", "lower": false, "vocabulary": ["a"], "merges": [["b", "c"]]}',
        b'{"how": "magic", "lower": false, "vocabulary": [], "merges": []}',
        b'{"how": "words", "lower": false, "vocabulary": ["a", "a"], "merges": []}',
        b'{"how": "words", "lower": false, "vocabulary": 3, "merges": []}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_vocabulary_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError):
        Tokenizer.from_bytes(content)


def test_ragged_blocks_are_padded_with_zeros_and_nothing_else() -> None:
    examples = [torch.arange(1, n + 1) for n in (3, 1, 9, 5)]
    packed = pack(examples, torch.zeros(0, dtype=torch.int64))
    assert len(packed) == 4
    found = gather({"x": packed}, torch.tensor([2, 0]))
    assert found["x:length"].tolist() == [9, 3]
    assert found["x"].shape == (2, 16)
    assert found["x"][0, :9].tolist() == examples[2].tolist()
    assert found["x"][1].tolist() == [1, 2, 3, *[0] * 13]
    total = sizes({"x": packed})
    assert total is not None and total.tolist() == [3, 1, 9, 5]


def test_windows_may_overlap_and_need_no_padding() -> None:
    spans = torch.tensor([[0, 4], [2, 4], [4, 4]])
    packed = Packed(torch.arange(8), spans)
    assert packed.take(torch.tensor([0, 1, 2])).tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    assert sizes({"x": packed}) is None


def test_a_vocabulary_of_endless_lists_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict, "MAX_VALUES", 1_000)
    monkeypatch.setattr(strict.json, "loads", lambda *_, **__: pytest.fail("it was parsed"))
    with pytest.raises(BundleError, match="values"):
        Tokenizer.from_bytes(b"[" + b"{}," * 2_000 + b"{}]")


def test_examples_one_by_one_are_not_padded() -> None:
    ragged = pack([torch.arange(3), torch.arange(50), torch.arange(0)], torch.zeros(0, dtype=torch.int64))
    assert [len(each) for each in ragged.each()] == [3, 50, 0]
    assert [int(each) for each in Packed(torch.arange(4)).each()] == [0, 1, 2, 3]
