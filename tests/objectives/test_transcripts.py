"""Edits counted here are those of jiwer 4.0, and corpus rates are those of sums."""

from __future__ import annotations

import jiwer
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.objectives import transcripts
from netwright.objectives.intervals import bootstrap

TEXTS = st.lists(st.sampled_from(["one", "two", "won", "to", "ö"]), max_size=8).map(" ".join)


@given(st.lists(st.tuples(TEXTS, TEXTS.filter(bool)), min_size=1, max_size=5))
def test_rates_are_those_of_jiwer(pairs: list[tuple[str, str]]) -> None:
    said, truth = [each for each, _ in pairs], [each for _, each in pairs]
    rows = [transcripts.counts(*pair) for pair in pairs]
    frame = pl.DataFrame(rows, schema=list(transcripts.COUNTS[2:]), orient="row")
    found = {each.name: each.reduce(frame) for each in transcripts.TRANSCRIBE}
    assert found["word_error_rate"] == pytest.approx(jiwer.wer(truth, said))
    assert found["character_error_rate"] == pytest.approx(jiwer.cer(truth, said))
    assert found["exact_match"] == np.mean([a == b for a, b in pairs])


@pytest.mark.parametrize(
    ("said", "truth", "edits"),
    [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("a" * 300, "b" * 200, 300)],
)
def test_edits_by_hand(said: str, truth: str, edits: int) -> None:
    assert transcripts.edits(said, truth) == transcripts.edits(truth, said) == edits


def test_a_rate_is_redrawn_as_a_ratio_of_sums() -> None:
    draw = np.random.default_rng(0)
    words = draw.integers(1, 30, 200)
    frame = pl.DataFrame({"word_edits": draw.binomial(words, 0.2), "words": words})
    low, high = bootstrap(frame, transcripts.TRANSCRIBE[0], seed=0)
    assert low < transcripts.TRANSCRIBE[0].reduce(frame) < high
    assert 0.15 < low < high < 0.25
    assert np.isnan(transcripts.TRANSCRIBE[0].reduce(frame.head(0)))
