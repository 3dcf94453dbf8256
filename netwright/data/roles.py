"""Which column is what: from flags, then the source, then names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netwright.base.errors import DataError, did_you_mean
from netwright.base.schema import Role
from netwright.data.readers.media import sound_columns
from netwright.data.table import SAID, Table

if TYPE_CHECKING:
    import polars as pl

TARGETS = ("target", "label", "class", "y")
TIMES = ("time", "date", "timestamp", "datetime", "dteday", "ds")
PART_WORDS = frozenset(
    ("train", "training", "validation", "valid", "val", "dev", "test", "testing", "0", "1", "2")
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The columns that flags name."""

    target: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    time: str | None = None
    group: str | None = None
    weight: str | None = None
    split_column: str | None = None


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The role of every column, and why.

    Attributes:
        keep: Columns the user wants kept as inputs whatever they look like.
        time_like: A column that looks like a time, where none was named.
    """

    by_column: Mapping[str, Role]
    why: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    time_like: str | None = None

    def names(self, role: Role) -> list[str]:
        """Columns of a role, in the table's order."""
        return [name for name, each in self.by_column.items() if each == role]

    @property
    def targets(self) -> list[str]:
        """The target columns."""
        return self.names("target")


def assign(table: Table, asked: Asked) -> Roles:
    """The role of every column.

    Raises:
        DataError: If a flag names a column that is not there, or no target can be told.
    """
    _check_names(table, asked)
    by_column: dict[str, Role] = dict.fromkeys(table.columns, "input")
    why: dict[str, str] = dict.fromkeys(table.columns, "not named otherwise")
    for name, role in table.roles.items():
        by_column[name], why[name] = role, "the source says so"
    targets, reason = _targets(table, asked)
    for name in [each for each, role in by_column.items() if role == "target"]:
        by_column[name] = "input" if name not in targets else "target"
    named: list[tuple[Role, Sequence[str], str]] = [
        ("target", targets, reason),
        ("time", [asked.time] if asked.time else [], "--time"),
        ("group", [asked.group] if asked.group else [], "--group"),
        ("weight", [asked.weight] if asked.weight else [], "--weight"),
        ("split", _split_columns(table, asked), "it names the parts"),
        ("ignore", asked.drop, "--drop"),
    ]
    for role, names, words in named:
        for name in names:
            by_column[name], why[name] = role, words
    keep = asked.keep
    if table.shape == "pairs":  # a sentence that no other row has names no row
        keep = (*keep, *(name for name, role in by_column.items() if role == "input"))
    return Roles(by_column=by_column, why=why, keep=keep, time_like=_time_like(table, by_column))


def _check_names(table: Table, asked: Asked) -> None:
    flags = [("--target", asked.target), ("--drop", asked.drop), ("--keep", asked.keep)]
    flags += [
        (flag, (name,))
        for flag, name in (
            ("--time", asked.time), ("--group", asked.group), ("--weight", asked.weight)
        )
        if name
    ]  # fmt: skip
    for flag, names in flags:
        for name in names:
            if name not in table.columns:
                raise DataError(
                    f"{table.source} has no column '{name}' ({flag}).",
                    hint=did_you_mean(name, table.columns),
                )
    for flag, names in (("--target", asked.target), ("--keep", asked.keep)):
        both = sorted(set(names) & set(asked.drop))
        if both:
            raise DataError(f"column '{both[0]}' is both {flag} and --drop.", hint="leave out one of them.")


def _targets(table: Table, asked: Asked) -> tuple[list[str], str]:
    if asked.target:
        return list(dict.fromkeys(asked.target)), "--target"
    given = [name for name, role in table.roles.items() if role == "target"]
    if given:
        return given, "the source says so"
    if table.shape == "ratings":
        return [], "there is none"
    spoken = _spoken(table, asked)
    if spoken:
        return [spoken], "it stands beside clips"
    for word in TARGETS:
        found = [name for name in table.columns if name.lower() == word and name not in asked.drop]
        if len(found) == 1:
            return found, "its name says so"
    if table.shape != "rows":
        return [], "there is none"
    shown = ", ".join(table.columns[:15]) + (", …" if len(table.columns) > 15 else "")
    raise DataError(
        f"{table.source} does not say which column is to be predicted; it has: {shown}.",
        hint="name it with --target COLUMN.",
    )


def _spoken(table: Table, asked: Asked) -> str | None:
    """The column that says what is spoken in the clips of another, by its name."""
    by_name = {name.lower(): name for name in table.columns if name not in asked.drop}
    named = next((by_name[word] for word in SAID if word in by_name), None)
    if named is None or not set(sound_columns(table.cells)) - {named, *asked.drop}:
        return None
    return named


def _split_columns(table: Table, asked: Asked) -> list[str]:
    if asked.split_column:
        return [asked.split_column]
    for name in table.columns:
        taken = name in asked.target or name in asked.drop or name in asked.keep
        if name.lower() == "split" and not taken and names_parts(table.cells[name]):
            return [name]
    return []


def names_parts(cells: pl.Series) -> bool:
    """Whether the cells say which part a row belongs to."""
    values = {str(cell).strip().lower() for cell in cells.drop_nulls().unique().to_list()[:50]}
    return bool(values) and values <= PART_WORDS


def _time_like(table: Table, by_column: Mapping[str, Role]) -> str | None:
    """An input that looks like a time: by its name, or as the only column of dates."""
    if "time" in by_column.values():
        return None
    from netwright.data.kinds.date import find_format

    inputs = [name for name, role in by_column.items() if role == "input"]
    few = table.cells.head(200)
    dated = [name for name in inputs[:2000] if find_format(few[name])]
    by_name = [name for name in dated if name.lower() in TIMES]
    if by_name:
        return by_name[0]
    return dated[0] if len(dated) == 1 else None
