"""Flags that say what DATA is and which part each of its columns and rows plays, and what becomes of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any

from typer import Option

from netwright.cli.flags import Outside, names, pairs
from netwright.data.kinds import KINDS
from netwright.request import RULES, Request
from netwright.tasks import TASKS

Word = str | None
Words = list[str]
ASIDE = ("data", "kind", "resume", "quiet", "json")
"""Flags that are no settings of a run."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Flags of a command that reads DATA to learn from; what is not given keeps the default of `Request`."""

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
        Word, Option("--task", metavar="T", show_default="from the target", help=f"One of {', '.join(TASKS)}.")
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
            help=f"Kind of a column: {', '.join(KINDS)}. May be repeated.",
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
    set: Annotated[
        Words,
        Option(
            "--set",
            metavar="PART.NAME=VALUE",
            show_default="everything is derived",
            help="One setting by hand, such as network.depth=6; PART is network, learning, task or "
            "kind.COLUMN. May be repeated.",
        ),
    ] = field(default_factory=list)
    allow_outside: Outside = False


def asked(flags: Reading) -> dict[str, Any]:
    """The settings that were given, as `netwright.train` takes them.

    Raises:
        RecipeError: If a --kind or --set is not NAME=VALUE.
    """
    given = {
        each.name: getattr(flags, each.name) for each in dataclasses.fields(flags) if each.name not in ASIDE
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
