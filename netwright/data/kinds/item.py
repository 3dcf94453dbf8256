"""Interactions: who took what, and when; items as codes, histories of known users beside them."""

# N = rows, I = items, U = known users

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
import numpy.typing as npt
import torch

from netwright.base import strict
from netwright.base.errors import BundleError, DataError, RecipeError
from netwright.base.schema import JSON, Choice, Column, Field
from netwright.data import ratings
from netwright.data.kinds import ragged
from netwright.data.kinds.kind import AbstractKind
from netwright.data.packed import Packed

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

    from netwright.data.columns import Inputs

BEGIN, FIRST = 1, 2
"""Code that a history begins with, and code of the first item; 0 is padding."""
RARE = 3
"""Training rows an item or a user must have to be stored."""
MOST = 20_000
"""Items that can be recommended: the most frequent ones."""
LONGEST = 64
"""Items of a history that a network reads, the last ones, unless set by hand."""
Codes = npt.NDArray[np.int64]


@final
class Item(AbstractKind):
    """The columns user, item and time as one block; an item is a token, a history is a text of them.

    Attributes:
        names: Column of each role: "user", "item", and "time" where there is one.
        items: Identities of the items, the most frequent first: item `i` has code `FIRST + i`.
        known: (U,) sorted hashes of the users whose histories are stored.
        histories: Their item codes, in order of time.
        calendar: How the column of times is read.
    """

    name = "item"
    takes = ("longest",)

    def __init__(
        self, columns: Sequence[str], names: Mapping[str, str], items: Sequence[str], longest: int
    ) -> None:
        self.columns, self.names = tuple(columns), dict(names)
        self.items, self.longest = tuple(items), longest
        self.calendar = ratings.Calendar(form="", size=1.0)
        self.known = torch.zeros(0, dtype=torch.int64)
        self.histories = Packed(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2, dtype=torch.int64))
        self._code = {item: code for code, item in enumerate(self.items, start=FIRST)}

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """Never by its cells: the names of the columns say it."""
        return None

    @classmethod
    def fit(cls, block: pl.DataFrame, columns: Sequence[Column]) -> Self:
        """Items with enough training rows, the most frequent first, and the histories of their users.

        Raises:
            DataError: If user or item is not among the columns, or hardly an item comes again.
            RecipeError: If a setting is out of range.
        """
        names: dict[str, str] = {column.role: column.name for column in columns}
        if not {"user", "item"} <= set(names):
            raise DataError(
                f"column '{columns[0].name}' alone is no interaction of a user with an item.",
                hint="items are known by their columns' names: user, item, and time; leave out --kind.",
            )
        asked = next((c.settings["longest"] for c in columns if "longest" in c.settings), LONGEST)
        longest = ragged.whole(asked, f"kind.{names['item']}.longest", 1, 10_000)
        cells = ratings.identities(block[names["item"]])
        counts = (
            cells.drop_nulls().value_counts(name="count").sort(["count", cells.name], descending=[True, False])
        )
        kept = counts.filter(counts["count"] >= RARE)[cells.name].to_list()[:MOST]
        if len(kept) < 2:
            raise DataError(
                f"column '{names['item']}' has {len(kept)} items with {RARE} training rows or more.",
                hint="what is taken once or twice cannot be recommended, nor stored: give more interactions.",
            )
        kind = cls([column.name for column in columns], names, kept, longest)
        if "time" in names:
            kind.calendar = ratings.Calendar.of(block[names["time"]])
        kind._remember(block)
        return kind

    def _remember(self, block: pl.DataFrame) -> None:
        """Keeps the histories of users with enough training rows, under hashes of their names."""
        codes = self.codes(block)
        order = np.argsort(self.days(block), kind="stable")
        order = order[codes[order] >= FIRST]
        user_N = self.users(block)[order]
        order = order[np.argsort(user_N, kind="stable")]
        known, counts = np.unique(user_N, return_counts=True)
        enough = counts >= RARE
        starts = np.cumsum(counts) - counts
        spans = np.stack([starts[enough], counts[enough]], axis=1)
        kept = np.concatenate([np.arange(a, a + n) for a, n in spans.tolist()] or [np.zeros(0, dtype=np.int64)])
        self.known = torch.from_numpy(known[enough])
        lengths = torch.from_numpy(spans[:, 1].astype(np.int64))
        self.histories = Packed(
            torch.from_numpy(codes[order][kept]), torch.stack([lengths.cumsum(0) - lengths, lengths], dim=1)
        )

    def reads(self) -> tuple[str, ...]:
        """Names of the columns of the block."""
        return self.columns

    def field(self) -> Field:
        """Items as tokens (T,)."""
        name = self.names["item"]
        return Field(
            key=f"item:{name}",
            columns=(name,),
            layout="tokens",
            shape=(self.longest,),
            sizes=(len(self.items) + FIRST,),
        )

    def encode(self, block: pl.DataFrame) -> Packed:
        """(N,) codes of the items; the task cuts histories out of them."""
        return Packed(torch.from_numpy(self.codes(block)))

    def codes(self, block: pl.DataFrame) -> Codes:
        """(N,) codes of the items, 0 where one is not known."""
        cells = ratings.identities(block[self.names["item"]]).to_list()
        return np.array([self._code.get(cell, 0) for cell in cells], dtype=np.int64)

    def users(self, block: pl.DataFrame) -> Codes:
        """(N,) numbers that stand for the users: hashes of their names, the same on every machine."""
        return user_hashes(block[self.names["user"]])

    def days(self, block: pl.DataFrame) -> npt.NDArray[np.float64]:
        """(N,) moments in days; the places of the rows where there is no time."""
        if "time" not in self.names:
            return np.arange(block.height, dtype=np.float64)
        return self.calendar.days(block[self.names["time"]])

    def history(self, user: int) -> Codes:
        """Item codes that are stored for a user; none for one who is not known."""
        place = int(np.searchsorted(self.known.numpy(), user))
        if place >= len(self.known) or int(self.known[place]) != user:
            return np.zeros(0, dtype=np.int64)
        assert self.histories.spans is not None
        start, length = self.histories.spans[place].tolist()
        found: Codes = self.histories.values[start : start + length].numpy()
        return found

    def recalled(self, user_N: Codes, code_N: Codes) -> tuple[Codes, Codes]:
        """Stored users and codes of these users that do not stand among these rows themselves."""
        known_U, spans = self.known.numpy(), self.histories.spans
        assert spans is not None
        places = np.flatnonzero(np.isin(known_U, user_N))
        user_M = np.repeat(known_U[places], spans[:, 1].numpy()[places])
        codes = [self.histories.values[a : a + n].numpy() for a, n in spans[torch.from_numpy(places)].tolist()]
        code_M = np.concatenate([np.zeros(0, dtype=np.int64), *codes])
        fresh = ~np.isin(_pair(user_M, code_M), _pair(user_N, code_N))
        return user_M[fresh], code_M[fresh]

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Names and length; items as bytes; users as hashes, with their histories."""
        content = bytearray(json.dumps(list(self.items)).encode())
        assert self.histories.spans is not None
        tensors = {
            "items": torch.frombuffer(content, dtype=torch.uint8),
            "users": self.known,
            "lengths": self.histories.spans[:, 1].contiguous(),
            "histories": self.histories.values,
        }
        facts = {"columns": list(self.columns), "names": self.names, "longest": self.longest}
        return {**facts, "calendar": asdict(self.calendar)}, tensors

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted kind again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            names = {str(role): str(name) for role, name in facts["names"].items()}
            items = strict.parse(tensors["items"].numpy().tobytes().decode())
            columns, longest = [str(name) for name in facts["columns"]], int(facts["longest"])
            calendar = ratings.Calendar.restore(facts["calendar"])
            users, lengths, flat = (tensors[key] for key in ("users", "lengths", "histories"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"the model's items cannot be read: {error}.") from error
        good = isinstance(items, list) and items and all(isinstance(item, str) for item in items)
        good = good and {"user", "item"} <= set(names) <= {"user", "item", "time"}
        if not good or len(items) > MOST or set(names.values()) != set(columns) or not 1 <= longest <= 10_000:
            raise BundleError("the model's items have a form that does not fit.")
        made = cls(columns, names, items, longest)
        made.calendar = calendar
        made.known, made.histories = users, _packed(users, lengths, flat, FIRST + len(items))
        return made


def interactions(inputs: Inputs) -> Item:
    """The one kind that recommending works on.

    Raises:
        RecipeError: If there is anything else.
    """
    kinds = inputs.kinds
    if len(kinds) != 1 or not isinstance(kinds[0], Item):
        what = "recommending learns from users, items and times, and nothing beside them."
        raise RecipeError(what, hint="give a table with columns user, item and, if there is one, time.")
    return kinds[0]


def usable(kind: Item, block: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """(N,) whether a row has user, item and moment, and is the first of its user and item."""
    import polars as pl

    pairs = pl.DataFrame({role: ratings.identities(block[kind.names[role]]) for role in ("user", "item")})
    good = pl.struct(pl.all()).is_first_distinct() & pl.all_horizontal(pl.all().is_not_null())
    return pairs.select(good).to_series().to_numpy() & np.isfinite(kind.days(block))


def user_hashes(cells: pl.Series) -> Codes:
    """(N,) int64 of identities: the first bytes of their SHA-256, so that a file holds no names."""
    texts = ratings.identities(cells).to_list()
    made = {text: _hash(text or "") for text in dict.fromkeys(texts)}
    return np.array([made[text] for text in texts], dtype=np.int64)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little", signed=True)


def _pair(user_N: Codes, code_N: Codes) -> Codes:
    """(N,) one number for a user and an item; hashes may overflow, and do so alike."""
    return user_N * 1_000_003 + code_N


def _packed(users: Tensor, lengths: Tensor, flat: Tensor, codes: int) -> Packed:
    """The stored histories, each code within bounds.

    Raises:
        BundleError: If they do not fit together.
    """
    whole = all(each.dtype == torch.int64 and each.ndim == 1 for each in (users, lengths, flat))
    inside = whole and bool(((lengths >= 0) & (lengths <= len(flat))).all())  # so that no sum runs over
    if not inside or len(users) != len(lengths) or int(lengths.sum()) != len(flat):
        raise BundleError("the model's histories do not fit together.")
    if len(flat) and not (int(flat.min()) >= FIRST and int(flat.max()) < codes):
        raise BundleError("the model's histories hold items that it does not have.")
    if bool((users[1:] <= users[:-1]).any()):
        raise BundleError("the model's users are not in order.")
    return Packed(flat, torch.stack([lengths.cumsum(0) - lengths, lengths], dim=1))
