"""How good translations are: sacreBLEU and chrF, from counts a sentence, so that sentences can be redrawn."""

# N = sentences

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netwright.objectives.metrics import NAN, Frame, Metric

if TYPE_CHECKING:
    import polars as pl


@functools.cache
def _library(name: str) -> Any:
    """The metric of sacrebleu, which also says its signature in papers."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return BLEU(force=True) if name == "bleu" else CHRF()


def counts(answers: Sequence[str], references: Sequence[str]) -> pl.DataFrame:
    """Columns `bleu:I` and `chrf:I`, a row a sentence: lengths, n-grams, and those that match.

    Args:
        answers: What was said.
        references: What should have been said, as many.

    Reference: Post 2018, https://aclanthology.org/W18-6319; Popović 2015, https://aclanthology.org/W15-3049.
    """
    import polars as pl

    columns: dict[str, Any] = {}
    for name in ("bleu", "chrf"):
        found = _library(name)._extract_corpus_statistics(list(answers), [list(references)])
        values = np.array(found, dtype=np.float64).reshape(len(answers), -1 if answers else 0)
        columns |= {f"{name}:{place}": values[:, place] for place in range(values.shape[1])}
    return pl.DataFrame(columns)


def _score(name: str, frame: Frame) -> float:
    """The score of the whole corpus, 0-100."""
    if not frame.height:
        return NAN
    sums = [float(frame[each].to_numpy().sum()) for each in frame.columns if each.startswith(f"{name}:")]
    return float(_library(name)._compute_score_from_stats(sums).score)


def each_chrf(frame: pl.DataFrame) -> list[float]:
    """chrF of each sentence by itself, 0-100."""
    values = frame.select(name for name in frame.columns if name.startswith("chrf:")).to_numpy()
    return [float(_library("chrf")._compute_score_from_stats(row.tolist()).score) for row in values]


TRANSLATE: tuple[Metric, ...] = (
    Metric(
        name="bleu",
        better="higher",
        reduce=lambda frame: _score("bleu", frame),
        words="sacreBLEU, 0 to 100: how many runs of one to four words the translations share with the truth.",
        reads=("bleu",),
    ),
    Metric(
        name="chrf",
        better="higher",
        reduce=lambda frame: _score("chrf", frame),
        words="chrF, 0 to 100: how many runs of one to six characters the translations share with the truth.",
        reads=("chrf",),
    ),
)
"""For translations."""
