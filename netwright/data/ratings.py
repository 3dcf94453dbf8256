"""Ratings: which columns say who, what, how good and when; each user's last ones are set aside."""

# N = rows

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from netwright.base.errors import DataError
from netwright.base.schema import Finding, Role
from netwright.data.kinds.numerals import numbers
from netwright.data.moments import FORMS, form_of, moments
from netwright.data.table import Rows, Table
from netwright.data.where import Where

if TYPE_CHECKING:
    import polars as pl

USERS = ("user", "user_id", "userid", "uid", "customer_id", "reviewer_id")
ITEMS = (
    "item", "item_id", "itemid", "iid", "movie", "movie_id", "movieid", "product", "product_id", "productid",
    "track_id", "song_id", "book_id", "bookid", "article_id", "game_id",
)  # fmt: skip
RATINGS = ("rating", "ratings", "stars", "score")
TIMES = ("time", "timestamp", "date", "datetime", "ts", "unixtime", "unix_time")
SPLIT = "split"
"""What a column is called that says which rows are for what."""
FEWEST = 3
"""Interactions of a user from which the last one is tested on."""
ENOUGH = 20
"""Interactions below which nothing can be learned and measured."""
DAY, SECONDS, MILLISECONDS = 86_400.0, 1e8, 1e11
"""Numbers beyond these are seconds and milliseconds since 1970, not days."""


def names(table: Table, asked: bool, time: str | None = None) -> dict[Role, str] | None:
    """The columns of a ratings table by role, or None where it is none.

    Args:
        table: All rows.
        asked: Whether recommending was asked for: columns without names then go by their place.
        time: The column that `--time` names.

    Raises:
        DataError: If recommending was asked for and user or item cannot be told.
    """
    found: dict[Role, str] = {}
    for role, words in (("user", USERS), ("item", ITEMS), ("time", TIMES)):
        named = [name for word in words for name in table.columns if name.lower() == word]
        if named:
            found[role] = named[0]  # type: ignore[index]
    if time in table.columns:
        found["time"] = str(time)
        if time in (found.get("user"), found.get("item")):
            raise DataError(
                f"--time {time} is the column of users or items of {table.source}.",
                hint="name the column that says when.",
            )
    if "user" in found and "item" in found:
        return found
    unnamed = table.columns == [f"c{place}" for place in range(1, len(table.columns) + 1)]
    if asked and unnamed and 2 <= len(table.columns) <= 4:
        return _by_place(table)
    if asked or table.shape == "ratings":
        lacking = "user" if "user" not in found else "item"
        raise DataError(
            f"{table.source} has no column that says which {lacking}; it has: {', '.join(table.columns[:15])}.",
            hint="name the columns user, item, rating and time.",
        )
    return None


def _by_place(table: Table) -> dict[Role, str]:
    rest = table.columns[2:]
    late = [name for name in rest if np.nanmedian(_numbers(table.column(name))) > SECONDS]
    found: dict[Role, str] = {"user": table.columns[0], "item": table.columns[1]}
    if late or len(rest) == 2:
        found["time"] = late[0] if late else rest[-1]
    return found


def _numbers(cells: pl.Series) -> npt.NDArray[np.float64]:
    values = numbers(cells, comma=False)
    return values if np.isfinite(values).any() else np.zeros(len(cells))


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """How a column says when, so that every file is read as the first one was.

    Attributes:
        form: What `moments.form_of` found.
        size: Units of a day: epochs in seconds or milliseconds are told by their size.
    """

    form: str
    size: float

    @classmethod
    def of(cls, cells: pl.Series) -> Self:
        """The calendar of these cells."""
        form = form_of(cells)
        when = moments(cells, form)
        known = when[np.isfinite(when)]
        middle = float(np.median(np.abs(known))) if len(known) else 0.0
        epoch = 1e3 * DAY if middle > MILLISECONDS else DAY if middle > SECONDS else 1.0
        return cls(form=form, size=epoch)

    @classmethod
    def restore(cls, facts: Mapping[str, Any]) -> Self:
        """A calendar from a file, each part of it one that `of` can give.

        Raises:
            ValueError: If one is not.
        """
        made = cls(**facts)
        if made.form not in FORMS or made.size not in (1.0, DAY, 1e3 * DAY):
            raise ValueError("its times are read in no known way")
        return made

    def days(self, cells: pl.Series) -> npt.NDArray[np.float64]:
        """(N,) moments in days; cells of which none can be read so are read as they look themselves."""
        when = moments(cells, self.form)
        if np.isfinite(when).any():
            return when / self.size
        own = Calendar.of(cells)
        return moments(cells, own.form) / own.size


def identities(cells: pl.Series) -> pl.Series:
    """Users or items as texts; whole numbers that a gap made floats are the same as without it."""
    import polars as pl

    if cells.dtype.is_float() and bool((cells.drop_nulls().fill_nan(0.5) % 1 == 0).all()):
        cells = cells.cast(pl.Int64)
    return cells.cast(pl.String)


