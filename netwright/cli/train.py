"""`netwright train`: data to a trained, measured, saved network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from netwright.base.errors import RecipeError
from netwright.cli import began, progress, results
from netwright.cli.flags import say
from netwright.cli.reading import Reading, Word, asked
from netwright.networks import FAMILIES
from netwright.request import DEVICES, Request

if TYPE_CHECKING:
    from netwright.outcome import Run

WITH_RESUME = ("resume", "minutes", "quiet", "json")
"""Flags that mean something beside --resume; the rest comes from the run."""


@dataclass(frozen=True, kw_only=True)
class Flags(Reading):
    """The flags of `netwright train`; what is not given keeps the default of `Request`."""

    data: Annotated[
        Word,
        Argument(
            metavar="DATA",
            show_default="none; not needed with --resume",
            help="A table (CSV, TSV, Parquet, NDJSON) of rows, ratings, sentence pairs or values in order "
            "of time; a folder of pictures, clips or texts; a running text (.txt); an .npz file; or a folder "
            "of idx files or of train, validation and test files.",
        ),
    ] = None
    folds: Annotated[
        int | None,
        Option(
            "--folds",
            metavar="N",
            show_default="none: one part of the rows is tested",
            help="Cross-validation: N networks learn at once and every row is tested by one that was kept "
            "from it, 3-100; for tables of numbers and categories.",
        ),
    ] = None
    metric: Annotated[
        Word,
        Option("--metric", metavar="NAME", show_default="the task's first", help="Headline of the card."),
    ] = None
    network: Annotated[
        Word,
        Option(
            "--network",
            metavar="F|auto",
            show_default=Request.network,
            help=f"Family of networks: {', '.join(FAMILIES)}, or auto.",
        ),
    ] = None
    minutes: Annotated[
        float | None,
        Option(
            "--minutes",
            metavar="M",
            show_default=f"{Request.minutes:g} minutes",
            help="Ceiling on the whole command, in minutes; it ends earlier where more does not pay. "
            "With --resume: minutes to add, default 0.",
        ),
    ] = None
    memory: Annotated[
        Word,
        Option(
            "--memory",
            metavar="SIZE",
            show_default="0.6 of what is free",
            help="Ceiling on memory, such as 500M or 8G; what takes more is learned from by pieces.",
        ),
    ] = None
    recipe: Annotated[
        Word,
        Option("--recipe", metavar="FILE", show_default="none", help="recipe.json of a run, to repeat it."),
    ] = None
    from_: Annotated[
        Word,
        Option("--from", metavar="MODEL", show_default="none", help="Model to start from; in a later version."),
    ] = None
    seed: Annotated[
        int | None,
        Option(
            "--seed",
            metavar="N",
            show_default=str(Request.seed),
            help="Where split, first weights, order and augmentation come from: a whole number from 0 on.",
        ),
    ] = None
    device: Annotated[
        Word,
        Option(
            "--device",
            metavar="|".join(DEVICES),
            show_default=Request.device,
            help="Where to compute; auto takes a GPU where there is one.",
        ),
    ] = None
    out: Annotated[
        Word,
        Option(
            "--out",
            metavar="RUN",
            show_default="runs/ and the name of DATA, with a number where that is taken",
            help="Folder for everything that the run leaves.",
        ),
    ] = None
    force: Annotated[bool, Option("--force", show_default="off", help="Overwrite the run in --out.")] = False
    resume: Annotated[
        Word,
        Option(
            "--resume",
            metavar="RUN",
            show_default="none",
            help="Go on with an interrupted run; data and settings come from its folder.",
        ),
    ] = None
    quiet: Annotated[
        bool, Option("--quiet", show_default="off", help="Print the result only: no findings, no progress.")
    ] = False
    json: Annotated[bool, Option("--json", show_default="off", help="Print the result as one JSON object.")] = (
        False
    )


def run(flags: Flags) -> None:
    """Train a network on DATA, and measure it on unseen rows.

    Everything is saved in a run folder. What was found and decided goes to stderr, the result to stdout.
    Ctrl-C or SIGTERM ends after the step in hand and saves; `netwright train --resume RUN` goes on.
    """
    if flags.resume is None and flags.data is None:
        raise RecipeError("there is no DATA to train on.", hint="write netwright train DATA --target COLUMN.")
    if flags.resume is not None:
        _refuse_beside_resume(flags)
    settings = asked(flags)
    with progress.listening(quiet=flags.quiet) as listener:
        trained = _train(flags, settings, listener)
    print(results.of_run(trained, json=flags.json))
    if listener.signal is not None:
        say(f"interrupted; go on with: netwright train --resume {trained.folder}")
        raise typer.Exit(128 + listener.signal)


def _train(flags: Flags, settings: dict[str, Any], listener: progress.Listener) -> Run:
    from netwright import build

    if flags.resume is not None:
        return build.resume(flags.resume, minutes=flags.minutes, listen=listener)
    return build.train(flags.data, listen=listener, started=began.at(), **settings)


def _refuse_beside_resume(flags: Flags) -> None:
    """Says which flag has no effect beside --resume.

    Raises:
        RecipeError: If there is one.
    """
    blank = Flags()
    for each in dataclasses.fields(flags):
        if each.name in WITH_RESUME or getattr(flags, each.name) == getattr(blank, each.name):
            continue
        name = "DATA" if each.name == "data" else "--" + each.name.strip("_").replace("_", "-")
        raise RecipeError(
            f"{name} is given beside --resume, where it has no effect.",
            hint="data and settings come from the run; only --minutes may be added.",
        )
