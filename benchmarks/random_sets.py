"""Random small tables: does a network diverge, or lose to a linear model or to the most frequent answer?

    python benchmarks/random_sets.py [SETS] [MINUTES] [FIRST]

Each set has its own rows (60-2,000), columns (1-30; numbers, words, empty cells, constants, outliers, scales
from 1e-6 to 1e6), answer (two to eight classes, balanced or not, or a number) and way from one to the other
(linear, by thresholds, by products, or none at all). It is a loss where a baseline is better by more than the
95 % interval of the difference on the same rows; where it is better than the whole interval of the score alone
is counted beside it (a score near that of the blind answer has next to no interval of its own).
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.base.errors import NetwrightError
from netwright.build import fit

FAMILIES = ("auto", "feedforward", "convolutional", "recurrent", "transformer")
SHAPES = ("linear", "thresholds", "products", "nothing")
Floats = npt.NDArray[np.float64]


def signal(x: Floats, shape: str, draw: np.random.Generator) -> Floats:
    """(N,) what the answer depends on."""
    weights = draw.normal(size=x.shape[1])
    if shape == "linear":
        return x @ weights
    if shape == "thresholds":
        return (x > draw.normal(size=x.shape[1])) @ weights
    if shape == "products":
        return (x * np.roll(x, 1, axis=1)) @ weights
    return np.zeros(len(x))


def columns(x: Floats, draw: np.random.Generator) -> dict[str, list[Any]]:
    """The numbers as a user's table has them: scaled, cut into words, with holes and outliers."""
    found: dict[str, list[Any]] = {}
    for place, each in enumerate(x.T):
        scaled = each * 10 ** draw.uniform(-6, 6) + draw.normal()
        if draw.random() < 0.1:
            scaled[draw.integers(len(scaled))] *= 1e4
        cells: list[Any] = scaled.tolist()
        if draw.random() < 0.3:
            cells = [f"w{int(level)}" for level in np.digitize(each, [-1, -0.3, 0.3, 1])]
        holes = draw.random(len(cells)) < draw.choice([0, 0, 0.02, 0.3])
        found[f"c{place}"] = [None if hole else cell for cell, hole in zip(cells, holes, strict=True)]
    if draw.random() < 0.1:
        found["same"] = [1.0] * len(x)
    return found


def table(seed: int) -> tuple[dict[str, list[Any]], str]:
    """A table with the column `answer`, and what it is like."""
    draw = np.random.default_rng(seed)
    rows, width = int(10 ** draw.uniform(1.8, 3.3)), int(draw.integers(1, 31))
    shape = str(draw.choice(SHAPES))
    x = draw.normal(size=(rows, width))
    y = signal(x, shape, draw)
    y = y / (y.std() or 1.0) + draw.choice([0.1, 0.5, 2.0]) * draw.normal(size=rows)
    found = columns(x, draw)
    if draw.random() < 0.5:
        found["answer"] = (y * 10 ** draw.uniform(-4, 4)).tolist()
        return found, f"{rows} x {width}, number, {shape}"
    classes = int(draw.integers(2, 9))
    cuts = np.quantile(y, np.sort(draw.dirichlet(np.full(classes, 2.0)).cumsum()[:-1]))
    found["answer"] = [f"k{int(level)}" for level in np.digitize(y, cuts)]
    return found, f"{rows} x {width}, {classes} classes, {shape}"


def lost(card: dict[str, Any]) -> list[str]:
    """Names of the baselines that are better, by what; "diverged" where the score is no number."""
    metric = card["metric"]
    if not math.isfinite(metric["value"]):
        return ["diverged"]
    higher = metric["better"] == "higher"
    beyond = [
        f"{name} (interval of the score)"
        for name, each in card["baselines"].items()
        if (metric["high"] < each["value"] if higher else metric["low"] > each["value"])
    ]
    return [name for name, each in card["baselines"].items() if each.get("network") == "behind"] + beyond


def main() -> None:
    """Prints a line a loss, and the count of each family."""
    sets, minutes = int(sys.argv[1]) if len(sys.argv) > 1 else 200, float((sys.argv[2:] or ["0.1"])[0])
    first = int((sys.argv[3:] or ["0"])[0])
    tried, tables, losses = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    for seed in range(first, first + sets):
        data, like = table(seed)
        for family in FAMILIES:
            try:
                run = fit(data, target="answer", network=family, minutes=minutes, seed=seed)
            except NetwrightError as error:
                tried["refused"] += 1
                print(f"set {seed} ({like}), {family}: refused: {error}", flush=True)
                continue
            tried[family] += 1
            worse = lost(run.card)
            tables[family] += any("(" not in name for name in worse)
            for name in worse:
                losses[family, name] += 1
                print(f"set {seed} ({like}), {family}: worse than {name}", flush=True)
    print("\n| network | trained | tables with a better baseline | worse than |\n|---|---|---|---|")
    for family in FAMILIES:
        said = ", ".join(f"{name} {count}" for (own, name), count in losses.items() if own == family)
        print(f"| {family} | {tried[family]} | {tables[family]} | {said or 'none'} |")
    print(f"\n{tried['refused']} refused.")


if __name__ == "__main__":
    main()
