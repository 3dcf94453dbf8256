"""The one tree of errors.

NetwrightError
├── DataError          the files or columns cannot be used as they are
├── RecipeError        a setting is unknown, out of range or contradicts another
│   └── UnknownName    a name was misspelt
├── LearningError      training cannot go on (not finite, out of memory, no space)
└── BundleError        a saved model is missing parts, damaged or newer than this version

A message has three parts: what is wrong with the value, where, and what to do (the hint).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NetwrightError(Exception):
    """An error whose cause lies outside our code; it names the value, the place and the way out."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  hint: {self.hint}" if self.hint else self.what


class DataError(NetwrightError, ValueError):
    """The files or columns cannot be used as they are."""


class RecipeError(NetwrightError, ValueError):
    """A setting is unknown, out of range, or contradicts another."""


class UnknownName(RecipeError):
    """A name that is not in the list of names it must come from."""


class LearningError(NetwrightError, RuntimeError):
    """Training cannot go on: not finite, out of memory, no space left, or a run in use."""


class BundleError(NetwrightError, ValueError):
    """A saved model is missing parts, damaged, not ours, or newer than this version."""


def did_you_mean(name: str, known: Iterable[str], *, limit: int = 12) -> str:
    """A hint that guesses what was meant, or else lists what there is.

    Args:
        name: What was written.
        known: What could have been written.
        limit: How many names to list at most when nothing is close.
    """
    names = [str(each) for each in known]
    lowered = {each.lower(): each for each in names}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)
    if close:
        return f"did you mean '{lowered[close[0]]}'?"
    shown = ", ".join(names[:limit])
    return f"there is: {shown}{', …' if len(names) > limit else ''}."


def unknown(what: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for a misspelt name: `unknown("network", "gatd", NETWORKS)`."""
    return UnknownName(f"no {what} is called '{name}'.", hint=did_you_mean(name, known))
