"""Which units of rows go to a part: rows that stay together are one unit; draws depend on positions only."""

# N = rows, U = units, C = classes

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netwright.base import seeds
from netwright.data.table import Rows

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

LARGE = 100
"""A class with so many test rows to come is drawn by position alone: chance keeps its share, and a changed
label of a test row then moves no other row. Smaller classes are drawn in exact proportion."""


@dataclass(frozen=True)
class Units:
    """Rows that must stay together.

    Attributes:
        of_row: (N,) unit of each row.
        first: (U,) place of the first row of each unit.
        size: (U,) rows of each unit.
        stratum: (U,) class whose share the unit counts for.
        draw: (U,) in [0, 1): the lowest are taken first.
    """

    of_row: Codes
    first: Codes
    size: Codes
    stratum: Codes
    draw: Floats

    def __len__(self) -> int:
        return len(self.first)

    def rows(self, chosen: Mask) -> Mask:
        """(N,) True for the rows of the chosen units (U,)."""
        return chosen[self.of_row]


def coarse(whole: npt.NDArray[np.generic], inputs: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """(N,) of rows that repeat others, those whose inputs stand beside several answers.

    They are equal because their inputs tell little, not because one was copied. Were each answer kept in one
    part, the others would learn that these inputs never have it.

    Args:
        whole: (N,) hashes of inputs and answer.
        inputs: (N,) hashes of the inputs alone.
    """
    _, alike, count_A = np.unique(whole, return_inverse=True, return_counts=True)
    same = np.unique(inputs, return_inverse=True)[1]
    answers = np.bincount(np.unique(np.stack([same, alike]), axis=1)[0])
    found: npt.NDArray[np.bool_] = (count_A[alike] > 1) & (answers[same] > 1)
    return found


def make_units(together: npt.NDArray[np.generic], strata: Codes, numbers: Rows, *words: int | str) -> Units:
    """Units of rows with equal `together`; a unit counts for the class most of its rows have.

    Args:
        together: (N,) hashes or group codes.
        strata: (N,) class codes.
        numbers: (N,) what draws are made from: positions, or ranks among the rows that may be drawn.
        words: What the draws are for, such as (seed, "split", "test").
    """
    values, first, of_row, size = np.unique(
        together, return_index=True, return_inverse=True, return_counts=True
    )
    stratum = strata[first]
    if (stratum[of_row] != strata).any():
        stratum = _commonest(of_row, strata, len(values))
    draw = seeds.uniform(numbers[first], *words)
    return Units(of_row.astype(np.int64), first.astype(np.int64), size.astype(np.int64), stratum, draw)


def large_as_one(strata: Codes, share: float) -> Codes:
    """The classes with every `LARGE` one put into a common stratum 0, the others numbered from 1."""
    _, codes, counts = np.unique(strata, return_inverse=True, return_counts=True)
    return np.where(share * counts[codes] >= LARGE, 0, codes + 1).astype(np.int64)


def take(units: Units, total: int, *, at_least_one: bool = False) -> Mask:
    """(U,) the units taken for about `total` rows, in proportion from each stratum; at least one unit.

    One unit of each stratum is never taken, so that no class is lost to training.

    Args:
        units: What can be taken.
        total: Rows wanted, more than 0.
        at_least_one: Take a row of each class that has two or more, unless that is far too many.
    """
    order = np.lexsort((units.draw, units.stratum))
    starts = np.flatnonzero(np.diff(units.stratum[order], prepend=np.iinfo(np.int64).min))
    counts = np.add.reduceat(units.size[order], starts)
    quotas = _quotas(counts, total, units.draw[order][starts], at_least_one=at_least_one)
    chosen = np.zeros(len(units), dtype=np.bool_)
    stops = np.append(starts[1:], len(order))
    for start, stop, quota in zip(starts.tolist(), stops.tolist(), quotas.tolist(), strict=True):
        mine = order[start : stop - 1]
        chosen[mine[_greedy(units.size[mine], quota)]] = True
    if not chosen.any():
        chosen[_smallest(units, order)] = True
    return chosen


def halve(units: Units, among: Mask) -> tuple[Mask, Mask]:
    """The units of `among` (U,) in two parts of nearly equal rows, every class spread over both."""
    order = np.lexsort((units.draw, units.stratum))
    order = order[among[order]]
    first, second = np.zeros_like(among), np.zeros_like(among)
    if (units.size[order] == 1).all():
        first[order[0::2]], second[order[1::2]] = True, True
        return first, second
    lead = 0
    for unit in order.tolist():
        (first if lead <= 0 else second)[unit] = True
        lead += int(units.size[unit]) * (1 if lead <= 0 else -1)
    return first, second


def deal(units: Units, parts: int) -> Codes:
    """(U,) the part of each unit: parts of nearly equal rows, every class spread over all of them."""
    order = np.lexsort((units.draw, units.stratum))
    of_unit = np.zeros(len(units), dtype=np.int64)
    if (units.size == 1).all():
        of_unit[order] = np.arange(len(order)) % parts
        return of_unit
    rows = np.zeros(parts, dtype=np.int64)
    own = np.zeros(parts, dtype=np.int64)
    before = -1
    for unit in order.tolist():
        if units.stratum[unit] != before:
            before, own = int(units.stratum[unit]), np.zeros(parts, dtype=np.int64)
        part = int(np.lexsort((rows, own))[0])
        of_unit[unit] = part
        rows[part] += units.size[unit]
        own[part] += units.size[unit]
    return of_unit


def last_by_time(times: Floats, count: int) -> Mask:
    """(N,) the latest rows, about `count`; rows of one moment stay together; none if all are one moment."""
    ordered = np.sort(times)
    edge = ordered[max(0, len(ordered) - count)]
    with_edge: Mask = times >= edge
    after_edge: Mask = times > edge
    over, under = int(with_edge.sum()) - count, count - int(after_edge.sum())
    if with_edge.all() or (after_edge.any() and under <= over):
        return after_edge
    return with_edge


def end(keys: npt.NDArray[np.generic], classes: Codes, count: int) -> Mask | None:
    """(N,) the last `count` rows, and those before them that are equal to one of them.

    None where these would be more than twice as many, or a class on one side only: rows may lie in order of
    their classes.
    """
    taken: Mask = np.isin(keys, keys[len(keys) - count :])
    both = np.isin(classes, classes[taken]).all() and np.isin(classes, classes[~taken]).all()
    return taken if both and taken.sum() <= 2 * count else None


def _quotas(counts: Codes, total: int, ties: Floats, *, at_least_one: bool) -> Codes:
    """Rows of each stratum: whole parts first, then the largest remainders."""
    ideal = counts * (total / counts.sum())
    whole = np.floor(ideal).astype(np.int64)
    if at_least_one:
        raised = np.maximum(whole, counts >= 2)
        whole = whole if raised.sum() > 1.5 * total + 1 else raised
    open_ = np.flatnonzero(whole < counts - 1)
    left = max(0, total - int(whole.sum()))
    ranked = open_[np.lexsort((ties[open_], -(ideal - whole)[open_]))]
    whole[ranked[:left]] += 1
    capped: Codes = np.minimum(whole, np.maximum(counts - 1, 0))
    return capped


def _greedy(sizes: Codes, quota: int) -> list[int] | slice:
    """Places of the units taken in turn; one that would overshoot by more than half of it is passed over."""
    if (sizes == 1).all():
        return slice(0, quota)
    taken, chosen = 0, []
    for place, size in enumerate(sizes.tolist()):
        if taken >= quota:
            break
        if taken + size / 2 <= quota:
            chosen.append(place)
            taken += size
    return chosen


def _smallest(units: Units, order: Codes) -> int:
    return int(order[np.argmin(units.size[order])])


def _commonest(of_row: Codes, strata: Codes, units: int) -> Codes:
    pairs, counts = np.unique(np.stack([of_row, strata]), axis=1, return_counts=True)
    order = np.lexsort((counts, pairs[0]))
    last = np.flatnonzero(np.diff(pairs[0][order], append=units))
    commonest: Codes = pairs[1][order][last].astype(np.int64)
    return commonest