def arrange(table: Table, found: Mapping[Role, str], drop: Sequence[str] = ()) -> Table:
    """The table as ratings: in order of time, each user and item once, and said what was left out.

    Raises:
        DataError: If hardly a row is left, or there is one item only.
    """
    import polars as pl

    findings: list[Finding] = []
    found = {role: name for role, name in found.items() if name not in drop}
    if not {"user", "item"} <= set(found):
        raise DataError(
            f"the column of users or of items of {table.source} is dropped.", hint="leave out that --drop."
        )
    user, item, time = found["user"], found["item"], found.get("time")
    cells = table.cells
    keep = cells.select(pl.col(user).is_not_null() & pl.col(item).is_not_null()).to_series().to_numpy()
    say(findings, user, "missing", int((~keep).sum()), ("rows lack the user or the item", "left out"))
    _say_mixed(findings, cells, (user, item))
    when = np.arange(table.height, dtype=np.float64)
    if time:
        when = Calendar.of(cells[time]).days(cells[time])
        lost = keep & ~np.isfinite(when)
        keep &= np.isfinite(when)
        say(findings, time, "no time", int(lost.sum()), ("rows have no time that can be read", "left out"))
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(when[rows], kind="stable")]
    ready = cells[rows].with_columns(identities(cells[name][rows]) for name in (user, item))
    first = ready.select(pl.struct(user, item).is_first_distinct()).to_series()
    again = int((~first).sum())
    say(findings, item, "duplicates", again, ("rows repeat a user and item", "the first of each is kept"))
    ready, rows = ready.filter(first), rows[first.to_numpy()]
    _refuse(table, ready, user, item)
    roles: dict[str, Role] = {name: "ignore" for name in ready.columns if name.lower() != SPLIT}
    roles |= {name: role for role, name in found.items()}
    _say_ratings(findings, replace(table, cells=ready))
    kinds = {name: "item" for name, role in roles.items() if role != "ignore"}
    findings += [] if time else [_no_time()]
    return replace(
        table,
        cells=ready,
        shape="ratings",
        roles=roles,
        kinds=kinds,
        given=_moved(table.given, rows, table.height),
        findings=(*table.findings, *findings),
    )


def rating_column(table: Table) -> str | None:
    """The column that says how good."""
    return next((name for name in table.columns if name.lower() in RATINGS), None)


def _moved(given: Mapping[str, Rows], rows: Rows, height: int) -> dict[str, Rows]:
    """The rows of each part where they are now; those that were left out are in none."""
    place = np.full(height, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    found = {part: np.sort(place[named]) for part, named in given.items()}
    return {part: named[named >= 0] for part, named in found.items()}


def last_ones(table: Table, wheres: Mapping[str, Where]) -> tuple[str, dict[str, Where]]:
    """Where nothing was said: the last interaction of each user for the test, the one before to validate."""
    if table.given or any(name.lower() == SPLIT for name in table.columns):
        return "random", dict(wheres)
    if any(where.kind != "default" for where in wheres.values()):
        return "order", dict(wheres)
    words = {"test": (0, "the last of each user with three or more"), "validation": (1, "the one before it")}
    made = {
        name: Where(kind="rows_given", rows=_leave_last(table, back), text=text)
        for name, (back, text) in words.items()
    }
    return "random", made


def _leave_last(table: Table, back: int) -> Rows:
    """The last row but `back` of each user who has three or more: 0 for the test, 1 for validation.

    Raises:
        DataError: If no user has so many.
    """
    import polars as pl

    user = next(name for name, role in table.roles.items() if role == "user")
    place = pl.int_range(pl.len()).over(user)
    last = table.cells.select((pl.len().over(user) >= FEWEST) & (place == pl.len().over(user) - 1 - back))
    rows = last.to_series().arg_true().to_numpy().astype(np.int64)
    if len(rows) < 2:
        raise DataError(
            f"{len(rows)} users of {table.source} have {FEWEST} interactions or more.",
            hint="the last of each user is tested on: give more of them, or set rows aside with --split time.",
        )
    return rows


def _refuse(table: Table, ready: pl.DataFrame, user: str, item: str) -> None:
    if ready.height < ENOUGH:
        raise DataError(
            f"{table.source} has {ready.height:,} different interactions that can be read.",
            hint=f"recommending needs {ENOUGH} or more; some thousand are a good start.",
        )
    for name in (user, item):
        if ready[name].n_unique() < 2:
            raise DataError(
                f"column '{name}' of {table.source} has one value only.",
                hint="recommending needs several users and several items.",
            )


def _say_mixed(findings: list[Finding], cells: pl.DataFrame, names: Sequence[str]) -> None:
    """Identities are texts: said where some look like numbers and some do not."""
    for name in names:
        numeric = np.isfinite(numbers(cells[name], comma=False))
        there = cells[name].is_not_null().to_numpy()
        odd = int(min((numeric & there).sum(), (~numeric & there).sum()))
        say(findings, name, "mixed", odd, ("identities are of another type than the rest", "all read as text"))


def _say_ratings(findings: list[Finding], table: Table) -> None:
    rating = rating_column(table)
    if rating is None:
        return
    values = numbers(table.column(rating), comma=False)
    odd = int((~np.isfinite(values)).sum())
    say(findings, rating, "no rating", odd, ("ratings are no numbers", "interactions all the same"))
    if odd == len(values):
        return
    low, high = (float(each) for each in np.nanquantile(values, (0.001, 0.999)))
    span = max(1.0, high - low)
    beyond = int(((values > high + span) | (values < low - span)).sum())
    words = (f"ratings lie far outside {low:g} to {high:g}", "kept; look at them")
    say(findings, rating, "odd ratings", beyond, words)
    what = "a rating counts as an interaction, whatever its number"
    done = "to recommend what is rated 4 or more: --set task.least=4; "
    done += f"to predict the number itself: --task regress --target {rating}"
    findings.append(Finding(name="ratings", what=what, where=rating, done=done))


def _no_time() -> Finding:
    what = "no column says when"
    done = "the order of the rows counts as the order of time; what is popular now cannot be told"
    return Finding(name="no time", what=what, done=done, severity="warning")


def say(findings: list[Finding], where: str, name: str, count: int, words: Sequence[str]) -> None:
    """A finding where there is anything to count; words: what it is, and what was done."""
    if count:
        what, done = f"{count:,} {words[0]}", words[1]
        findings.append(Finding(name=name, what=what, where=where, count=count, done=done, severity="warning"))
