"""JSON from strangers: bounded before it is parsed, each key once, numbers finite."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_JSON = 256_000_000
"""Bytes of one JSON text."""
MAX_VALUES = 8_000_000
"""Values of one JSON text: each costs Python up to 100 bytes, whatever the text is long."""
MAX_DEPTH = 48
"""Lists and objects inside each other."""
_TEXT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


def parse(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: If it is too large, too deep, holds a key twice or a number that is not finite.
    """
    if len(text) > MAX_JSON:
        raise ValueError(f"it holds a text of {len(text):,} characters")
    depth, values = _extent(text)
    if depth > MAX_DEPTH or values > MAX_VALUES:
        raise ValueError(f"it holds {values:,} values, {depth} deep")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()  # half a character cannot be printed later
    except (ValueError, RecursionError) as error:
        raise ValueError("its description is not JSON") from error
    return value


def _extent(text: str) -> tuple[int, int]:
    """How deep lists and objects lie inside each other, and about how many values there are."""
    import numpy as np

    bare = np.frombuffer(_TEXT.sub("", text).encode("utf-8", "replace"), dtype=np.uint8)
    opens = (bare == ord("[")) | (bare == ord("{"))
    closes = (bare == ord("]")) | (bare == ord("}"))
    marks = np.count_nonzero((bare == ord(",")) | (bare == ord(":"))) + np.count_nonzero(opens)
    levels = (opens.astype(np.int8) - closes.astype(np.int8))[opens | closes]
    deepest = int(levels.cumsum(dtype=np.int64).max()) if len(levels) else 0
    return deepest, int(marks)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number
