"""`netwright train`: data to a trained, measured, saved network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from netwright.base.errors import RecipeError
from netwright.cli import progress, results
from netwright.cli.flags import names, pairs, say
from netwright.data.kinds import KINDS
from netwright.networks import FAMILIES
from netwright.request import DEVICES, RULES, Request
from netwright.tasks import TASKS

if TYPE_CHECKING:
    from netwright.outcome import Run

Word = str | None
Words = list[str]
WITH_RESUME = ("resume", "minutes", "quiet", "json")
"""Flags that mean something beside --resume; the rest comes from the run."""


def _names(registry: Any) -> str:
    return ", ".join(registry)


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `netwright train`; what is not given keeps the default of `Request`."""

    data: Annotated[
        Word,
        Argument(
            metavar="DATA",
            show_default="none; not needed with --resume",
            help="A table (CSV, TSV, Parquet, NDJSON), a folder of pictures, an .npz file, or a folder of "
            "idx files or of train, validation and test files.",
        ),
    ] = None
    target: Annotated[
        Words,
        Option(
            "--target",
            metavar="COL[,COL]",
            show_default="what the source names, else a column called target, label, class or y",
            help="Column to predict; several 0/1 columns are tags.",
        ),
    ] = field(default_factory=list)
    task: Annotated[
        Word, Option("--task", metavar="T", show_default="from the target", help=f"One of {_names(TASKS)}.")
    ] = None
    drop: Annotated[
        Words, Option("--drop", metavar="COLS", show_default="none", help="Columns to leave out.")
    ] = field(default_factory=list)
    keep: Annotated[
        Words,
        Option(
            "--keep",
            metavar="COLS",
            show_default="none",
            help="Columns to use even if they look like ids or constants.",
        ),
    ] = field(default_factory=list)
    kind: Annotated[
        Words,
        Option(
            "--kind",
            metavar="COL=KIND",
            show_default="recognised from the training rows",
            help=f"Kind of a column: {_names(KINDS)}. May be repeated.",
        ),
    ] = field(default_factory=list)
    header: Annotated[
        Word,
        Option(
            "--header",
            metavar="auto|none",
            show_default=Request.header,
            help="Whether the first line names the columns; none: it does not, they are c1, c2, ….",
        ),
    ] = None
    missing: Annotated[
        Words,
        Option(
            "--missing",
            metavar="VALUE",
            show_default="empty, NA, n/a, nan, null, None, ?",
            help="A further cell that means 'not there'. May be repeated.",
        ),
    ] = field(default_factory=list)
    test: Annotated[
        Word,
        Option(
            "--test",
            metavar="WHERE",
            show_default="the test part of the source, else 0.2 of the rows",
            help="Rows to measure on: a share such as 0.2, last:0.2, rows:A-B, COL=VALUE, a path, or none.",
        ),
    ] = None
    validation: Annotated[
        Word,
        Option(
            "--validation",
            metavar="WHERE",
            show_default="the validation part of the source, else a share of the other rows",
            help="Rows that decide when to stop and what to keep; as --test.",
        ),
    ] = None
    split: Annotated[
        Word,
        Option(
            "--split",
            metavar="|".join(RULES),
            show_default=Request.split,
            help="How rows are set aside where nothing else says it.",
        ),
    ] = None
    group: Annotated[
        Word,
        Option(
            "--group",
            metavar="COL",
            show_default="none",
            help="Rows with the same value here stay on one side of the split.",
        ),
    ] = None
    time: Annotated[
        Word,
        Option("--time", metavar="COL", show_default="none", help="Column with the time, for --split time."),
    ] = None
    horizon: Annotated[
        int | None,
        Option("--horizon", metavar="N", show_default="none", help="Steps to forecast, from 1 on."),
    ] = None
    known: Annotated[
        Words,
        Option(
            "--known",
            metavar="COLS",
            show_default="none",
            help="Columns that are known ahead of a forecast, such as holidays or prices.",
        ),
    ] = field(default_factory=list)
    weight: Annotated[
        Word,
        Option(
            "--weight", metavar="COL", show_default="every row counts 1", help="Column with the rows' weights."
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
            help=f"Family of networks: {_names(FAMILIES)}, or auto.",
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
            help="Ceiling on memory in bytes, such as 500M or 8G.",
        ),
    ] = None
    set: Annotated[
        Words,
        Option(
            "--set",
            metavar="PART.NAME=VALUE",
            show_default="everything is derived",
            help="One setting by hand, such as network.depth=6; PART is network, learning, data, task or "
            "kind.COLUMN. May be repeated.",
        ),
    ] = field(default_factory=list)
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
    allow_outside: Annotated[
        bool,
        Option(
            "--allow-outside",
            show_default="off",
            help="Let paths of pictures in a table lead out of the table's folder.",
        ),
    ] = False
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
    return build.train(flags.data, listen=listener, **settings)


def asked(flags: Flags) -> dict[str, Any]:
    """The settings that were given, as `netwright.train` takes them.

    Raises:
        RecipeError: If a --kind or --set is not NAME=VALUE.
    """
    given = {
        each.name: getattr(flags, each.name)
        for each in dataclasses.fields(flags)
        if each.name not in ("data", "kind", "resume", "quiet", "json")
    }
    for name in ("target", "drop", "keep", "known"):
        given[name] = names(given[name])
    given["missing"] = tuple(given["missing"])
    given["kinds"] = pairs("--kind", flags.kind, "COL=KIND")
    given["set"] = pairs("--set", flags.set, "PART.NAME=VALUE")
    return {name: value for name, value in given.items() if not _is_blank(value)}


def _is_blank(value: Any) -> bool:
    """Whether a flag was not given; 0 is given."""
    return value is None or value is False or value in ((), {})


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
