"""Frozen dataclasses to JSON and back, strictly: what a stranger wrote becomes exactly the type or an error."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from netwright.base.errors import did_you_mean
from netwright.base.schema import JSON

Made = TypeVar("Made")


class Unfit(ValueError):
    """A value that is not of the type it should be; the message says where."""


def to_plain(value: Any) -> JSON:
    """The dataclass as dicts, lists and scalars."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): to_plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(each) for each in value]
    return value


def from_plain(kind: type[Made], value: JSON, where: str) -> Made:
    """The instance of a dataclass whose `to_plain` the value is; fields with a default may be lacking.

    Args:
        kind: The dataclass.
        value: Parsed JSON.
        where: What to call the value in a message.

    Raises:
        Unfit: If a field is unknown, lacking, or of another type.
    """
    if not isinstance(value, dict):
        raise Unfit(f"{where} is no object")
    hints = typing.get_type_hints(kind)
    fields = {each.name: each for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in value:
        if name not in fields:
            hint = did_you_mean(name[:80], fields)
            raise Unfit(f"{where} has a field {name[:80]!r} that is unknown here ({hint})")
    for name, each in fields.items():
        if name not in value and _is_required(each):
            raise Unfit(f"{where} lacks '{name}'")
    return kind(**{name: _fit(hints[name], each, f"{where}.{name}") for name, each in value.items()})


def _is_required(each: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return each.default is missing and each.default_factory is missing


def _fit(hint: Any, value: JSON, where: str) -> Any:
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_plain(hint, value, where)
    origin = typing.get_origin(hint)
    if origin is Literal:
        return _one_of(typing.get_args(hint), value, where)
    if origin in (typing.Union, types.UnionType):
        return _either(typing.get_args(hint), value, where)
    if origin is not None:
        return _several(origin, typing.get_args(hint), value, where)
    return _scalar(hint, value, where)


def _one_of(known: tuple[Any, ...], value: JSON, where: str) -> Any:
    for each in known:
        if type(each) is type(value) and each == value:
            return each
    raise Unfit(f"{where} is none of {', '.join(map(str, known))}")


def _either(hints: tuple[Any, ...], value: JSON, where: str) -> Any:
    if value is None and type(None) in hints:
        return None
    for hint in hints:
        if hint is not type(None):
            try:
                return _fit(hint, value, where)
            except Unfit:
                continue
    raise Unfit(f"{where} is of another type")


def _several(origin: Any, hints: tuple[Any, ...], value: JSON, where: str) -> Any:
    if issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise Unfit(f"{where} is no object")
        return {name: _fit(hints[1], each, f"{where}[{name[:80]!r}]") for name, each in value.items()}
    if not issubclass(origin, Sequence) or not isinstance(value, list):
        raise Unfit(f"{where} is no list")
    return tuple(_fit(hints[0], each, f"{where}[{index}]") for index, each in enumerate(value))


def _scalar(hint: Any, value: JSON, where: str) -> Any:
    if hint is float and type(value) is int:
        return float(value)
    if hint in (str, int, float, bool) and type(value) is hint:
        return value
    raise Unfit(f"{where} is no {getattr(hint, '__name__', hint)}")
