"""Items for users: what a model that recommends answers for a list of users, or of their interactions."""

# K = members, B = users, I = items

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from netwright.base.errors import DataError, did_you_mean
from netwright.data.kinds.item import BEGIN, FIRST, Item, user_hashes
from netwright.data.packed import gather, pack
from netwright.data.ratings import identities
from netwright.tasks.ranking import SEEN

if TYPE_CHECKING:
    import polars as pl

    from netwright.data.table import Table
    from netwright.tasks.network import Network

TOP = 10
"""Items for a user, unless asked otherwise."""
AT_ONCE = 512
ALL = "has taken every item that is known"
NEW = "new user, or too few interactions to be stored: answered as for anybody"
UNKNOWN = "{count:,} of the items given are not known: passed over"


def suggest(network: Network, kind: Item, table: Table, top: int | None) -> pl.DataFrame:
    """Items that each user of a table has not taken yet, the likeliest first.

    Args:
        network: The trained network.
        kind: The fitted items.
        table: Users; where it has items too, they are added to what is stored of each.
        top: Items a user, >= 1.

    Returns:
        `user`, `rank`, `prediction`, `probability` and `note`: users in order of their first line.

    Raises:
        DataError: If there is no column of users.
    """
    import polars as pl

    users, histories, unknown = _histories(kind, table)
    count = min(top or TOP, len(kind.items))
    columns: dict[str, list[Any]] = {name: [] for name in ("user", "rank", "prediction", "probability", "note")}
    for start in range(0, len(users), AT_ONCE):
        chosen = histories[start : start + AT_ONCE]
        share_BT, item_BT = _likeliest(network, kind, chosen, count)
        for user, codes, shares, items in zip(
            users[start : start + AT_ONCE], chosen, share_BT.tolist(), item_BT.tolist(), strict=True
        ):
            gone = unknown.get(user, 0)
            left = min(count, len(kind.items) - len(codes))
            said = (NEW if not codes else "", "" if left else ALL, UNKNOWN.format(count=gone) if gone else "")
            columns["user"] += [user] * max(1, left)
            columns["rank"] += range(1, left + 1) if left else [None]
            columns["prediction"] += [kind.items[item] for item in items[:left]] or [None]
            columns["probability"] += shares[:left] or [None]
            columns["note"] += ["; ".join(filter(None, said))] * max(1, left)
    schema = dict(zip(columns, (pl.String, pl.Int64, pl.String, pl.Float64, pl.String), strict=True))
    return pl.DataFrame(columns, schema=schema)


def _histories(kind: Item, table: Table) -> tuple[list[str], list[list[int]], dict[str, int]]:
    """Users in order of their first line, the codes each took in order of time, and items not known of each."""
    import polars as pl

    name, item, time = kind.names["user"], kind.names["item"], kind.names.get("time")
    if name not in table.columns and table.columns == ["c1"]:
        name = "c1"  # a bare list of users
    if name not in table.columns:
        raise DataError(
            f"{table.source} has no column '{name}', which says which user.",
            hint=did_you_mean(name, table.columns),
        )
    cells = identities(table.column(name)).fill_null("")
    users = list(dict.fromkeys(cells.to_list()))
    hashes = user_hashes(pl.Series(users, dtype=pl.String)).tolist()
    found = {user: kind.history(number).tolist() for user, number in zip(users, hashes, strict=True)}
    unknown: dict[str, int] = {}
    if item in table.columns:
        there = table.column(item).is_not_null()
        codes = kind.codes(table.frame([item]))
        timed = time is not None and time in table.columns
        when = kind.days(table.frame([time])) if timed and time else np.arange(len(codes))
        for row in np.argsort(when, kind="stable").tolist():
            found[cells[row]] += [int(codes[row])] * int(codes[row] >= FIRST)
        gone = cells.filter(there & pl.Series(codes < FIRST)).value_counts()
        unknown = dict(gone.iter_rows())
    return users, [list(dict.fromkeys(found[user])) for user in users], unknown


def _likeliest(network: Network, kind: Item, histories: list[list[int]], count: int) -> tuple[Tensor, Tensor]:
    """(B, T) probabilities and items, the likeliest first; equals in the order of their codes."""
    key = kind.field().key
    empty = torch.zeros(0, dtype=torch.int64)
    seen = pack([torch.tensor([BEGIN, *each]) for each in histories], empty)
    last = pack([torch.tensor([BEGIN, *each][-kind.longest :]) for each in histories], empty)
    with torch.inference_mode():
        output_KBI: Tensor = network(gather({key: last, SEEN: seen}))
        share_BI = output_KBI.softmax(-1).mean(0)
        ordered = output_KBI.mean(0).sort(dim=1, descending=True, stable=True).indices[:, :count]
        return share_BI.gather(1, ordered), ordered
