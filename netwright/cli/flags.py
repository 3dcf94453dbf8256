"""A command's flags as a frozen dataclass, and what typer needs to know about it.

A field is a flag: its annotation carries the help, its default is the default. So a command with
thirty flags is still a function of one argument.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from netwright.base.errors import RecipeError

Outside = Annotated[
    bool,
    typer.Option(
        "--allow-outside",
        show_default="off",
        help="Let paths of pictures in a table lead out of the table's folder.",
    ),
]
"""The flag of every command that reads a table."""
NUMBERS: Mapping[Any, tuple[Callable[[str], Any], str]] = {
    float | None: (float, "a number"),
    int | None: (int, "a whole number"),
}
"""Annotation of a flag -> how its text is read, and what it should have been."""


class Terminated(BaseException):
    """The process was asked to end by SIGTERM."""


def as_function(flags: type[Any], run: Callable[[Any], None]) -> Callable[..., None]:
    """A function with one keyword a flag, for typer to read; it calls `run` with the dataclass.

    Args:
        flags: A frozen dataclass whose annotations are typer's.
        run: What the command does; its docstring is the help text.
    """
    hints = typing.get_type_hints(flags, include_extras=True)

    def call(**values: Any) -> None:
        _finish(run, flags, values, hints)

    parameters = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(each),
            annotation=_as_text(hints[each.name]),
        )
        for each in dataclasses.fields(flags)
    ]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    call.__doc__ = run.__doc__
    return call


def _default(each: dataclasses.Field[Any]) -> Any:
    if each.default is not dataclasses.MISSING:
        return each.default
    factory = each.default_factory
    return inspect.Parameter.empty if factory is dataclasses.MISSING else factory()


def _as_text(hint: Any) -> Any:
    """The annotation with text in the place of a number: what is no number is refused in our words."""
    kind, *said = typing.get_args(hint) or (hint,)
    return Annotated[(str | None, *said)] if kind in NUMBERS else hint


def _numbers(values: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """The values with numbers read from text.

    Raises:
        RecipeError: If a text is no number.
    """
    ready = dict(values)
    for name, value in values.items():
        kind = (typing.get_args(hints[name]) or (hints[name],))[0]
        if value is None or kind not in NUMBERS:
            continue
        read, words = NUMBERS[kind]
        try:
            ready[name] = read(value)
        except ValueError:
            raise RecipeError(f"--{name.replace('_', '-')} is '{value}'.", hint=f"give {words}.") from None
    return ready


def _finish(
    run: Callable[[Any], None], flags: type[Any], values: Mapping[str, Any], hints: Mapping[str, Any]
) -> None:
    """Runs the command; an interrupt or a reader that went away ends it without a traceback."""
    try:
        run(flags(**_numbers(values, hints)))
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = open_nowhere()
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        say("interrupted.")
        raise typer.Exit(130) from None
    except Terminated:
        say("ended by SIGTERM.")
        raise typer.Exit(143) from None


def open_nowhere() -> Any:
    """A stream that forgets, so that Python's own flush at the end finds a whole one."""
    import io

    return io.StringIO()


def say(text: str) -> None:
    """One line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def names(written: Sequence[str]) -> tuple[str, ...]:
    """Column names out of `a,b` and repeated flags; a name with a comma stands in double quotes."""
    import csv

    rows = csv.reader(written, skipinitialspace=True)
    return tuple(cell.strip() for row in rows for cell in row if cell.strip())


def pairs(flag: str, written: Sequence[str], form: str) -> dict[str, str]:
    """`NAME=VALUE` flags as a dict; in `--kind` the last `=` counts, as a column name may hold one.

    Args:
        flag: The flag, for the message.
        written: What was written.
        form: How it should have been written.

    Raises:
        RecipeError: If one has no `=`, or nothing before it.
    """
    found: dict[str, str] = {}
    for each in written:
        name, sign, value = each.rpartition("=") if flag == "--kind" else each.partition("=")
        if not sign or not name.strip():
            raise RecipeError(f"{flag} is '{each}'.", hint=f"write {flag} {form}.")
        found[name.strip()] = value.strip()
    return found
