"""A command's flags as a frozen dataclass, and what typer needs to know about it.

A field is a flag: its annotation carries the help, its default is the default. So a command with
thirty flags is still a function of one argument.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any

import typer

from netwright.base.errors import RecipeError


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
        _finish(run, flags(**values))

    parameters = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(each),
            annotation=hints[each.name],
        )
        for each in dataclasses.fields(flags)
    ]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: hints[each.name] for each in dataclasses.fields(flags)}
    call.__doc__ = run.__doc__
    return call


def _default(each: dataclasses.Field[Any]) -> Any:
    if each.default is not dataclasses.MISSING:
        return each.default
    factory = each.default_factory
    return inspect.Parameter.empty if factory is dataclasses.MISSING else factory()


def _finish(run: Callable[[Any], None], flags: Any) -> None:
    """Runs the command; an interrupt or a reader that went away ends it without a traceback."""
    try:
        run(flags)
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
