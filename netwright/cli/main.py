"""`netwright`: the table of commands, and what becomes of errors."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Annotated

import typer

from netwright import __version__
from netwright.base.errors import NetwrightError
from netwright.cli import began
from netwright.cli.flags import Terminated, as_function, say

COMMANDS = {
    "train": "netwright.cli.train",
    "predict": "netwright.cli.predict",
    "evaluate": "netwright.cli.evaluate",
    "generate": "netwright.cli.generate",
    "show": "netwright.cli.show",
    "check": "netwright.cli.check",
    "demo": "netwright.cli.demo",
}
"""Name -> module with `Flags`, a frozen dataclass, and `run(flags)`. A new command is one line here."""

# Threads that wait for each other by spinning lose ten times the time to one busy neighbour, or to a host that
# takes the processor away; sleeping ones lose a fifth at most. It has to be said before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

WINDOWS = "netwright runs on Linux and macOS; on Windows, use it inside WSL."


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: What stands after `netwright`; None takes it from the process.

    Returns:
        The exit status: 0 done, 2 the user's mistake, 1 a bug of ours, 130 or 143 interrupted.
    """
    if sys.platform == "win32":
        say(WINDOWS)
        return 2
    _speak_utf8()
    if arguments is None:
        began.with_process()
    try:
        with _terminable():
            command = typer.main.get_command(_app())
            command.main(args=arguments, prog_name="netwright")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except NetwrightError as error:
        say(f"error: {error}")
        return 2
    except Terminated:
        return 143
    except Exception:
        traceback.print_exc()
        say("this is a bug in netwright, not in your data; please report it with the lines above.")
        return 1
    return 0


def _app() -> typer.Typer:
    """The commands as typer has them; plain help, as rich's costs 0.1 s."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        # --help is an own flag below: typer's would import pydantic to find out that it was not given
        context_settings={"help_option_names": []},
    )
    app.callback(help="Turns data into a trained neural network, and shows how it learned.")(_top)
    for name, place in COMMANDS.items():
        module = importlib.import_module(place)
        settings = {"help_option_names": ["--help"]}
        app.command(name, context_settings=settings)(as_function(module.Flags, module.run))
    return app


def _help(context: typer.Context, asked: bool) -> None:
    if asked:
        typer.echo(context.get_help())
        raise typer.Exit(0)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"netwright {__version__}")
        raise typer.Exit(0)


def _top(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_version, is_eager=True)
    ] = False,
    show_help: Annotated[
        bool, typer.Option("--help", help="Print this and end.", callback=_help, is_eager=True)
    ] = False,
) -> None:
    pass


def _speak_utf8() -> None:
    """Results are UTF-8 whatever the locale says: a class may be called 'Zürich'."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            stream.reconfigure(encoding="utf-8")


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the command in order: folders are unlocked, temporary files removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
