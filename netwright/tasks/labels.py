"""Class labels in the user's own words: recognised, merged where they only look different, and coded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from netwright.base.errors import BundleError
from netwright.base.schema import JSON, Finding
from netwright.data.kinds.numerals import has_comma, numbers

if TYPE_CHECKING:
    import polars as pl

Label = str | int | float | bool
FEW = 20
"""Up to so many whole numbers in a row from 0 or 1 on are taken for names of classes."""


@dataclass(frozen=True)
class Classes:
    """The classes of the training rows.

    Attributes:
        words: The classes as the user writes them, in order.
        counts: Training rows of each.
        aliases: Spelling found in training -> the word it was merged into.
        merge: Whether spellings that differ in case, spaces or a full stop are one class.
    """

    words: tuple[Label, ...]
    counts: tuple[int, ...]
    merge: bool = True
    aliases: Mapping[str, Label] = field(default_factory=dict)

    def encode(self, cells: pl.Series) -> npt.NDArray[np.int64]:
        """(N,) codes; -1 where missing or unseen."""
        import polars as pl

        codes = {self._canonical(word): code for code, word in enumerate(self.words)}
        distinct = cells.unique()
        known = [codes.get(self._canonical(cell), -1) for cell in distinct.to_list()]
        frame = cells.alias("cell").to_frame()
        table = pl.DataFrame({"cell": distinct, "code": pl.Series(known, dtype=pl.Int64)})
        joined = frame.join(table, on="cell", how="left", maintain_order="left", nulls_equal=True)
        return joined["code"].fill_null(-1).to_numpy().astype(np.int64)

    def decode(self, codes: npt.NDArray[Any]) -> pl.Series:
        """The words for codes, in the type the user's own labels have."""
        import polars as pl

        return pl.Series([self.words[code] for code in codes.tolist()], strict=False)

    def facts(self) -> JSON:
        """JSON that `restore` takes."""
        return {"words": list(self.words), "counts": list(self.counts), "merge": self.merge}

    def findings(self, column: str) -> list[Finding]:
        """A finding if spellings were merged."""
        if not self.aliases:
            return []
        shown = ", ".join(f"{old!r} -> {new!r}" for old, new in list(self.aliases.items())[:3])
        return [
            Finding(
                name="label spelling",
                what=f"labels that differ only in case, spaces or a full stop: {shown}",
                where=column,
                count=len(self.aliases),
                done="merged; keep them apart with --set task.merge_labels=false",
                severity="warning",
            )
        ]

    def _canonical(self, cell: object) -> object:
        return canonical(cell) if self.merge else plain(cell)


def canonical(cell: object) -> object:
    """The label without what people write by accident; numbers compare by value."""
    if isinstance(cell, str):
        return re.sub(r"\s+", " ", cell).strip().removesuffix(".").rstrip().casefold()
    return plain(cell)


def plain(cell: object) -> object:
    """A number as its shortest text, so that 1, 1.0 and "1" are one label; other cells as they are."""
    if isinstance(cell, bool) or cell is None:
        return cell if cell is None else str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def fit(cells: pl.Series, *, merge: bool) -> Classes:
    """The classes of the training cells, sorted: numbers by value, words by spelling."""
    counted: Counter[Label] = Counter()
    for word, count in cells.drop_nulls().value_counts(sort=False).iter_rows():
        if not (isinstance(word, float) and not np.isfinite(word)):
            counted[_clean(word)] += count
    groups: dict[object, list[Label]] = {}
    for word in counted:
        groups.setdefault(canonical(word) if merge else plain(word), []).append(word)
    best = {key: max(words, key=lambda w: (counted[w], str(w))) for key, words in groups.items()}
    order = sorted(groups, key=lambda key: _order(best[key]))
    return Classes(
        words=tuple(best[key] for key in order),
        counts=tuple(sum(counted[word] for word in groups[key]) for key in order),
        merge=merge,
        aliases={str(word): best[key] for key in order for word in groups[key] if word is not best[key]},
    )


def restore(facts: Any) -> Classes:
    """The classes that `Classes.facts` wrote.

    Raises:
        BundleError: If they are not classes.
    """
    words, counts = facts["words"], facts["counts"]
    good = all(isinstance(word, str | int | float | bool) for word in words)
    if not good or len(words) != len(counts) or len(words) < 2:
        raise BundleError("the model's classes cannot be read.")
    whole = tuple(int(count) for count in counts)
    return Classes(words=tuple(words), counts=whole, merge=bool(facts["merge"]))


def looks_like_classes(cells: pl.Series) -> tuple[int, str] | None:
    """How sure it is that the cells are names of classes, 0-100, and why; None: they are not."""
    present = cells.drop_nulls()
    distinct = present.n_unique()
    if present.dtype.is_nested() or distinct == 0:
        return None
    numbers = as_numbers(present)
    if numbers is None:
        return 70, f"it has {distinct:,} different words"
    if distinct <= 2:
        return 80, f"it has {distinct} different values"
    whole = bool(np.all(numbers == np.floor(numbers)))
    low, high = float(numbers.min()), float(numbers.max())
    if whole and low in (0.0, 1.0) and distinct <= FEW and high - low < FEW:
        return 65, f"it has {distinct} whole numbers from {low:.0f} to {high:.0f}"
    return 10, f"it has {distinct:,} different values"


def as_numbers(cells: pl.Series) -> npt.NDArray[np.float64] | None:
    """The numbers that the cells are, if nearly all of them are."""
    if cells.dtype.is_temporal():
        return None
    parsed = numbers(cells, comma=has_comma(cells))
    values = parsed[np.isfinite(parsed)]
    return values if len(values) and len(values) >= 0.95 * len(cells) else None


def _clean(word: Any) -> Label:
    return word if isinstance(word, bool | int | float) else str(word)


def _order(word: Label) -> tuple[int, float, str]:
    try:
        return 0, float(word), ""
    except ValueError:
        return 1, 0.0, str(word)


def as_labels(cells: Sequence[Any]) -> list[str]:
    """Cells of one tag column as label words, stripped, empty ones left out."""
    return [str(cell).strip() for cell in cells if cell is not None and str(cell).strip()]
