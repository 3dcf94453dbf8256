"""What is odd about the labels: how many rows each has, how they are written, and in which order they come."""

# N = training rows, C = classes

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netwright.base.schema import Column, Finding
from netwright.data.checks.view import Floats, View, code, evenly, likeness, listed
from netwright.data.hashes import canonical, plain

if TYPE_CHECKING:
    import polars as pl

LARGEST = 0.8
SMALLEST = 0.01
FEW = 10
"""Training rows of a class below which it is hardly learnt."""
RUNS = 0.5
"""Part of the way from chance to sorted that neighbouring rows may agree."""
SORTED = 0.95
ORDERED = 50
"""Rows below which an order may be chance."""


def imbalance(view: View) -> list[Finding]:
    """A class that is nearly all rows, or nearly none."""
    found = []
    for target, counts in _counted(view):
        shares = counts["count"].to_numpy() / counts["count"].sum()
        most, least = int(shares.argmax()), int(shares.argmin())
        if view.task == "classify" and shares[most] > LARGEST:
            what = f"{shares[most]:.1%} of the training rows are '{counts[target][most]}'"
            done = "accuracy says little here: the headline is balanced accuracy, which counts classes alike"
            found.append(_said("imbalance", what, target, int(counts["count"][most]), done))
        elif view.task == "classify" and shares[least] < min(SMALLEST, 0.2 / len(shares)):
            what = f"only {shares[least]:.2%} of the training rows are '{counts[target][least]}'"
            done = "kept; look at its line in the report's table of mistakes"
            found.append(_said("imbalance", what, target, int(counts["count"][least]), done))
    return found


def few(view: View) -> list[Finding]:
    """Classes with hardly any training row."""
    found = []
    for target, counts in _counted(view):
        rare = [str(each) for each in counts.filter(counts["count"] < FEW)[target].to_list()]
        if rare and len(view.split.train) >= 2 * FEW:
            classes = "class has" if len(rare) == 1 else "classes have"
            what = f"{len(rare):,} {classes} fewer than {FEW} training rows: {listed(rare)}"
            done = "kept; such classes are hardly learnt: add rows, or merge them"
            found.append(_said("few rows of a class", what, target, len(rare), done))
    return found


def spelling(view: View) -> list[Finding]:
    """Labels that differ only in case, spaces or a trailing full stop, in any part."""
    found = []
    for target in _labelled(view):
        groups: dict[str, list[str]] = {}
        for label in view.table.cells[target.name].drop_nulls().unique().sort().to_list():
            if isinstance(label, str):
                groups.setdefault(plain(label), []).append(label)
        same = [labels for labels in groups.values() if len(labels) > 1]
        if same:
            shown = "; ".join(" and ".join(repr(label) for label in labels) for labels in same[:3])
            what = f"labels that differ only in case, spaces or a full stop: {shown}"
            done = "merged; keep them apart with --set task.merge_labels=false"
            count = sum(len(labels) - 1 for labels in same)
            found.append(_said("label spelling", what, target.name, count, done))
    return found


def unseen(view: View) -> list[Finding]:
    """Labels of test rows that no training row has."""
    found = []
    for target in _labelled(view):
        known, asked = (
            canonical(view.table.frame([target.name], rows).to_series()).drop_nulls()
            for rows in (view.split.train, view.split.test)
        )
        new = asked.filter(~asked.is_in(known.unique().implode()))
        if len(new):
            names = [str(each) for each in new.unique().sort().to_list()]
            what = f"{len(new):,} test rows have labels that no training row has: {listed(names)}"
            found.append(_said("unseen labels", what, target.name, len(new), "counted as errors"))
    return found


def order(view: View) -> list[Finding]:
    """Rows that come sorted by their target."""
    found = []
    for target in view.targets:
        if len(view.rows) < ORDERED or target.name in view.table.roles:
            continue  # folders and lists of classes are read class by class: that is no accident
        rows = evenly(view.split.train, len(view.rows))
        cells = view.table.frame([target.name], rows).to_series()
        if cells.dtype.is_nested() or not _in_order(view, cells, target):
            continue
        cut = view.split.rule == "given"
        done = "training takes rows in random order"
        if cut:
            done += "; test rows cut off along this order would be unlike the others: choose them at random"
        what = f"the rows come sorted by '{target.name}'"
        found.append(_said("order", what, target.name, len(rows), done, warn=cut))
    return found


def _in_order(view: View, cells: pl.Series, target: Column) -> bool:
    if view.task == "regress":
        values = view.numbers(target.name)
        there = np.isfinite(values)
        places: Floats = np.flatnonzero(there).astype(np.float64)
        return there.sum() >= ORDERED and abs(likeness(places, values[there])) > SORTED
    if view.task not in ("classify", "tag"):
        return False
    codes = code(cells)
    chance = float(((np.bincount(codes) / len(codes)) ** 2).sum())
    agree = float((codes[1:] == codes[:-1]).mean())
    rare = len(codes) - np.bincount(codes).max() < FEW
    return not rare and agree - chance > RUNS * (1 - chance)


def _labelled(view: View) -> list[Column]:
    """Target columns whose cells are names of classes."""
    if view.task != "classify" and not (view.task == "tag" and len(view.targets) > 1):
        return []
    return [each for each in view.targets if not view.table.cells[each.name].dtype.is_nested()]


def _counted(view: View) -> list[tuple[str, pl.DataFrame]]:
    """For each such column its labels and how many training rows they have."""
    found = []
    for target in _labelled(view):
        cells = canonical(view.table.frame([target.name], view.split.train).to_series()).drop_nulls()
        if len(cells):
            found.append((target.name, cells.value_counts().sort(["count", target.name])))
    return found


def _said(name: str, what: str, where: str, count: int, done: str, *, warn: bool = True) -> Finding:
    return Finding(
        name=name,
        what=what,
        where=where,
        count=count,
        done=done,
        severity="warning" if warn else "note",
        columns=(where,),
    )
