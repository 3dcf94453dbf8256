"""`netwright check`: what the data look like to a network, before any training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from typer import Argument, Option

from netwright.cli.flags import names
from netwright.cli.progress import finding


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `netwright check`."""

    data: Annotated[str, Argument(metavar="DATA", help="What netwright train would be given.")]
    target: Annotated[
        list[str],
        Option(
            "--target",
            metavar="COL[,COL]",
            show_default="what the source names, else a column called target, label, class or y",
            help="Column to predict.",
        ),
    ] = field(default_factory=list)
    allow_outside: Annotated[
        bool,
        Option(
            "--allow-outside",
            show_default="off",
            help="Let paths of pictures in a table lead out of the table's folder.",
        ),
    ] = False


def run(flags: Flags) -> None:
    """Look at DATA before training, and say what is odd.

    Leaks, duplicates, ids, constants and the like, and what training would do about each.
    """
    from netwright import build

    settings: dict[str, Any] = {"target": names(flags.target)} if flags.target else {}
    found = build.check(flags.data, allow_outside=flags.allow_outside, **settings)
    for each in found:
        print(finding(vars(each)))
    if not found:
        print("nothing was found.")
