"""Sets rows aside before anything is fitted: by chance, by time, by group, or as the source or the user says.

Membership comes from positions. Values matter only for classes kept in proportion, for equal rows that go to
one side together, and for the time or group column. Where test rows are given, nothing about them, not even
how many they are, has a part in how the other rows are divided.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from netwright.base.schema import Finding
from netwright.data.dividing import DRAWN, HALF, NONE, Divider, Rule, too_few
from netwright.data.table import Rows
from netwright.data.where import Where, parse_where

if TYPE_CHECKING:
    from netwright.data.roles import Roles
    from netwright.data.table import Table

__all__ = ["FEWEST", "MEASURING", "Split", "Where", "affordable", "fewer", "make", "parse_where"]

MEASURING, FEWEST = 0.2, 200
"""Share of the minutes in which test rows are answered, where each takes long; and how many always are."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Row numbers of each part, ascending, and how they came about.

    Attributes:
        train: What is fitted on.
        select: Validation rows for stopping, best weights and choices.
        calibrate: Validation rows for temperature and intervals.
        test: Opened once, at the end.
        rule: "random", "time", "group", or "given" where the test rows were named.
        why: How the rows were divided, a sentence.
        findings: What was seen while dividing.
        shared: `select` and `calibrate` are the same rows.
        folds: Parts that all rows are dealt out to, each tested in its turn; 0: none.
        test_seen: The test rows that also stand, equal in every input and target, in the other parts.
    """

    train: Rows
    select: Rows
    calibrate: Rows
    test: Rows
    rule: str
    why: str
    findings: tuple[Finding, ...] = ()
    shared: bool = False
    folds: int = 0
    test_seen: Rows = field(default_factory=lambda: NONE)

    def undivided(self, folds: int) -> Split:
        """All rows but the test rows together, to be dealt out to so many parts."""
        every = np.unique(np.concatenate([self.train, self.select, self.calibrate]))
        return replace(self, train=every, select=NONE, calibrate=NONE, shared=False, folds=folds)


def make(
    table: Table,
    roles: Roles,
    *,
    test: Where,
    validation: Where,
    rule: Rule = "random",
    seed: int,
    stratify: bool,
    halve: bool = True,
) -> Split:
    """Divides the rows of a table.

    Args:
        table: The rows; test rows of a file of their own are appended to it and named by "rows_given".
        roles: Targets, inputs, and the time, group and split columns.
        test: Which rows are test rows; by default those the source names, else a share of 0.2.
        validation: Which of the other rows validate; by default those the source names, else a share by size.
        rule: How rows are drawn where only a share is said.
        seed: Of the draws.
        stratify: Whether classes are kept in proportion.
        halve: Whether half of the validation rows calibrates; if not, all of them select.

    Raises:
        DataError: If there are too few rows or groups, or named rows are not there.
        RecipeError: If the rule needs a column that is not named, or a WHERE is an unread path.
    """
    divider = Divider(table, roles, rule, seed, stratify)
    parts = divider.parts(test, validation)
    tested, rest, test_why = divider.test(test, parts)
    held, validation_why = divider.validation(validation, parts, tested, rest)
    train = rest[~np.isin(rest, held)]
    if rule == "order":
        train = divider.before(train, np.union1d(held, tested))
    if not len(train):
        raise too_few(table, 0)
    select, calibrate, shared = divider.halves(held) if halve else (held, NONE, False)
    seen = divider.seen(tested, rest, named="test")
    divider.seen(held if "validation" in parts else NONE, train, named="validation")
    if shared:
        validation_why += f", too few for two halves of {HALF}: both uses share them"
    return Split(
        train=train,
        select=select,
        calibrate=calibrate,
        test=tested,
        rule=rule if test.kind in (*DRAWN, "none") and "test" not in parts else "given",
        why=f"{test_why}; {validation_why}",
        findings=tuple(divider.findings),
        shared=shared,
        test_seen=seen,
    )


def affordable(parts: Split, seconds_an_answer: float, minutes: float) -> Split:
    """The split with at most as many test rows, evenly spaced, as can be answered in a share of the minutes."""
    most = max(FEWEST, int(MEASURING * 60 * minutes / seconds_an_answer)) if seconds_an_answer else 0
    rows = parts.test
    if not 0 < most < len(rows):
        return parts
    kept = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
    seen, found = np.intersect1d(parts.test_seen, kept), fewer(len(rows), most, "rows")
    return replace(parts, test=kept, test_seen=seen, findings=(*parts.findings, found))


def fewer(there: int, measured: int, words: str) -> Finding:
    """That only so many of the test rows or windows are measured."""
    return Finding(
        name="test rows",
        what=f"answers to all {there:,} test {words} would take more than a fifth of the minutes",
        count=there - measured,
        done=f"measured on {measured:,} of them, evenly spaced; more --minutes measure more",
        severity="warning",
    )
