"""BLEU and chrF from counts a sentence are those of sacrebleu's own corpus functions."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu

from netwright.objectives.intervals import bootstrap
from netwright.objectives.translations import TRANSLATE, counts, each_chrf

TRUTH = [
    "The cat sat on the mat.",
    "It rains.",
    'He said: "no, thank you"!',
    "Één appel",
    "long ago and far away",
]
SAID = ["The cat sits on the mat.", "It is raining", "He said no thank you!", "Een appel", ""]


def test_they_are_those_of_sacrebleu() -> None:
    draw = np.random.default_rng(0)
    words = ["a", "b", "c", "d", "e", "f", ".", ","]
    truth = TRUTH + [" ".join(draw.choice(words, draw.integers(1, 12))) for _ in range(40)]
    said = SAID + [" ".join(draw.choice(words, draw.integers(1, 12))) for _ in range(40)]
    frame = counts(said, truth)
    bleu, chrf = (metric.reduce(frame) for metric in TRANSLATE)
    assert bleu == pytest.approx(sacrebleu.corpus_bleu(said, [truth], force=True).score, abs=1e-9)
    assert chrf == pytest.approx(sacrebleu.corpus_chrf(said, [truth]).score, abs=1e-9)
    some = [3, 3, 7, 20]
    redrawn = TRANSLATE[0].reduce(frame[some])
    wanted = sacrebleu.corpus_bleu([said[n] for n in some], [[truth[n] for n in some]], force=True).score
    assert redrawn == pytest.approx(wanted, abs=1e-9)


def test_the_truth_has_all_points_and_an_interval_holds_the_value() -> None:
    assert [metric.reduce(counts(TRUTH, TRUTH)) for metric in TRANSLATE] == pytest.approx([100.0, 100.0])
    frame = counts(SAID, TRUTH)
    low, high = bootstrap(frame, TRANSLATE[1], seed=0, draws=100)
    assert low <= TRANSLATE[1].reduce(frame) <= high
    assert each_chrf(frame)[-1] == 0.0


def test_nothing_cannot_be_measured() -> None:
    assert all(np.isnan(metric.reduce(counts([], []))) for metric in TRANSLATE)
