"""Numbers and texts as people read them: significant digits, plurals, Markdown that cannot break."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

NOTHING = "not measured"


def figure(value: float | None) -> str:
    """A measured number with four significant digits: 0.9931, 12,340, 3.2e-06; "not measured" for NaN."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "no limit" if value > 0 else "-no limit"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e9 or size < 1e-4:
        return f"{value:.3g}"
    places = max(0, 3 - math.floor(math.log10(size)))
    places += 3 if abs(1.0 - size) < 1e-4 else 0  # 0.99996 of the rows is not all of them
    rounded = f"{value:,.{places}f}"
    return rounded.rstrip("0").rstrip(".") if "." in rounded else rounded


def count(number: int, noun: str) -> str:
    """A number of things: "1 row", "12,000 rows"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def seconds(value: float) -> str:
    """A span of time: "0.8 s", "42 s", "3 min 5 s"."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def listed(names: Sequence[str], limit: int = 8) -> str:
    """Names in a row: "a, b, c and 4 more"."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit:,} more"


def cell(value: object) -> str:
    """A value as one Markdown cell: one line, nothing in it is read as Markdown or HTML."""
    text = figure(value) if isinstance(value, float) else str(value)
    text = re.sub(r"\s+", " ", text).strip()
    text = text if len(text) <= 200 else text[:199] + "…"
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]|#~!])", r"\\\1", text)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)  # inside a word it is plain


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table and an empty line after it; columns of numbers stand to the right."""
    body = list(rows)
    numeric = [bool(body) and all(isinstance(row[at], int | float) for row in body) for at in range(len(head))]
    lines = ["| " + " | ".join(cell(each) for each in head) + " |"]
    lines.append("|" + "|".join("---:" if right else "---" for right in numeric) + "|")
    lines += ["| " + " | ".join(_entry(each) for each in row) + " |" for row in body]
    return [*lines, ""]


def _entry(value: object) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if whole else cell(value)
