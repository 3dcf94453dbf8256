"""Texts to tokens and back: byte-level BPE, words, or characters; fitted on training texts, stored plainly."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from netwright.base import strict
from netwright.base.errors import BundleError
from netwright.base.schema import JSON

How = Literal["bpe", "words", "characters"]
PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3
FIRST = 4
"""Code of the first token that stands for text."""
MOST = 200_000
"""Tokens that a vocabulary may have."""
RARE = 2
"""Training texts that must have a word before it becomes a token."""
_WORDS = re.compile(r"\w+|[^\w\s]")
Codes = npt.NDArray[np.int64]


class Tokenizer:
    """A fitted way from texts to codes.

    Args:
        how: "bpe", "words" or "characters".
        lower: Whether case is dropped.
        vocabulary: The tokens; code `FIRST + place`.
        merges: BPE only: pairs in the order they are joined.

    Raises:
        BundleError: If vocabulary and merges do not fit together.
    """

    def __init__(
        self, how: How, lower: bool, vocabulary: Sequence[str], merges: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.how, self.lower = how, lower
        self.vocabulary, self.merges = list(vocabulary), list(merges)
        self._codes = {token: code for code, token in enumerate(self.vocabulary, start=FIRST)}
        self._bpe: Any = _rebuilt(self.vocabulary, self.merges) if how == "bpe" else None

    @classmethod
    def fit(cls, texts: Iterable[str], how: How, size: int, lower: bool) -> Self:
        """A vocabulary of at most `size` tokens from training texts."""
        ready = [text.lower() if lower else text for text in texts]
        if how == "bpe":
            return cls(how, lower, *_trained(ready, size - FIRST))
        counts: Counter[str] = Counter()
        for text in ready:
            counts.update(set(_WORDS.findall(text)) if how == "words" else text)
        least = RARE if how == "words" else 1
        known = [token for token, count in counts.items() if count >= least]
        known.sort(key=lambda token: (-counts[token], token))
        return cls(how, lower, known[: size - FIRST])

    @property
    def size(self) -> int:
        """Number of codes, padding and the other marks among them."""
        return FIRST + len(self.vocabulary)

    def encode(self, texts: Sequence[str]) -> list[Codes]:
        """Codes of each text; an empty one has none."""
        ready = [text.lower() for text in texts] if self.lower else list(texts)
        if self.how == "bpe":
            found = self._bpe.encode_batch_fast(ready, add_special_tokens=False)
            return [np.asarray(each.ids, dtype=np.int64) + FIRST for each in found]
        pieces: Iterable[Any] = map(_WORDS.findall, ready) if self.how == "words" else ready
        known = self._codes
        return [np.array([known.get(token, UNKNOWN) for token in each], dtype=np.int64) for each in pieces]

    def decode(self, codes: Iterable[int]) -> str:
        """The text of codes; marks say nothing, an unknown token is "\ufffd"."""
        kept = [int(code) for code in codes if code == UNKNOWN or FIRST <= code < self.size]
        if self.how == "bpe":
            return str(self._bpe.decode([code - FIRST for code in kept if code >= FIRST]))
        words = ["\ufffd" if code == UNKNOWN else self.vocabulary[code - FIRST] for code in kept]
        return (" " if self.how == "words" else "").join(words)

    def facts(self) -> JSON:
        """JSON that `restore` takes."""
        return {
            "how": self.how,
            "lower": self.lower,
            "vocabulary": self.vocabulary,
            "merges": [list(pair) for pair in self.merges],
        }

    def to_bytes(self) -> bytes:
        """The same as UTF-8 JSON with sorted keys."""
        return json.dumps(self.facts(), sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The tokenizer that `to_bytes` wrote.

        Raises:
            BundleError: If it is not that.
        """
        try:
            facts = strict.parse(content.decode())
            how, lower = facts["how"], bool(facts["lower"])
            vocabulary = [str(token) for token in facts["vocabulary"]]
            merges = [(str(first), str(second)) for first, second in facts["merges"]]
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the model's tokens cannot be read: {error}.") from error
        if how not in ("bpe", "words", "characters") or len(vocabulary) > MOST or len(merges) > MOST:
            raise BundleError("the model's tokens are of an unknown form.")
        if len(set(vocabulary)) != len(vocabulary):
            raise BundleError("the model's tokens are not all different.")
        return cls(how, lower, vocabulary, merges)


def size_for_pairs(characters: int) -> int:
    """A vocabulary for each side of pairs: small, so that every token is met often enough to be learned."""
    return int(min(16_000, max(1_000, 2 ** round(np.log2(max(1, characters) / 200)))))


def _trained(texts: list[str], size: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Vocabulary and merges of byte-level BPE.

    Reference: Sennrich et al. 2016, https://arxiv.org/abs/1508.07909; on bytes as in GPT-2.
    """
    from tokenizers import Tokenizer as Library
    from tokenizers import models, pre_tokenizers, trainers

    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=max(256, size),
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    model = json.loads(library.to_str())["model"]
    vocabulary = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return vocabulary, [(pair[0], pair[1]) for pair in map(_pair, model["merges"])]


def _pair(merge: Any) -> tuple[str, str]:
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second


def _rebuilt(vocabulary: list[str], merges: list[tuple[str, str]]) -> Any:
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers

    codes = {token: code for code, token in enumerate(vocabulary)}
    try:
        library = Library(models.BPE(vocab=codes, merges=merges))
    except Exception as error:  # the library raises bare Exceptions
        raise BundleError(f"the model's tokens do not fit together: {error}.") from error
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    return library
