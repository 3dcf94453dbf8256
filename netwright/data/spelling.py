"""Transcripts as tokens: what of a text can be heard, and whether it is spelled or said in whole words."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from netwright.base.schema import Choice
from netwright.data.kinds.text import strings
from netwright.data.tokens import FIRST, MOST, UNKNOWN, Codes, Tokenizer

if TYPE_CHECKING:
    import polars as pl

Unit = Literal["characters", "words"]
WORDS, OFTEN = 100, 20
"""Up to so many different words, each in so many training transcripts, are learned whole."""
LONGEST = 20_000
"""Tokens of a transcript that are kept: more than can be said in the longest clip that is read."""


def texts(cells: pl.Series) -> list[str]:
    """The cells with one form for each letter and one space between words; "" where there is none."""
    return [" ".join(unicodedata.normalize("NFC", text).split()) for text in strings(cells)]


def choose_unit(known: Sequence[str]) -> Choice:
    """Whole words where there are few, all of them often; else characters."""
    counts: Counter[str] = Counter()
    for text in known:
        counts.update(set(text.split()))
    plain = all(word.isalnum() for word in counts)
    least = min(counts.values(), default=0)
    if plain and len(counts) <= WORDS and least >= OFTEN:
        why = f"{len(counts)} different words, each in {least:,} training transcripts or more"
        return Choice(value="words", why=why)
    return Choice(
        value="characters", why=f"any word can be spelled, and there are {len(counts):,} different ones"
    )


def choose_case(known: Sequence[str]) -> Choice:
    """Whether case is dropped: where some of it is written, for it cannot be heard."""
    mixed = any(text != text.lower() for text in known) and any(text != text.upper() for text in known)
    why = "case cannot be heard" if mixed else "all is written in one case"
    return Choice(value=mixed, why=why)


def fit(known: Sequence[str], unit: Unit, lower: bool) -> Tokenizer:
    """The tokens of training transcripts."""
    return Tokenizer.fit(known, unit, MOST, lower)


def codes(tokenizer: Tokenizer, said: Sequence[str]) -> list[Codes]:
    """The tokens of each transcript."""
    return [each[:LONGEST] for each in tokenizer.encode(said)]


def read(tokenizer: Tokenizer, row: Sequence[int]) -> str:
    """The transcript of codes, whose end is padded with 0."""
    return tokenizer.decode([code for code in row if code == UNKNOWN or code >= FIRST])
