"""N-gram language models: what counting alone makes of a text."""

# B = texts, T = tokens, N = contexts asked for, V = size of the vocabulary
# C = contexts of one length, E = tokens that followed them

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Hashes = npt.NDArray[np.uint64]
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_WHOLE = 2**64 - 1
LEAST, MOST = 0.1, 0.9
"""Of a count that may be taken off it: where few counts are 1, 2 or 3, what is asked of them is chance."""
PARTS: dict[str, tuple[type[Any], type[Any]]] = {
    "context_C": (np.int64, np.uint64),
    "start_C": (np.int32, np.int32),
    "token_E": (np.int32, np.int32),
    "count_E": (np.int32, np.int32),
}
"""What a level is made of: the type in a file, and the type in use."""
CELLS_AT_ONCE = 20_000_000
"""Chances that `surprise` holds at once."""


@dataclass(frozen=True)
class Level:
    """What followed contexts of one length.

    Attributes:
        context_C: Their hashes, ascending.
        start_C: Where the tokens after each begin, and where the last ones end: (C + 1,).
        token_E: These tokens, ascending for each context.
        count_E: How often each followed, >= 1; of shorter contexts: after how many different tokens before it.
    """

    context_C: Hashes
    start_C: npt.NDArray[np.int32]
    token_E: npt.NDArray[np.int32]
    count_E: npt.NDArray[np.int32]

    @cached_property
    def discount(self) -> Floats:
        """(4,) what is taken off counts of 0, 1, 2, and 3 or more."""
        n1, n2, n3, n4 = (max(1, int((self.count_E == each).sum())) for each in (1, 2, 3, 4))
        share = n1 / (n1 + 2 * n2)
        off = np.array([1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3])
        whole = np.arange(1, 4)
        return np.append(0.0, np.clip(off, LEAST * whole, MOST * whole)).astype(np.float32)

    @cached_property
    def total_C(self) -> Floats:
        """Counts of each context."""
        return np.add.reduceat(self.count_E, self.start_C[:-1]).astype(np.float32)

    @cached_property
    def kept_E(self) -> Floats:
        """Counts less what is taken off, over those of their context."""
        off_E = self.discount[np.minimum(self.count_E, 3)]
        over_E = np.repeat(self.total_C, np.diff(self.start_C))
        return ((self.count_E - off_E) / over_E).astype(np.float32)

    @cached_property
    def passed_C(self) -> Floats:
        """Of each context, what is passed on to the shorter one, (0, 1)."""
        return (1.0 - np.add.reduceat(self.kept_E, self.start_C[:-1])).astype(np.float32)

    def is_whole(self, size: int) -> bool:
        """Whether each context has its tokens, and none is out of bounds."""
        rises = len(self.start_C) == len(self.context_C) + 1 and self.start_C[0] == 0
        rises = rises and bool((np.diff(self.start_C) > 0).all()) and self.start_C[-1] == len(self.token_E)
        bound = bool((self.token_E >= 0).all()) and bool((self.token_E < size).all())
        counted = len(self.count_E) == len(self.token_E) and bool((self.count_E >= 1).all())
        return rises and bound and counted and bool((self.context_C[1:] > self.context_C[:-1]).all())

    def find(self, hash_N: Hashes) -> tuple[Codes, npt.NDArray[np.bool_]]:
        """(N,) places of contexts, and whether they are there."""
        place_N = np.minimum(self.context_C.searchsorted(hash_N), len(self.context_C) - 1)
        return place_N, self.context_C[place_N] == hash_N


