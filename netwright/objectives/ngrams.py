"""N-gram language models: what counting alone makes of a text."""

# N = tokens, V = size of the vocabulary

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def surprise(train: Codes, test: Codes, size: int, order: int) -> Floats:
    """(N,) nats of each test token after the ones before it, from counts of the training tokens.

    Each order is mixed with the next lower one by the number of different tokens that followed.

    Args:
        train: Training tokens.
        test: Test tokens; the context of the first ones is cut short.
        size: V; every token has a share.
        order: Tokens of a count, >= 1; 1 knows no context.

    Reference: Witten and Bell 1991; as in Chen and Goodman 1999, section 2.6.
    """
    chance = np.full(len(test), 1.0 / size)
    for length in range(order):
        past, past_test = _contexts(train, length), _contexts(test, length)
        following = train[length:]
        contexts, inverse, total = np.unique(past, return_inverse=True, return_counts=True)
        pairs, count = np.unique(_pair(past, following), return_counts=True)
        first = np.unique(_pair(past, following), return_index=True)[1]
        kinds = np.bincount(inverse[first], minlength=len(contexts))
        wanted = _pair(past_test, test[length:])
        seen = _lookup(pairs, count, wanted)
        there, different = _lookup(contexts, total, past_test), _lookup(contexts, kinds, past_test)
        lower = chance[length:]
        mixed = (seen + different * lower) / np.maximum(there + different, 1)
        chance[length:] = np.where(there > 0, mixed, lower)
    nats: Floats = -np.log(chance)
    return nats


def _contexts(codes: Codes, length: int) -> npt.NDArray[np.uint64]:
    """A hash of the `length` tokens before each token from the `length`-th on."""
    count = len(codes) - length
    found = np.zeros(max(0, count), dtype=np.uint64)
    for back in range(length):
        found = (found + codes[back : back + count].astype(np.uint64) + np.uint64(1)) * _FACTOR
        found ^= found >> np.uint64(29)
    return found


def _pair(past: npt.NDArray[np.uint64], codes: Codes) -> npt.NDArray[np.uint64]:
    found = (past * _FACTOR + codes.astype(np.uint64) + np.uint64(1)) * _FACTOR
    paired: npt.NDArray[np.uint64] = found ^ (found >> np.uint64(31))
    return paired


def _lookup(
    keys: npt.NDArray[np.uint64], values: npt.NDArray[np.int64], wanted: npt.NDArray[np.uint64]
) -> Floats:
    """The value of each wanted key, 0 where it is not there."""
    if not len(keys):
        return np.zeros(len(wanted))
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0).astype(np.float64)
