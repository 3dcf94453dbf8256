"""Randomness as a pure function of (seed, words, numbers): nothing to save, nothing to restore.

Streams are told apart by a name, so two uses of one seed never share draws.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def key(*parts: int | str) -> int:
    """A 63-bit seed made of the parts: `key(seed, "order", epoch)`."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


@functools.lru_cache(maxsize=64)
def _start(*parts: int | str) -> int:
    return key(*parts)


def of_step(seed: int, step: int) -> int:
    """A 63-bit seed for what one step of a run draws: `key` takes longer than small sums."""
    return (_start(seed, "step") + step * int(_GOLDEN)) & (2**63 - 1)


def draws(numbers: npt.ArrayLike, *parts: int | str) -> U64:
    """One 64-bit draw for each number, independent of which other numbers stand beside it.

    Args:
        numbers: Row numbers, any integer array.
        parts: What the draw is for, such as (seed, "augment", epoch).

    Reference: SplitMix64, Steele et al. 2014, https://doi.org/10.1145/2660193.2660195.
    """
    with np.errstate(over="ignore"):
        state = np.asarray(numbers).astype(np.uint64) * _GOLDEN + np.uint64(key(*parts))
        state = (state ^ (state >> np.uint64(30))) * _MIX_1
        state = (state ^ (state >> np.uint64(27))) * _MIX_2
        return state ^ (state >> np.uint64(31))


def uniform(numbers: npt.ArrayLike, *parts: int | str) -> npt.NDArray[np.float64]:
    """`draws` as numbers in [0, 1)."""
    return (draws(numbers, *parts) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def generator(*parts: int | str) -> np.random.Generator:
    """A NumPy generator seeded by the parts."""
    return np.random.default_rng(key(*parts))