@dataclass(frozen=True)
class Counts:
    """Chances of the next token, by counts of up to so many tokens in a row: interpolated modified Kneser-Ney.

    Each length of context gives a share of its chances to the next shorter one, and a shorter one counts not
    how often a token followed but after how many different ones.

    Attributes:
        size: V; every token has a chance.
        levels: By length of context, none first; as many as tokens in a row are counted.

    Reference: Chen and Goodman 1999, section 3, https://doi.org/10.1006/csla.1999.0128
    """

    size: int
    levels: tuple[Level, ...]

    @classmethod
    def of(cls, codes: Codes, size: int, order: int) -> Self:
        """The counts of a text.

        Args:
            codes: Its tokens, >= 1 each: 0 stands before the first one.
            size: V.
            order: Tokens in a row, >= 1; fewer where the text is shorter.
        """
        levels: list[Level] = []
        at = np.arange(min(order, len(codes)) - 1, len(codes))
        for length in range(min(order, len(codes)) - 1, -1, -1):
            hash_N, token_N = _contexts(codes, length)[at - length], codes[at]
            sorted_N = np.lexsort((token_N, hash_N))
            at, hash_N, token_N = at[sorted_N], hash_N[sorted_N], token_N[sorted_N]
            fresh = np.append(True, hash_N[1:] != hash_N[:-1])
            first = np.flatnonzero(fresh | np.append(True, token_N[1:] != token_N[:-1]))
            begin = np.flatnonzero(fresh[first])
            levels.append(
                Level(
                    context_C=hash_N[first[begin]],
                    start_C=np.append(begin, len(first)).astype(np.int32),
                    token_E=token_N[first].astype(np.int32),
                    count_E=np.diff(np.append(first, len(at))).astype(np.int32),
                )
            )
            at = np.append(at[first], length - 1)  # what the text begins with has nothing before it
        return cls(size, tuple(levels[::-1]))

    @property
    def reach(self) -> int:
        """Tokens before the next one that its chances are told by, at most."""
        return len(self.levels) - 1

    def chances(self, code_BT: Codes, last: int | None = None) -> Floats:
        """(B, S, V) chances of the next token after each of the last tokens.

        Args:
            code_BT: Tokens; 0 where there is none.
            last: S, all T of them unless given.
        """
        batch, steps = code_BT.shape
        last = steps if last is None else last
        if batch * last == 1:
            return self._one(code_BT[0].tolist()).reshape(1, 1, -1)
        chance_NV = np.repeat(self._alone_V[None], batch * last, axis=0)
        flat, row_N = chance_NV.reshape(-1), np.arange(batch * last)
        hash_N = np.zeros(batch * last, dtype=np.uint64)
        padded = np.pad(code_BT, ((0, 0), (self.reach, 0)))
        for length, level in enumerate(self.levels[1:], 1):
            end = padded.shape[1] - length + 1
            hash_N = _mixed(hash_N, padded[:, end - last : end].reshape(-1)[row_N])
            place_N, there_N = level.find(hash_N)
            if not there_N.all():
                row_N, place_N, hash_N = row_N[there_N], place_N[there_N], hash_N[there_N]
            if not len(row_N):
                break
            chance_NV[row_N] *= level.passed_C[place_N, None]
            start_N = level.start_C[place_N].astype(np.int64)
            count_N = level.start_C[place_N + 1] - start_N
            after_N = np.cumsum(count_N)
            entry_E = np.arange(after_N[-1]) + np.repeat(start_N - after_N + count_N, count_N)
            flat[np.repeat(row_N * self.size, count_N) + level.token_E[entry_E]] += level.kept_E[entry_E]
        return chance_NV.reshape(batch, last, self.size)

    def _one(self, codes: list[int]) -> Floats:
        """(V,) the same after one text, in a fifth of the time: there calls on arrays are what it costs."""
        chance_V, found = self._alone_V.copy(), 0
        for level, code in zip(self.levels[1:], reversed(codes), strict=False):
            found = (found + code + 1) * int(_FACTOR) & _WHOLE
            found ^= found >> 29
            place = min(int(level.context_C.searchsorted(np.uint64(found))), len(level.context_C) - 1)
            if int(level.context_C[place]) != found:
                break
            start, end = level.start_C[place : place + 2].tolist()
            chance_V *= level.passed_C[place]
            chance_V[level.token_E[start:end]] += level.kept_E[start:end]
        return chance_V

    @cached_property
    def _alone_V(self) -> Floats:
        """(V,) chances of a token that nothing is known about."""
        level = self.levels[0]
        chance_V = np.full(self.size, level.passed_C[0] / self.size, dtype=np.float32)
        chance_V[level.token_E] += level.kept_E
        return chance_V

    def surprise(self, codes: Codes) -> npt.NDArray[np.float64]:
        """(T,) nats of each token of a text after those before it."""
        nats, step = np.empty(len(codes)), max(1, CELLS_AT_ONCE // self.size)
        before = np.append(np.zeros(self.reach + 1, dtype=np.int64), codes)
        for start in range(0, len(codes), step):
            some = codes[start : start + step]
            past = before[start : start + self.reach + len(some)]
            chance = self.chances(past[1:][None] if self.reach else past[None], len(some))[0]
            nats[start : start + step] = -np.log(chance[np.arange(len(some)), some].astype(np.float64))
        return nats

    def tensors(self) -> dict[str, Tensor]:
        """All of it, for a file."""
        found = {}
        for length, level in enumerate(self.levels):
            for name, each in vars(level).items():
                if name in PARTS:
                    found[f"{name}.{length}"] = torch.from_numpy(each.view(PARTS[name][0]))
        return found

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor], size: int) -> Self:
        """The counts of a file.

        Raises:
            ValueError: If they are not what `tensors` gives.
        """
        levels: list[Level] = []
        while f"context_C.{len(levels)}" in tensors:
            parts = {}
            for name, (stored, used) in PARTS.items():
                each = tensors[f"{name}.{len(levels)}"].numpy()
                if each.dtype != stored or each.ndim != 1 or not len(each):
                    raise ValueError(f"{name} of its counts is of another type")
                parts[name] = each.view(used)
            levels.append(Level(**parts))
            if not levels[-1].is_whole(size):
                raise ValueError("its counts do not fit together")
        if not levels:
            raise ValueError("it has no counts")
        return cls(size, tuple(levels))


def _contexts(codes: Codes, length: int) -> Hashes:
    """Hashes of the `length` tokens before each token from the `length`-th on."""
    count = len(codes) - length
    found = np.zeros(count, dtype=np.uint64)
    for back in range(length - 1, -1, -1):  # the nearest first, so that a longer context goes on from a shorter
        found = _mixed(found, codes[back : back + count])
    return found


def _mixed(hash_N: Hashes, code_N: Codes) -> Hashes:
    mixed: Hashes = (hash_N + code_N.astype(np.uint64) + np.uint64(1)) * _FACTOR
    mixed ^= mixed >> np.uint64(29)
    return mixed
