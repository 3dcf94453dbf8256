"""Checks that settings of a network are in range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netwright.base.errors import RecipeError


def check(config: Any, limits: Mapping[str, tuple[float, float]]) -> None:
    """Checks all settings, and names every one that is out of range.

    Raises:
        RecipeError: If any is.
    """
    wrong = [
        f"network.{name} = {getattr(config, name)}"
        for name, (low, high) in limits.items()
        if not low <= getattr(config, name) <= high
    ]
    if wrong:
        words = ", ".join(f"{name} {low:g}-{high:g}" for name, (low, high) in limits.items())
        raise RecipeError(f"out of range: {', '.join(wrong)}.", hint=f"{words}.")


def divides(config: Any, part: str, whole: str, times: int = 1) -> None:
    """Checks that one setting divides another.

    Raises:
        RecipeError: If it does not.
    """
    if getattr(config, whole) % (times * getattr(config, part)):
        raise RecipeError(
            f"network.{part} = {getattr(config, part)} does not divide "
            f"network.{whole} = {getattr(config, whole)} into even parts.",
            hint=f"give a {whole} that is a multiple of {times} x {part}.",
        )
