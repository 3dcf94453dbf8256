"""Columns that give the target away: one that predicts it almost alone, or two that make it up."""

# N = sampled training rows, F = number columns, R = probed rows

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from netwright.base.schema import Column, Finding
from netwright.data.checks.view import Codes, Floats, View, likeness, midranks, shuffled_ties

FEWEST = 30
"""Rows below which a column may tell the target by chance."""
FEWEST_OTHER = 5
"""Rows outside the largest class below which it may, too."""
RANKED = 0.995
SMOOTH = 0.999
PURE = 0.999
EXACT = 0.999
FEW_VALUES = 0.2
"""A value must stand for at least five rows on average: values that name rows tell everything."""
_CLOSE = 1e-6
_PROBES = 6
_WIDE = 600
"""Number columns of which pairs are tried, at most."""
Bools = npt.NDArray[np.bool_]


def single(view: View) -> list[Finding]:
    """Columns that predict the target almost alone."""
    found = []
    for target in view.targets:
        judge = _judge(view, target)
        if judge is None:
            continue
        for column in view.inputs:
            why = judge.why(view, column)
            if why:
                found.append(_alone(column.name, target.name, why))
    return found


def pairs(view: View) -> list[Finding]:
    """Two number columns whose sum, difference or product is the target."""
    if view.task != "regress" or len(view.targets) != 1:
        return []
    target = view.targets[0].name
    y = view.numbers(target)
    names = [column.name for column in view.inputs if column.kind == "number"][:_WIDE]
    names = [name for name in names if not _same(view.numbers(name), y)]
    probes = _probes(y)
    if len(names) < 2 or probes is None:
        return []
    return [
        _pair(left, sign, right, target)
        for left, sign, right in _matching(view, names, y, probes)
        if not (_ranks(view.numbers(left), y) and _ranks(view.numbers(right), y))
    ]


