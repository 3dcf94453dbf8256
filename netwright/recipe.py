"""The recipe: every decision of a run with its reason; derived, set by hand, printed, saved, replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from netwright.base.errors import RecipeError, did_you_mean
from netwright.base.schema import JSON, Choice, Plan, Recipe
from netwright.learning.checkpoint import plan_from

OUTCOME = "found."
"""What names of choices begin with that are made once a network has learned."""
PARTS = ("network", "learning", "task", "kind")


def override(
    derived: Mapping[str, Choice], older: Recipe | None, by_hand: Mapping[str, JSON]
) -> dict[str, Choice]:
    """The choices that hold: set by hand, else from an older recipe, else derived.

    Args:
        derived: What the parts chose from the data.
        older: A recipe to repeat, or None.
        by_hand: `--set` values by dotted name.
    """
    choices = dict(derived)
    if older:
        for name, choice in older.choices.items():
            if name.startswith(OUTCOME):  # found anew, not set
                continue
            choices[name] = Choice(value=choice.value, why=choice.why, by=choice.by)
    for name, value in by_hand.items():
        choices[name] = Choice(value=value, why="set by hand", by="user")
    return choices


def of_task(older: Recipe | None) -> dict[str, JSON]:
    """The settings of the task in a recipe: the task is fitted with them, so they must be known before."""
    found = older.choices.items() if older else ()
    return {name: choice.value for name, choice in found if name.startswith("task.")}


def check_names(by_hand: Mapping[str, JSON]) -> None:
    """Checks that each `--set` name begins with a part.

    Raises:
        RecipeError: If one does not.
    """
    for name in by_hand:
        part = name.split(".")[0]
        if part not in PARTS or "." not in name:
            raise RecipeError(
                f"no setting is called '{name}'.",
                hint=f"write --set PART.NAME=VALUE; {did_you_mean(part, PARTS)}",
            )


def to_json(recipe: Recipe) -> str:
    """The recipe as JSON text, keys sorted."""
    return json.dumps(asdict(recipe), sort_keys=True, indent=1, allow_nan=False)


def from_json(text: str, name: str) -> Recipe:
    """The recipe in a JSON text.

    Raises:
        RecipeError: If it is not one.
    """
    try:
        facts = json.loads(text)
        return from_facts(facts)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecipeError(
            f"'{name}' is not a recipe: {error}.",
            hint="give the recipe.json of a run folder.",
        ) from error


def from_facts(facts: Any) -> Recipe:
    """The recipe whose `asdict` this is.

    Raises:
        TypeError: If it is not one.
    """
    choices = {name: Choice(**choice) for name, choice in facts["choices"].items()}
    plans = tuple(plan_from(plan) for plan in facts["plans"])
    return Recipe(**{**facts, "choices": choices, "plans": plans})


def read(path: Any) -> Recipe:
    """The recipe of a file, or of a run folder.

    Raises:
        RecipeError: If it is not there or cannot be read.
    """
    place = Path(path)
    place = place / "recipe.json" if place.is_dir() else place
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"the recipe '{path}' cannot be read: {getattr(error, 'strerror', '') or error}.",
            hint="give the recipe.json of a run folder.",
        ) from error
    return from_json(text, str(path))


def plans_of(recipe: Recipe) -> tuple[Plan, ...]:
    """The plans of a run that is to be repeated.

    Raises:
        RecipeError: If the recipe holds none.
    """
    if not recipe.plans:
        raise RecipeError("the recipe holds no plan.", hint="give the recipe of a finished run.")
    return recipe.plans


def lines(recipe: Recipe) -> list[str]:
    """The recipe for people: one line a choice, with its reason."""
    return [f"{name} = {_short(choice.value)}  ({choice.why})" for name, choice in recipe.choices.items()]


def _short(value: JSON) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:37] + "…"
