"""How good transcripts are: edits from what was heard to what was said, counted an example, summed over all."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from netwright.objectives.metrics import NAN, Metric
from netwright.objectives.sequences import per

COUNTS = ("nats", "tokens", "word_edits", "words", "character_edits", "characters")
"""What is known of an example while a network learns; at the end all but the first two."""


def edits(said: Sequence[Hashable], truth: Sequence[Hashable]) -> int:
    """The least number of insertions, deletions and replacements from one to the other.

    Reference: Levenshtein 1966.
    """
    from rapidfuzz.distance import Levenshtein

    return int(Levenshtein.distance(said, truth))


def counts(said: str, truth: str) -> tuple[int, int, int, int]:
    """Edits and length of the truth, in words and in characters."""
    words = truth.split()
    return edits(said.split(), words), len(words), edits(said, truth), len(truth)


TRANSCRIBE: tuple[Metric, ...] = (
    Metric(
        name="word_error_rate",
        better="lower",
        reduce=lambda frame: per(frame, "word_edits", "words"),
        words="Words to insert, take out or replace, for each word that was said; case as it was learned.",
        reads=("word_edits", "words"),
    ),
    Metric(
        name="character_error_rate",
        better="lower",
        reduce=lambda frame: per(frame, "character_edits", "characters"),
        words="Characters to insert, take out or replace, for each that was said; case as it was learned.",
        reads=("character_edits", "characters"),
    ),
    Metric(
        name="exact_match",
        better="higher",
        reduce=lambda frame: float((frame["character_edits"].to_numpy() == 0).mean()) if frame.height else NAN,
        words="Share of clips whose transcript is right to the letter.",
        reads=("character_edits",),
    ),
)
"""For clips and what is said in them."""
