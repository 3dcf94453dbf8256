"""What each column is, decided on training rows; and the fitted kinds that turn rows into tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from netwright.base.errors import BundleError, DataError, RecipeError, did_you_mean
from netwright.base.schema import JSON, Column, Field, Finding
from netwright.data import looks
from netwright.data.kinds import ALONE, GUESSED, KINDS, MEDIA, TIMED
from netwright.data.kinds.kind import AbstractKind
from netwright.data.packed import Packed
from netwright.data.readers.media import resolve
from netwright.data.roles import Roles
from netwright.data.table import Rows, Table

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

SAMPLE = 20_000
"""Training rows that a kind is recognised on, at most, evenly spaced."""


def decide(
    table: Table, train: Rows, roles: Roles, kinds: Mapping[str, str]
) -> tuple[tuple[Column, ...], list[Finding]]:
    """What every column is, from training rows only.

    Args:
        table: All rows.
        train: Rows that may be looked at.
        roles: Role of each column.
        kinds: Kinds the user named, by column.

    Raises:
        DataError: If a named column or kind cannot be used, or no input is left.
        RecipeError: If a named kind is not built yet.
    """
    for name, kind in kinds.items():
        if name not in table.columns:
            raise DataError(
                f"{table.source} has no column '{name}' (--kind).", hint=did_you_mean(name, table.columns)
            )
        KINDS[kind]
        if kind in TIMED and table.kinds.get(name) != kind:
            raise DataError(
                f"column '{name}' cannot be asked to be of kind {kind}: such columns follow from a forecast.",
                hint="see --horizon and --known.",
            )
    rows = train[:: max(1, len(train) // SAMPLE)]
    sample = {name: table.column(name, rows) for name in table.columns}
    decided, findings = [], []
    for name in table.columns:
        role = roles.by_column[name]
        if role != "input":
            kind = kinds.get(name) or table.kinds.get(name) or "category"
            decided.append(Column(name=name, kind=kind, role=role, why=roles.why.get(name, "")))
            continue
        column, finding = _decide_one(table, train, sample[name], kinds, name in roles.keep)
        decided.append(column)
        findings += [finding] if finding else []
    if not any(fed(column) for column in decided):
        reasons = "; ".join(f"{c.name}: {c.why}" for c in decided if c.role == "ignore")
        raise DataError(
            f"{table.source} has no column left to learn from ({reasons or 'only the target'}).",
            hint="keep a column with --keep, or name its kind with --kind COLUMN=KIND.",
        )
    return tuple(decided), _grouped(findings)


def _decide_one(
    table: Table, train: Rows, sample: pl.Series, kinds: Mapping[str, str], keep: bool
) -> tuple[Column, Finding | None]:
    name = sample.name
    timed = table.kinds.get(name)
    if timed == "channels":
        return Column(name=name, kind=timed, role="input", why="a series in order of time"), None
    if timed == "known":
        settings = {"as": kinds[name]} if kinds.get(name, timed) != timed else {}
        return Column(name=name, kind=timed, role="input", why="--known", settings=settings), None
    if name in kinds:
        kind, why = kinds[name], "--kind"
        if table.column(name, train).null_count() == len(train):
            raise DataError(
                f"column '{name}' has no value in the training rows.", hint=f"drop it with --drop {name}."
            )
        return Column(name=name, kind=kind, role="input", why=why), None
    problem = looks.useless(table, train, sample, keep)
    if problem:
        return Column(name=name, kind="category", role="ignore", why=problem.what), problem
    kind, why = _recognise(table, sample)
    column = Column(name=name, kind=kind, role="input", why=why)
    return column, looks.odd(table, train, column)


def _recognise(table: Table, sample: pl.Series) -> tuple[str, str]:
    if sample.name in table.kinds:
        return table.kinds[sample.name], "the source says so"
    for kind in GUESSED:
        choice = KINDS[kind].recognise(sample)
        if choice:
            return kind, choice.why
    raise DataError(
        f"column '{sample.name}' of type {sample.dtype} cannot be read.",
        hint=f"leave it out with --drop {sample.name}.",
    )


def _grouped(findings: Sequence[Finding]) -> list[Finding]:
    """Findings of one name about many columns as one, so that wide tables stay readable."""
    by_name: dict[str, list[Finding]] = {}
    for finding in findings:
        by_name.setdefault(finding.name, []).append(finding)
    ready = []
    for name, each in by_name.items():
        if len(each) <= 3:
            ready += each
            continue
        columns = tuple(finding.where for finding in each)
        ready.append(
            Finding(
                name=name,
                what=f"{len(each):,} columns: {', '.join(columns[:8])}{', …' if len(each) > 8 else ''}: "
                + each[0].what,
                count=len(each),
                done=each[0].done,
                severity=each[0].severity,
                columns=columns,
            )
        )
    return ready


def fed(column: Column) -> bool:
    """Whether a network reads the column: an input, or the user, item or time of an interaction."""
    return column.role == "input" or (column.kind == "item" and column.role in ("user", "item", "time"))


def cells(table: Table, columns: Sequence[Column], rows: Rows | None) -> pl.DataFrame:
    """The cells of some columns, media paths made absolute.

    Raises:
        DataError: If a path leads out of the table's folder.
    """
    frame = table.frame([column.name for column in columns], rows)
    media = [column.name for column in columns if column.kind in MEDIA]
    if not media:
        return frame
    outside = table.options.allow_outside
    return frame.with_columns([resolve(frame[name], table.root, outside) for name in media])


def decode(table: Table, columns: Sequence[Column]) -> tuple[Table, dict[str, dict[int, str]]]:
    """The table with its media decoded, and for each media column row -> why it cannot be read."""
    found = {}
    made = []
    for column in columns:
        if column.kind in MEDIA and column.role == "input":
            series = cells(table, [column], None).to_series()
            values, found[column.name] = KINDS[column.kind].decode(series, column.settings)
            made.append(values)
    return (replace(table, cells=table.cells.with_columns(made)), found) if made else (table, found)


@dataclass(frozen=True)
class Inputs:
    """The fitted kinds of the input columns: one block a kind, one a media column."""

    kinds: tuple[AbstractKind, ...]
    columns: tuple[tuple[Column, ...], ...]

    @classmethod
    def fit(cls, table: Table, columns: Sequence[Column], train: Rows) -> Self:
        """Fits every kind on training rows.

        Raises:
            DataError: If a column cannot be read as its kind.
        """
        blocks = _blocks([column for column in columns if fed(column)])
        fitted = tuple(KINDS[b[0].kind].fit(cells(table, b, train), b) for b in blocks)
        return cls(fitted, blocks)

    def fields(self) -> tuple[Field, ...]:
        """The blocks as a network sees them."""
        return tuple(kind.field() for kind in self.kinds)

    @property
    def names(self) -> list[str]:
        """Names of the columns that are needed."""
        return [column.name for block in self.columns for column in block]

    def encode(self, table: Table, rows: Rows | None = None) -> dict[str, Packed]:
        """Tensors of these rows by field key; the same for training, predict and evaluate."""
        return {
            kind.field().key: kind.encode(cells(table, block, rows))
            for kind, block in zip(self.kinds, self.columns, strict=True)
        }

    def check_new(self, table: Table) -> None:
        """Checks that new rows have what the network needs; more columns are fine.

        Raises:
            DataError: If a column is lacking or of another type.
        """
        for block, kind in zip(self.columns, self.kinds, strict=True):
            for column in block:
                if column.name not in table.columns:
                    raise DataError(
                        f"{table.source} has no column '{column.name}', which the model needs.",
                        hint=did_you_mean(column.name, table.columns),
                    )
            problem = kind.mismatch(cells(table, block, None))
            if problem:
                raise DataError(f"{problem} ({table.source}).", hint="give the same kind of cells.")

    def state(self) -> list[tuple[str, JSON, Mapping[str, Tensor]]]:
        """Name, facts and tensors of every kind, in order."""
        return [(kind.name, *kind.state()) for kind in self.kinds]

    @classmethod
    def restore(
        cls, columns: Sequence[Column], states: Sequence[tuple[str, JSON, Mapping[str, Tensor]]]
    ) -> Self:
        """The fitted kinds again.

        Raises:
            BundleError: If columns and kinds do not belong together.
        """
        blocks = _blocks([column for column in columns if fed(column)])
        if [block[0].kind for block in blocks] != [name for name, _, _ in states]:
            raise BundleError("the model's columns and kinds do not belong together.")
        try:
            fitted = tuple(KINDS[name].restore(facts, tensors) for name, facts, tensors in states)
        except RecipeError as error:
            raise BundleError(error.what) from error
        return cls(fitted, blocks)


def _blocks(columns: Sequence[Column]) -> tuple[tuple[Column, ...], ...]:
    found: dict[Any, list[Column]] = {}
    order = {name: place for place, name in enumerate(KINDS)}
    for column in columns:
        key = (order[column.kind], column.name if column.kind in ALONE else "")
        found.setdefault(key, []).append(column)
    return tuple(tuple(found[key]) for key in sorted(found))
