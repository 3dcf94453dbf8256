"""How the rows of one table are divided, step by step; `split.make` takes the steps."""

# N = rows

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Literal, final

import numpy as np

from netwright.base.errors import DataError, RecipeError
from netwright.base.schema import Finding
from netwright.data import parting
from netwright.data.hashes import U64, row_hashes
from netwright.data.moments import moments
from netwright.data.pairing import components
from netwright.data.parts import given_parts
from netwright.data.table import Rows
from netwright.data.where import Where, pick

if TYPE_CHECKING:
    from netwright.data.roles import Roles
    from netwright.data.table import Table

Rule = Literal["random", "time", "group", "order"]
TEST_SHARE = 0.2
FEWEST = 4
"""Usable rows below which nothing can be learnt and measured."""
FEW = 0.1
"""Share of different rows below which equal ones are no copies: there are only so many to be had."""
END_SHARE = 0.1
"""Share of the rows at the end that is tested on where rows have an order."""
HALF = 100
"""Rows each half of the validation rows has; with fewer, both halves are all of them."""
LONGEST_SIDE = 10_000
"""Characters of one side of a pair above which it is left out: one such pair would cost as much as hundreds."""
NONE = np.zeros(0, dtype=np.int64)
DRAWN = ("default", "share")
"""Kinds of WHERE for which the rule chooses the rows."""


