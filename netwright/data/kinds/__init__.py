"""The kinds of columns. A new kind is one file here and one line in `KINDS`."""

from __future__ import annotations

from netwright.base.registry import Registry

KINDS = Registry(
    "kind",
    {
        "number": "netwright.data.kinds.number:Number",
        "category": "netwright.data.kinds.category:Category",
        "date": "netwright.data.kinds.date:Date",
        "text": "netwright.data.kinds.text:Text",
        "image": "netwright.data.kinds.image:Image",
        "audio": "netwright.data.kinds.audio:Audio",
        "series": "netwright.data.kinds.series:Series",
        "channels": "netwright.data.kinds.channels:Channels",
        "known": "netwright.data.kinds.known:Known",
        "item": "netwright.data.kinds.item:Item",
    },
)
"""Name -> class. The order is the order of the blocks a network gets."""

GUESSED = ("image", "audio", "date", "number", "series", "text", "category")
"""The order in which kinds are asked whether a column is theirs; `category` takes any words that are left."""

MEDIA = frozenset({"image", "audio"})
"""Kinds whose cells may be paths: resolved against the table's folder, and one block a column."""

TIMED = ("channels", "known")
"""Kinds of the columns of a table in order of time."""

ALONE = MEDIA | {"text", "series"}
"""Kinds that make one block a column."""
