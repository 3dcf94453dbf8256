"""Free text: tokens fitted on training rows, cut at a stated length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
import torch

from netwright.base.errors import BundleError, RecipeError
from netwright.base.schema import JSON, Choice, Column, Field, Shape
from netwright.data import tokens
from netwright.data.kinds import ragged
from netwright.data.kinds.kind import AbstractKind
from netwright.data.packed import Packed
from netwright.data.tokens import END, Codes, Tokenizer

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

WORDS = 4.0
"""Mean number of words from which strings are text."""
CHARACTERS = 30.0
"""Mean length from which strings with spaces in them are text."""
DISTINCT = 50
"""Up to so many different strings are categories, however long they are."""
LONGEST = 512
"""Tokens of one text that a network reads, at most, unless set by hand."""
UNCUT = 128
"""Tokens up to which texts half as long again as the longest in training are not cut."""
SURVEYED = 20_000
"""Training texts that length and vocabulary are judged by, evenly spaced."""
SPELLED, ALPHABET = 5_000_000, 1_000
"""Characters up to which a running text is learned by the character, and different ones it may have."""
FITTED = 100_000_000
"""Characters that a tokenizer is trained on, at most."""


@final
class Text(AbstractKind):
    """Sentences and longer."""

    name = "text"
    takes = ("tokens", "size", "lower", "longest")

    def __init__(self, column: str, tokenizer: Tokenizer, longest: int) -> None:
        self.column = column
        self.tokenizer = tokenizer
        self.longest = longest

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """Long strings, most of them different."""
        import polars as pl

        if sample.dtype != pl.String or not _probably(sample):
            return None
        present = sample.drop_nulls()
        distinct = present.n_unique()
        if distinct <= min(DISTINCT, len(present) // 2):
            return None
        words, characters = _means(present.gather_every(max(1, len(present) // 2000)).to_list())
        if words < WORDS and (words < 2 or characters < CHARACTERS):
            return None
        return Choice(value=cls.name, why=f"{words:.0f} words a cell on average")

    @classmethod
    def derive(
        cls, block: pl.DataFrame, examples: int, minutes: float, shape: Shape = "rows"
    ) -> Mapping[str, Choice]:
        """Kind and number of tokens from the amount of text; how long texts are is known once they are cut."""
        cells = block.to_series().drop_nulls()
        if shape == "corpus":
            return _for_corpus(cells)
        some = cells.gather_every(max(1, len(cells) // SURVEYED)).to_list()
        characters = sum(map(len, some)) * max(1, len(cells)) // max(1, len(some))
        pairs = shape == "pairs"
        size = int(min(16_000, max(2_000, 2 ** round(np.log2(max(1, characters) / 40)))))
        size = tokens.size_for_pairs(characters) if pairs else size
        lower = len(cells) < 100_000 and not pairs
        return {
            "tokens": Choice(value="bpe", why="pieces of words: any word and any script can be written"),
            "size": Choice(value=size, why=f"{characters:,} characters of training text"),
            "lower": Choice(
                value=lower, why="few texts: case would split words" if lower else "case says something"
            ),
        }

    @classmethod
    def fit(cls, block: pl.DataFrame, columns: Sequence[Column]) -> Self:
        """Tokens of the training texts.

        Raises:
            RecipeError: If a setting is out of range.
        """
        settings = dict(columns[0].settings)
        if not {"tokens", "size", "lower"} <= set(settings):
            derived = cls.derive(block, block.height, 5.0)
            settings = {**{name: choice.value for name, choice in derived.items()}, **settings}
        name = columns[0].name
        how = settings["tokens"]
        if how not in ("bpe", "words", "characters"):
            raise RecipeError(f"kind.{name}.tokens is {how!r}.", hint="give bpe, words or characters.")
        size = ragged.whole(settings["size"], f"kind.{name}.size", 300 if how == "bpe" else 8, tokens.MOST)
        lower = str(settings["lower"]).lower() in ("true", "1", "yes")
        texts = strings(block.to_series())
        texts = texts[:: 1 + sum(map(len, texts)) // FITTED]
        tokenizer = Tokenizer.fit(texts, how, size, lower)
        decided = {} if "longest" in settings else {"longest": _longest(tokenizer, texts)}
        asked = decided["longest"].value if decided else settings["longest"]
        kind = cls(name, tokenizer, ragged.whole(asked, f"kind.{name}.longest", 1, 1_000_000))
        kind.decided = decided
        return kind

    def reads(self) -> tuple[str, ...]:
        """Names of the columns of the block."""
        return (self.column,)

    def field(self) -> Field:
        """Tokens (T,)."""
        return Field(
            key=f"text:{self.column}",
            columns=(self.column,),
            layout="tokens",
            shape=(self.longest,),
            sizes=(self.tokenizer.size,),
            tokens=() if self.tokenizer.how == "characters" else tuple(self.tokenizer.vocabulary),
        )

    def encode(self, block: pl.DataFrame) -> Packed:
        """Codes, cut at the longest; an empty text is one mark."""
        return _packed([each[: self.longest] for each in self.codes(block[self.column])])

    def codes(self, cells: pl.Series) -> list[Codes]:
        """Codes of each text, whole."""
        return self.tokenizer.encode(strings(cells))

    def notes(self, block: pl.DataFrame) -> list[str]:
        """Texts that are cut, and texts that are not there."""
        notes = []
        for codes in self.codes(block[self.column]):
            cut = f"{self.column} is cut after {self.longest:,} of {len(codes):,} tokens"
            notes.append(cut if len(codes) > self.longest else "" if len(codes) else f"{self.column} is empty")
        return notes

    def mismatch(self, block: pl.DataFrame) -> str | None:
        """Cells that are no strings."""
        cells = block[self.column]
        if cells.dtype.is_nested() or str(cells.dtype) == "Binary":
            return f"column '{self.column}' held text in training, here {str(cells.dtype).lower()}"
        return None

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Column, length and tokens."""
        content = torch.frombuffer(bytearray(self.tokenizer.to_bytes()), dtype=torch.uint8)
        return {"column": self.column, "longest": self.longest}, {"tokens": content}

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted kind again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            column, longest = str(facts["column"]), int(facts["longest"])
            content = tensors["tokens"]
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the model's text column cannot be read: {error}.") from error
        if content.dtype != torch.uint8 or content.ndim != 1 or not 1 <= longest <= 1_000_000:
            raise BundleError("the model's text column has a form that does not fit.")
        return cls(column, Tokenizer.from_bytes(content.numpy().tobytes()), longest)