class _Classes:
    """Tells whether a column gives classes away."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        counts = np.bincount(codes)
        self.other = len(codes) - int(counts.max())
        self.by_chance = float(((counts / len(codes)) ** 2).sum())
        self.positive = codes == codes.max() if len(counts) == 2 else None

    def why(self, view: View, column: Column) -> str:
        """The reason why a column gives the classes away, or ""."""
        if column.kind == "number":
            return self._ranked(view.numbers(column.name)) or self._pure(view.codes(column.name), "values")
        if column.kind == "date":
            return self._ranked(view.moments(column.name))
        return self._pure(view.codes(column.name), "values") if column.kind == "category" else ""

    def _ranked(self, values: Floats) -> str:
        there = np.isfinite(values)
        if not there.all() and self._pure(code_of(there), "gaps"):
            return "its gaps alone tell the class"
        if there.sum() < FEWEST or there.mean() < 0.5:
            return ""
        x, y = values[there], self.codes[there]
        if self.positive is not None:
            area = _area(x, self.positive[there])
            return f"area under the curve {max(area, 1 - area):.4f}" if abs(area - 0.5) > RANKED - 0.5 else ""
        ordered = y[shuffled_ties(x)]
        agree = float((ordered[1:] == ordered[:-1]).mean())
        allowed = (1 - self.by_chance) * (1 - RANKED) + (len(np.unique(y)) - 1) / len(y)
        return "sorted by it, each class is one stretch" if 1 - agree <= allowed else ""

    def _pure(self, codes: Codes, what: str) -> str:
        values = int(codes.max()) + 1
        if values < 2 or values > FEW_VALUES * len(codes):
            return ""
        pair = codes * (int(self.codes.max()) + 1) + self.codes
        both, counts = np.unique(pair, return_counts=True)
        best = np.zeros(values, dtype=np.int64)
        np.maximum.at(best, both // (int(self.codes.max()) + 1), counts)
        wrong = len(codes) - int(best.sum())
        if wrong > (1 - PURE) * len(codes) or wrong > 0.01 * self.other:
            return ""
        return f"its {values:,} {what} tell the class of {1 - wrong / len(codes):.2%} of the rows"


class _Amounts:
    """Tells whether a column gives a number away."""

    def __init__(self, values: Floats) -> None:
        self.values = values

    def why(self, view: View, column: Column) -> str:
        """The reason why a column gives the number away, or ""."""
        if column.kind in ("number", "date"):
            number = column.kind == "number"
            x = view.numbers(column.name) if number else view.moments(column.name)
            return self._ranked(x, smooth=number)
        return self._grouped(view.codes(column.name)) if column.kind == "category" else ""

    def _ranked(self, x: Floats, *, smooth: bool) -> str:
        there = np.isfinite(x) & np.isfinite(self.values)
        if there.sum() < FEWEST or there.mean() < 0.5:
            return ""
        x, y = x[there], self.values[there]
        rank = likeness(x, y)
        if abs(rank) > RANKED:
            return f"rank correlation {rank:.4f}"
        spread = float(y.var())
        steps = np.diff(y[shuffled_ties(x)])
        explained = 1 - float((steps**2).mean()) / (2 * spread) if spread > 0 else 0.0
        return f"a curve through it explains {explained:.2%}" if smooth and explained > SMOOTH else ""

    def _grouped(self, codes: Codes) -> str:
        there = np.isfinite(self.values)
        codes, y = np.unique(codes[there], return_inverse=True)[1], self.values[there]
        groups = int(codes.max()) + 1 if len(codes) else 0
        if len(y) < FEWEST or not 2 <= groups <= FEW_VALUES * len(y):
            return ""
        means = np.bincount(codes, y) / np.bincount(codes)
        within = float(((y - means[codes]) ** 2).sum()) / (len(y) - groups)
        total = float(((y - y.mean()) ** 2).sum()) / (len(y) - 1)
        explained = 1 - within / total if total > 0 else 0.0
        return f"the means of its {groups:,} values explain {explained:.2%}" if explained > SMOOTH else ""


def code_of(there: Bools) -> Codes:
    """(N,) 0 and 1, or all 0."""
    return np.unique(there, return_inverse=True)[1].astype(np.int64)


def _judge(view: View, target: Column) -> _Classes | _Amounts | None:
    cells = view.cells(target.name)
    if len(cells) < FEWEST or cells.dtype.is_nested():
        return None
    if view.task == "regress":
        values = view.numbers(target.name)
        return _Amounts(values) if np.isfinite(values).sum() >= FEWEST else None
    if view.task not in ("classify", "tag"):
        return None
    codes = view.classes(target.name)
    counts = np.bincount(codes)
    few = len(codes) - counts.max() < FEWEST_OTHER or len(counts) > FEW_VALUES * len(codes)
    return None if few else _Classes(codes)


def _area(x: Floats, positive: Bools) -> float:
    """Area under the curve of receiver operating characteristics; 0.5 where a class is lacking."""
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if min(ones, zeros) < FEWEST_OTHER:
        return 0.5
    ranks = float(midranks(x)[positive].sum())
    return (ranks - ones * (ones + 1) / 2) / (ones * zeros)


def _alone(name: str, target: str, why: str) -> Finding:
    return Finding(
        name="giveaway",
        what=f"column '{name}' predicts '{target}' almost alone: {why}",
        where=name,
        count=1,
        done=f"left in; if it is not known when you predict, leave it out with --drop {name}",
        severity="warning",
        columns=(name,),
    )


def _pair(left: str, sign: str, right: str, target: str) -> Finding:
    formula = f"{left} {sign} {right}"
    return Finding(
        name="giveaway",
        what=f"'{formula}' is the target '{target}' in nearly every row",
        where=formula,
        count=2,
        done=f"left in; if they are not known when you predict, leave them out with --drop {left},{right}",
        severity="warning",
        columns=(left, right),
    )


def _probes(y: Floats) -> npt.NDArray[np.int64] | None:
    """A few rows of different targets, spread over the table; None if there are not enough of them."""
    there = np.flatnonzero(np.isfinite(y) & (y != 0))
    if len(there) < FEWEST or len(np.unique(y[there])) < _PROBES:
        return None
    _, first = np.unique(y[there], return_index=True)
    chosen = first[np.linspace(0, len(first) - 1, 4 * _PROBES).astype(np.int64)]
    return np.unique(there[chosen])


def _matching(
    view: View, names: list[str], y: Floats, probes: npt.NDArray[np.int64]
) -> Iterator[tuple[str, str, str]]:
    x_RF = np.stack([view.numbers(name)[probes] for name in names], axis=1)
    y_R = y[probes]
    for place, left in enumerate(names):
        for sign, made_RF in _made(x_RF[:, place, None], x_RF):
            near = np.abs(made_RF - y_R[:, None]) <= _CLOSE * np.abs(y_R[:, None])
            likely = near.sum(axis=0) >= 0.9 * len(probes)
            for other in np.flatnonzero(likely).tolist():
                ordered = place < other if sign in "+×" else place != other
                if ordered and _exact(view.numbers(left), sign, view.numbers(names[other]), y):
                    yield left, sign, names[other]


def _made(x_R1: Floats, x_RF: Floats) -> Iterator[tuple[str, Floats]]:
    with np.errstate(over="ignore", invalid="ignore"):
        yield "+", x_R1 + x_RF
        yield "-", x_R1 - x_RF
        yield "×", x_R1 * x_RF


def _exact(left: Floats, sign: str, right: Floats, y: Floats) -> bool:
    """Whether it holds in 99.9 % of the rows, neither side being a mere sign or zero there."""
    made = dict(_made(left[:, None], right[:, None]))[sign][:, 0]
    there = np.isfinite(made) & np.isfinite(y)
    if there.sum() < FEWEST or there.mean() < 0.5:
        return False
    holds = np.isclose(made[there], y[there], rtol=_CLOSE, atol=_CLOSE * float(np.abs(y[there]).mean()))
    values, counts = np.unique(y[there], return_counts=True)
    other = y[there] != values[counts.argmax()]
    trivial = max(np.isclose(np.abs(each[there]), np.abs(y[there])).mean() for each in (left, right))
    return bool(holds.mean() >= EXACT and holds[other].mean() >= EXACT and trivial < 0.9)


def _ranks(x: Floats, y: Floats) -> bool:
    """Whether a column ranks as the target does: then it is named alone."""
    there = np.isfinite(x) & np.isfinite(y)
    return abs(likeness(x[there], y[there])) > RANKED


def _same(x: Floats, y: Floats) -> bool:
    there = np.isfinite(x) & np.isfinite(y)
    return not there.any() or bool(np.isclose(x[there], y[there]).mean() > EXACT)
