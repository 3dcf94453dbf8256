"""Settings from outside, checked against the dataclass that owns them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from netwright.base.errors import RecipeError, did_you_mean
from netwright.base.schema import JSON

Made = TypeVar("Made")


def make(kind: type[Made], values: Mapping[str, JSON], part: str) -> Made:
    """An instance of the settings dataclass from named values; texts are read as the field's type.

    Args:
        kind: A frozen keyword-only dataclass.
        values: Setting -> value, as JSON or as the text of `--set`.
        part: What stands before the dot in `--set PART.NAME=VALUE`, for messages.

    Raises:
        RecipeError: If a name is unknown or a value does not fit.
    """
    import pydantic

    hints = typing.get_type_hints(kind)
    known = {each.name for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    ready: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise RecipeError(f"no setting is called '{part}.{name}'.", hint=_hint(part, name, known))
        try:
            ready[name] = pydantic.TypeAdapter(hints[name]).validate_python(value)
        except pydantic.ValidationError as error:
            reason = error.errors()[0]["msg"].lower()
            raise RecipeError(
                f"setting '{part}.{name}' cannot be {value!r}: {reason}.",
                hint=f"give it as {_words(hints[name])}.",
            ) from error
    return kind(**ready)


def _hint(part: str, name: str, known: set[str]) -> str:
    return did_you_mean(name, sorted(known)) + f" Write it as --set {part}.NAME=VALUE."


def _words(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(str(each) for each in typing.get_args(hint))
    names = {float: "a number", int: "a whole number", bool: "true or false", str: "a word"}
    return names.get(hint, str(hint))
