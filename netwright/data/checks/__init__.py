"""What is said about the data before training: it changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from netwright.base.schema import Column, Finding
from netwright.data.checks import duplicates, giveaways, labels, oddities
from netwright.data.checks.view import View, listed

if TYPE_CHECKING:
    from netwright.data.split import Split
    from netwright.data.table import Table

CHECKS: tuple[Callable[[View], list[Finding]], ...] = (
    duplicates.across,
    duplicates.near_pictures,
    duplicates.near_texts,
    giveaways.single,
    giveaways.pairs,
    labels.imbalance,
    labels.few,
    labels.spelling,
    labels.unseen,
    labels.order,
    oddities.time,
    oddities.missing,
    oddities.little,
)
"""Every check, in the order in which findings are said. A new one is a function and a line here."""
MANY = 3


def check(table: Table, columns: Sequence[Column], split: Split, task_name: str) -> list[Finding]:
    """All that is odd about a table that has been divided and whose columns have been decided.

    Ids, constants, columns without values and cells that are no numbers are said by `columns.decide`; equal
    rows, and rows without a target, by `split.make`.

    Args:
        table: All rows.
        columns: What every column is.
        split: The parts.
        task_name: "classify", "regress", "tag", or another: then what is about targets is left out.
    """
    view = View(table, columns, split, task_name)
    if not len(split.train):
        return []
    return [finding for each in CHECKS for finding in _together(each(view))]


def _together(findings: list[Finding]) -> list[Finding]:
    """Findings of one check about many columns as one, so that wide tables stay readable."""
    if len(findings) <= MANY:
        return findings
    first = findings[0]
    names = tuple(dict.fromkeys(name for finding in findings for name in finding.columns))
    return [
        Finding(
            name=first.name,
            what=f"{len(findings):,} times, for {listed(names, 8)}: {first.what}",
            where=", ".join(names[:8]),
            count=len(findings),
            done=first.done,
            severity=first.severity,
            columns=names,
        )
    ]
