"""Tables that hold pairs of texts: which column is the source, and which pairs share a sentence."""

# N = pairs

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from netwright.base.schema import Finding
from netwright.data.hashes import U64
from netwright.data.kinds.text import DISTINCT, Text
from netwright.data.readers.media import kind_of
from netwright.data.readers.pairs import is_language
from netwright.data.roles import TARGETS, Asked, names_parts
from netwright.data.table import Table

if TYPE_CHECKING:
    import polars as pl

SIDES = (("source", "target"), ("src", "tgt"), ("src", "trg"), ("input", "output"))
LANGUAGES = frozenset(
    [
        "afrikaans",
        "arabic",
        "bengali",
        "bulgarian",
        "catalan",
        "chinese",
        "croatian",
        "czech",
        "danish",
        "dutch",
        "english",
        "estonian",
        "finnish",
        "french",
        "frisian",
        "german",
        "greek",
        "hebrew",
        "hindi",
        "hungarian",
        "icelandic",
        "indonesian",
        "irish",
        "italian",
        "japanese",
        "korean",
        "latin",
        "latvian",
        "lithuanian",
        "norwegian",
        "persian",
        "polish",
        "portuguese",
        "romanian",
        "russian",
        "serbian",
        "slovak",
        "slovenian",
        "spanish",
        "swahili",
        "swedish",
        "tamil",
        "thai",
        "turkish",
        "ukrainian",
        "urdu",
        "vietnamese",
        "welsh",
    ]
)
FEW = 0.1
"""Share of the rows below which different targets are classes, however long they are."""
SENTENCE = re.compile(r"[.!?…。！？]$|\s\S+\s")
"""A first line of these is no header: it ends as a sentence does, or has three words."""
WORDS = re.compile(r"[^\W\d_].*\s.*[^\W\d_]")
"""Two words with letters in them, which no date is."""


def arrange(table: Table, asked: Asked, task: str | None) -> Table:
    """The table as pairs, where it is a text beside a text; else as it is.

    Columns that are neither text do not matter where the task, the target or the names say what is a pair.

    Args:
        table: As read.
        asked: The columns that the user named.
        task: The task the user asked for; another than "translate" leaves the table alone.
    """
    target, aside = asked.target, (*asked.drop, asked.time, asked.group, asked.weight)
    if table.shape == "pairs":
        return _directed(table, target)
    if table.shape != "rows" or task not in (None, "translate") or len(target) > 1:
        return table
    table = _with_first_line(table) if not target else table
    parts = [name for name in table.columns if name.lower() == "split" and names_parts(table.cells[name])]
    left = [name for name in table.columns if name not in (*aside, *parts)]
    texts = [name for name in left if str(table.cells[name].dtype) == "String"]
    if len(texts) != 2 or not task:
        texts = [name for name in texts if _is_text(table.cells[name])]
    others = [name for name in left if name not in texts]
    if len(texts) != 2 or (not target and not task and any(name.lower() in TARGETS for name in others)):
        return table
    _, aim = _sides(texts, target)
    if aim is None:
        return table
    said = Finding(
        name="unused columns",
        what=f"translate learns from text alone: {', '.join(others[:8])}",
        count=len(others),
        done="left out",
        columns=tuple(others),
    )
    return replace(
        table,
        shape="pairs",
        roles={**dict.fromkeys(others, "ignore"), aim: "target"},
        kinds=dict.fromkeys(texts, "text"),
        findings=(*table.findings, said) if others else table.findings,
    )


def components(sides: Sequence[U64]) -> U64:
    """(N,) the same number for pairs that share a sentence on one of the sides, or are linked by others."""
    label = np.arange(len(sides[0]), dtype=np.int64)
    codes = [np.unique(hashes, return_inverse=True)[1] for hashes in sides]
    while True:
        before = label
        for side in codes:
            least = np.full(int(side.max(initial=0)) + 1, len(label), dtype=np.int64)
            np.minimum.at(least, side, label)
            label = least[side]
        label = label[label]
        if np.array_equal(label, before):
            return label.astype(np.uint64)


def _directed(table: Table, target: Sequence[str]) -> Table:
    """Pairs towards the column the user named."""
    known = len(target) == 1 and target[0] in table.columns
    return replace(table, roles={target[0]: "target"}) if known else table


def _sides(texts: Sequence[str], target: Sequence[str]) -> tuple[str, str | None]:
    """Source and target: as asked, or as their names say; None if they say nothing."""
    first, second = texts
    if target:
        other = {first: second, second: first}
        return (other[target[0]], target[0]) if target[0] in other else (first, None)
    lower = (first.lower(), second.lower())
    if lower in SIDES or lower == ("c1", "c2") or all(map(_names_language, lower)):
        return first, second
    return (second, first) if lower[::-1] in SIDES else (first, None)


def _names_language(name: str) -> bool:
    return name in LANGUAGES or is_language(name)


def _is_text(cells: pl.Series) -> bool:
    """Whether the cells are sentences, and neither files nor a few that come again and again."""
    some = cells.gather_every(max(1, len(cells) // 2000)).drop_nulls()
    several = sum(map(bool, map(WORDS.search, some.to_list()))) >= 0.5 * max(1, len(some))
    if any(map(kind_of, some.head(1))) or not (several or Text.recognise(some)):
        return False
    present = cells.drop_nulls()
    return present.n_unique() > max(DISTINCT, FEW * len(present))


def _with_first_line(table: Table) -> Table:
    """The table with its header as its first pair, where that looks like two sentences."""
    import polars as pl

    names = table.columns
    if table.options.header != "auto" or len(names) != 2 or not all(map(SENTENCE.search, names)):
        return table
    if not all(
        str(kind) == "String" and _is_text(table.cells[name]) for name, kind in table.cells.schema.items()
    ):
        return table
    said = Finding(
        name="no header",
        what=f"the first line of {table.source} looks like data",
        count=2,
        done="columns are called c1 and c2",
    )
    first = pl.DataFrame({"c1": [names[0]], "c2": [names[1]]})
    below = table.cells.rename(dict(zip(names, ("c1", "c2"), strict=True)))
    return replace(table, cells=pl.concat([first, below]), findings=(*table.findings, said))