def _longest(tokenizer: Tokenizer, texts: list[str]) -> Choice:
    """The tokens that nearly all texts have at most; with room for longer ones, where those are short."""
    some = texts[:: max(1, len(texts) // SURVEYED)]
    found = np.array([len(codes) for codes in tokenizer.encode(some)] or [1])
    most = max(np.quantile(found, 0.995), min(1.5 * found.max(), UNCUT))
    return Choice(
        value=int(min(LONGEST, max(16, 8 * np.ceil(most / 8)))),
        why=f"texts have {np.median(found):.0f} tokens, up to {found.max():,}; longer ones are cut",
    )


def _for_corpus(cells: pl.Series) -> dict[str, Choice]:
    """Characters where there is too little text to learn words from, pieces of words where there is more."""
    characters = int(cells.str.len_chars().sum())
    alphabet = len(set("".join(cells.gather_every(max(1, len(cells) // SURVEYED)).to_list())))
    spelled = characters < SPELLED and alphabet < ALPHABET
    size = 4_096 if characters < 20_000_000 else 16_384
    return {
        "tokens": Choice(
            value="characters" if spelled else "bpe",
            why=f"{characters:,} characters, {alphabet:,} of them different",
        ),
        "size": Choice(
            value=ALPHABET if spelled else size, why="every character" if spelled else "common pieces"
        ),
        "lower": Choice(value=False, why="what is written has to look like the text"),
        "longest": Choice(value=128, why="tokens that are seen at once"),
    }


def _packed(codes: list[Codes]) -> Packed:
    marked = [each if len(each) else np.array([END]) for each in codes]
    lengths = torch.tensor([len(each) for each in marked], dtype=torch.int64)
    values = torch.from_numpy(np.concatenate([np.empty(0, dtype=np.int64), *marked]))
    return Packed(values, torch.stack([lengths.cumsum(0) - lengths, lengths], dim=1))


def strings(cells: pl.Series) -> list[str]:
    """The cells as strings; "" where there is none."""
    import polars as pl

    ready = cells if cells.dtype == pl.String else cells.cast(pl.String, strict=False)
    return [cell or "" for cell in ready.to_list()]


def _probably(sample: pl.Series) -> bool:
    """A glance at a few cells, so that thousands of columns of short words cost little."""
    step = max(1, len(sample) // 20)
    cells = [cell for cell in sample.gather_every(step).to_list() if cell]
    words, characters = _means(cells)
    return words >= WORDS / 2 or characters >= CHARACTERS / 2


def _means(cells: list[str]) -> tuple[float, float]:
    """Mean words and mean characters. A character of a script without spaces counts as half a word."""
    count = max(1, len(cells))
    wide = sum(sum("\u3040" <= letter <= "\u9fff" for letter in cell) for cell in cells)
    words = sum(len(cell.split()) for cell in cells) + wide / 2
    return words / count, sum(map(len, cells)) / count