@final
class Divider:
    """One table being divided.

    Attributes:
        findings: What was seen so far.
        last: Whether the last rows are tested, as was asked.
        at_end: Whether the last of the others validate, as they then do where that can be.
    """

    def __init__(self, table: Table, roles: Roles, rule: Rule, seed: int, stratify: bool) -> None:
        self.table, self.roles, self.rule = table, roles, rule
        self.seed, self.stratify = seed, stratify
        self.findings: list[Finding] = []
        self.together, self.last, self.at_end, self._coarse = True, False, False, NONE
        if rule in ("time", "group"):
            self._column(rule)

    def parts(self, test: Where, validation: Where) -> dict[str, Rows]:
        """Usable rows: "pool"; "test" and "validation" where the source names them and the user does not."""
        given: Mapping[str, Rows] = {}
        if test.kind == "default":
            given, findings = given_parts(self.table, self.roles)
            self.findings += findings
        own = given.get("test", NONE) if test.rows is None else test.rows
        usable = self._usable(own)
        named = {name: usable[np.isin(usable, rows)] for name, rows in given.items()}
        kept = {name: rows for name, rows in named.items() if len(rows) and name != "train"}
        if validation.kind != "default":
            kept.pop("validation", None)
        tested = kept.get("test", NONE)
        pool = np.union1d(named["train"], named.get("validation", NONE)) if "train" in named else usable
        return {"pool": _without(pool, tested), **kept}

    def test(self, where: Where, parts: Mapping[str, Rows]) -> tuple[Rows, Rows, str]:
        """The test rows, the rest, and how that was decided."""
        pool, held = parts["pool"], parts.get("validation", NONE)
        if "test" in parts or where.kind == "none":
            tested = parts.get("test", NONE)
            rest = self._ready(pool)
            why = f"{len(tested):,} test rows as the source names them" if len(tested) else "no test rows"
            return tested, rest, why
        if where.kind not in DRAWN:
            tested = pick(_read(where), self.table, pool)
            why, rest = f"{len(tested):,} test rows as asked ({where.text or 'a file'})", _without(pool, tested)
            last = where.kind in ("last", "rows") and bool((rest < tested[0]).all())
            self.last = last and self.rule == "random" and not self._paired
            return tested, self._ready(rest), why
        pool = self._ready(pool)
        free = _without(pool, held)
        if len(free) < FEWEST - 1:
            raise too_few(self.table, len(free))
        share = where.share or (END_SHARE if self.table.shape == "corpus" else TEST_SHARE)
        count = min(max(1, round(share * len(free))), len(free) - 2)
        tested = free[self._draw(free, free, count, "test")]
        return tested, _without(pool, tested), f"{share:.3g} of the rows {self._words()} for the test"

    def validation(self, where: Where, parts: Mapping[str, Rows], tested: Rows, rest: Rows) -> tuple[Rows, str]:
        """The validation rows among the rest, and how that was decided."""
        if "validation" in parts:
            held = rest[np.isin(rest, parts["validation"])]
            return held, f"{len(held):,} validation rows as the source names them"
        if where.kind == "none":
            return NONE, "no validation rows"
        if where.kind not in DRAWN:
            held = pick(_read(where), self.table, np.union1d(rest, tested) if where.kind != "last" else rest)
            if np.isin(held, tested).any():
                hint = "name rows that are not test rows with --validation."
                raise DataError(f"'{where.text}' names test rows for validation.", hint=hint)
            return held, f"{len(held):,} validation rows as asked ({where.text or 'a file'})"
        size = _text_size if self.table.shape == "corpus" else _validation_size
        count = round(where.share * len(rest)) if where.share else size(len(rest))
        count = min(max(1, count), len(rest) - 1)
        ranks = np.arange(len(rest), dtype=np.int64)
        taken = parting.end(self._keys(rest), self._classes(rest), count) if self.last else None
        self.at_end = taken is not None
        held = rest[self._draw(rest, ranks, count, "validation") if taken is None else taken]
        return held, f"{len(held) / len(rest):.2g} of the others {self._words()} for validation"

    def deal(self, rows: Rows, parts: int) -> parting.Codes:
        """(N,) the part of each row, 0 to parts - 1; equal rows and whole groups lie in one part together."""
        self._ready(rows)
        ranks = np.arange(len(rows), dtype=np.int64)
        units = parting.make_units(self._keys(rows), self._classes(rows), ranks, self.seed, "split", "folds")
        if len(units) < parts:
            apart = len(units) == len(rows)
            many = f"{len(rows):,} rows" if apart else f"{len(units):,} groups of rows that stay together"
            what = f"{self.table.source} has {many}, too few for {parts} folds."
            raise DataError(what, hint="give fewer --folds.")
        return parting.deal(units, parts)[units.of_row]

    def halves(self, held: Rows) -> tuple[Rows, Rows, bool]:
        """Select and calibrate, and whether they are the same rows."""
        if not len(held):
            return NONE, NONE, False
        if len(held) < 2 * HALF:
            return held, held, True
        if self.rule in ("time", "order") or self.at_end:
            late = self._draw(held, held, len(held) // 2, "halves")
            first, second = ~late, late
        else:
            ranks = np.arange(len(held), dtype=np.int64)
            units = parting.make_units(
                self._keys(held), self._classes(held), ranks, self.seed, "split", "halves"
            )
            first, second = map(units.rows, parting.halve(units, np.ones(len(units), dtype=np.bool_)))
        if min(first.sum(), second.sum()) < HALF:
            return held, held, True
        return held[first], held[second], False

    def before(self, rows: Rows, later: Rows) -> Rows:
        """Those of the rows that come before all others; what comes after is left out, and said."""
        early = rows[rows < later.min()] if len(later) else rows
        if len(early) < len(rows):
            what = f"{len(rows) - len(early):,} rows come after those that are held out"
            done = "not used: nothing is learned from the future"
            self.findings.append(Finding(name="later rows", what=what, count=len(rows) - len(early), done=done))
        return early

    def seen(self, rows: Rows, others: Rows, *, named: str) -> Rows:
        """Those of the rows that also stand in the others; said, never changed."""
        if not len(rows) or not self.roles.names("input") or self.rule == "order":
            return NONE
        again = rows[np.isin(self._hashes[rows], self._hashes[others])]
        if len(again):
            self.findings.append(_seen(again, rows, self.table.source, named))
        return again

    def _draw(self, rows: Rows, numbers: Rows, count: int, part: str) -> parting.Mask:
        """(N,) True for the rows drawn for a part."""
        if self.rule == "order" or self.at_end:
            return np.arange(len(rows)) >= len(rows) - count
        if self.rule == "time":
            taken = parting.last_by_time(self._times(rows), count)
            if not taken.any():
                hint = "name a column that tells rows apart with --time, or use --split random."
                raise DataError(f"all rows of '{self._column('time')}' are of one moment.", hint=hint)
            return taken
        strata = self._classes(rows)
        if part == "test":
            strata = parting.large_as_one(strata, count / len(rows))
        units = parting.make_units(self._keys(rows), strata, numbers, self.seed, "split", part)
        if self.rule == "group":
            units = self._enough_groups(units, 3 if part == "test" else 2)
        by_class = part == "test" and self.stratify and self.rule == "random"
        taken = parting.take(units, count, at_least_one=by_class)
        if self.rule == "group" and part == "test" and (~taken).sum() < 2:  # the other parts need one each
            taken[np.flatnonzero(taken)[1:]] = False
        return units.rows(taken)

    def _enough_groups(self, units: parting.Units, fewest: int) -> parting.Units:
        if len(units) < fewest:
            raise DataError(
                f"column '{self._column('group')}' ({self.table.source}) has {len(units)} groups to divide, "
                f"and whole groups for each part need at least {fewest}.",
                hint="name a column with more groups with --group, or use --split random.",
            )
        strata = len(np.unique(units.stratum))
        if len(units) >= 10 * strata:
            return units
        return parting.Units(units.of_row, units.first, units.size, np.zeros_like(units.stratum), units.draw)

    def _ready(self, rows: Rows) -> Rows:
        """The rows that can be divided: those with a time, where the split goes by time; refuses too few."""
        if self.rule == "time":
            rows = self._timed(rows)
        elif self.rule == "random":
            self._note_equal(rows)
        if len(rows) < FEWEST:
            raise too_few(self.table, len(rows))
        return rows

    def _timed(self, rows: Rows) -> Rows:
        good = np.isfinite(self._times(rows))
        name, lost = self._column("time"), int((~good).sum())
        if lost > 0.5 * len(rows):
            hint = "name a column of dates or numbers with --time, or use --split random."
            what = f"{lost:,} of {len(rows):,} rows of column '{name}' ({self.table.source}) are no time."
            raise DataError(what, hint=hint)
        if lost:
            what = f"{lost:,} rows have no time that can be read in '{name}'"
            self.findings.append(_left_out("no time", what, name, lost))
        return rows[good]

    def _note_equal(self, rows: Rows) -> None:
        if not self.roles.names("input"):
            return
        again = len(rows) - len(np.unique(self._hashes[rows]))
        distinct = len(np.unique(self._linked(rows))) if self._paired else len(rows) - again
        few = distinct < FEWEST or (distinct < FEW * len(rows) and not self._paired)
        self.together = not few or len(rows) < FEWEST
        if again:
            done = "equal rows stand in one part together"
            if not self.together:
                done = "too few different rows to keep equal ones together, so they were divided one by one"
            elif self.roles.targets and not self._paired:
                inputs = row_hashes(self.table, self.roles.names("input"), rows)
                self._coarse = rows[parting.coarse(self._hashes[rows], inputs)]
            if len(self._coarse):
                done += f", but for {len(self._coarse):,} whose inputs have several answers"
            what = f"{again:,} of {len(rows):,} rows repeat an earlier row"
            self.findings.append(
                Finding(name="duplicates", what=what, where=self.table.source, count=again, done=done)
            )

    def _usable(self, tests: Rows) -> Rows:
        """Rows that have a target."""
        import polars as pl
        import polars.selectors as cs

        targets = list(self.roles.targets)
        if self._paired:
            return self._whole_pairs(tests)
        frame = self.table.frame(targets).with_columns(cs.float().fill_nan(None))
        there = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series() if targets else None
        if there is None or there.all():
            return np.arange(self.table.height, dtype=np.int64)
        lost, where = int((~there).sum()), ", ".join(targets)
        what = f"{lost:,} of {self.table.height:,} rows have no target"
        self.findings.append(_left_out("no target", what, where, lost))
        return there.arg_true().to_numpy().astype(np.int64)

    def _whole_pairs(self, tests: Rows) -> Rows:
        """Pairs that have a text on both sides, neither of them longer than a page or two.

        Test rows that were given are all measured that have an answer.
        """
        import polars as pl

        frame = self.table.frame([*self.roles.names("input"), *self.roles.targets])
        length = frame.select(pl.all().cast(pl.String).str.len_chars().fill_null(0))
        own = pl.Series(np.isin(np.arange(frame.height), tests))
        good = length.select(pl.min_horizontal(pl.all()) > 0).to_series()
        good |= own & length.select(pl.min_horizontal(self.roles.targets) > 0).to_series()
        short = own | length.select(pl.max_horizontal(pl.all()) <= LONGEST_SIDE).to_series()
        for each, name, words in (
            (good, "half a pair", "pairs lack one side"),
            (short, "long pair", f"pairs have over {LONGEST_SIDE:,} characters on one side"),
        ):
            lost = int((~each).sum())
            if lost:
                what = f"{lost:,} of {self.table.height:,} {words}"
                self.findings.append(_left_out(name, what, ", ".join(frame.columns), lost))
        return (good & short).arg_true().to_numpy().astype(np.int64)

    @property
    def _paired(self) -> bool:
        return self.table.shape == "pairs"

    def _linked(self, rows: Rows) -> U64:
        return components([hashes[rows] for hashes in self._sides])

    @cached_property
    def _sides(self) -> list[U64]:
        names = [*self.roles.names("input"), *self.roles.targets]
        return [row_hashes(self.table, [name], labels=[name]) for name in names]

    def _keys(self, rows: Rows) -> U64:
        """Rows with equal keys stay together."""
        if self.rule == "group":
            return self._groups[rows]
        if not self.together or not self.roles.names("input"):
            return rows.astype(np.uint64)
        keys = self._linked(rows) if self._paired else self._hashes[rows]
        return np.where(np.isin(rows, self._coarse), rows.astype(np.uint64), keys)

    @cached_property
    def _hashes(self) -> U64:
        names = [*self.roles.names("input"), *self.roles.targets]
        return row_hashes(self.table, names, labels=self.roles.targets)

    @cached_property
    def _groups(self) -> U64:
        """A row without a group is a group of its own."""
        name = self._column("group")
        missing = self.table.cells[name].is_null().to_numpy()
        keys = row_hashes(self.table, [name])
        keys[missing] = np.flatnonzero(missing)
        return keys

    def _classes(self, rows: Rows) -> parting.Codes:
        """(N,) codes of the classes in order of appearance; all 0 where classes do not matter."""
        if not self.stratify or not self.roles.targets:
            return np.zeros(len(rows), dtype=np.int64)
        hashes = row_hashes(self.table, list(self.roles.targets), rows)
        _, first, codes = np.unique(hashes, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[codes].astype(np.int64)

    def _times(self, rows: Rows) -> parting.Floats:
        name = self._column("time")
        return moments(self.table.frame([name], rows).to_series())

    def _column(self, role: Literal["time", "group"]) -> str:
        names = self.roles.names(role)
        if not names:
            raise RecipeError(f"--split {role} needs a column.", hint=f"name it with --{role} COL.")
        return names[0]

    def _words(self) -> str:
        if self.rule == "order" or self.at_end:
            return "at the end"
        if self.rule == "time":
            return f"latest by '{self._column('time')}'"
        if self.rule == "group":
            return f"by whole groups of '{self._column('group')}' (seed {self.seed})"
        together = ", those that share a sentence together" if self._paired and self.together else ""
        return f"at random (seed {self.seed}{', each class in proportion' if self.stratify else together})"


def _validation_size(rows: int) -> int:
    """A share that shrinks as rows grow; 200 rows if that is not too large a part."""
    share = 0.2 if rows < 5_000 else 0.15 if rows < 20_000 else 0.1 if rows < 100_000 else 0.05
    enough = 2 * HALF if 0.3 * rows >= 2 * HALF else 0
    return max(round(share * rows), enough)


def _text_size(pieces: int) -> int:
    """A running text wants little: what is held out at its end is all that the test text goes on from."""
    return max(round(0.03 * pieces), min(2 * HALF, round(0.2 * pieces)))


def _without(rows: Rows, others: Rows) -> Rows:
    return rows[~np.isin(rows, others)] if len(others) else rows


def _read(where: Where) -> Where:
    if where.kind == "path":
        hint = "write a share such as 0.2, last:0.2, rows:1-100, COL=VALUE, a file that is there, or none."
        raise RecipeError(f"'{where.text}' does not say which rows, and no such file is there.", hint=hint)
    return where


def too_few(table: Table, rows: int) -> DataError:
    """The error for a table that has too few rows left."""
    return DataError(
        f"{table.source} has {rows:,} row{'s' * (rows != 1)} to learn from, too few to train and to measure.",
        hint=f"at least {FEWEST} rows with a target are needed; some hundred are a good start.",
    )


def _left_out(name: str, what: str, where: str, count: int) -> Finding:
    done = "left out of every part"
    return Finding(name=name, what=what, where=where, count=count, done=done, severity="warning")


def _seen(again: Rows, rows: Rows, source: str, named: str) -> Finding:
    done = "left as they are" + ("; the score without them is shown too" if named == "test" else "")
    return Finding(
        name=f"{named} rows seen",
        what=f"{len(again):,} of {len(rows):,} {named} rows also stand in the training rows",
        where=source,
        count=len(again),
        done=done,
        severity="warning",
    )
