"""`netwright check`: what the data look like to a network, before any training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from typer import Argument

from netwright.cli.progress import finding
from netwright.cli.reading import Reading, asked


@dataclass(frozen=True, kw_only=True)
class Flags(Reading):
    """The flags of `netwright check`: those of `netwright train` that say what DATA is."""

    data: Annotated[str, Argument(metavar="DATA", help="What netwright train would be given.")]


def run(flags: Flags) -> None:
    """Look at DATA before training, and say what is odd.

    Leaks, duplicates, ids, constants and the like, and what training would do about each.
    """
    from netwright import build

    found = build.check(flags.data, **asked(flags))
    for each in found:
        print(finding(vars(each)))
    if not found:
        print("nothing was found.")
