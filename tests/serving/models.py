"""Small models with weights that were drawn, not learned: serving does not care where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import torch

from netwright.base.schema import Choice, Column, InputSpec, Recipe
from netwright.data.columns import Inputs
from netwright.data.table import ReadOptions, Table
from netwright.serving.bundle import Bundle
from netwright.serving.plain import to_plain
from netwright.tasks import TASKS
from netwright.tasks.network import build

NAMES = ("height", "weight", "age")
CONFIG = {"depth": 1, "width": 8, "members": 2, "embedding": "none"}
TARGETS: Mapping[str, Any] = {
    "classify": lambda x: pl.Series("y", np.where(x[:, 0] > 0, "cat", "dog")),
    "numbered": lambda x: pl.Series("y", (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0)),
    "regress": lambda x: pl.Series("y", x[:, 0] * 3 + 100),
    "tag": lambda x: pl.Series("y", [["red"] * int(a > 0) + ["big"] * int(b > 0) for a, b in x[:, :2]]),
}


def frame(task: str = "classify", rows: int = 60) -> pl.DataFrame:
    """Rows with three numbers and a target, the same at each call."""
    x = np.random.default_rng(0).normal(size=(rows, 3))
    cells = {name: x[:, place] for place, name in enumerate(NAMES)}
    return pl.DataFrame({**cells, "y": TARGETS[task](x)})


def bundle(task: str = "classify", **config: Any) -> Bundle:
    """A whole model for `frame(task)`."""
    table = Table(cells=frame(task), source="rows")
    rows = np.arange(table.height)
    columns = (
        *(Column(name=name, kind="number", role="input", why="numbers") for name in NAMES),
        Column(name="y", kind="category", role="target", why="asked for"),
    )
    name = "classify" if task == "numbered" else task
    inputs = Inputs.fit(table, columns, rows)
    fitted = TASKS[name].fit(table.frame(["y"]), {})
    spec = InputSpec(inputs=tuple(inputs.fields()), outputs=fitted.outputs, task=name, examples=len(rows))
    torch.manual_seed(0)
    settings = {**CONFIG, **config}
    network = build("feedforward", settings, spec, fitted)
    return Bundle(
        recipe=to_plain(Recipe(version="0.1.0", seed=0, choices={"task": Choice(value=name, why="")})),
        columns=columns,
        kinds=inputs.state(),
        task=(name, *fitted.state()),
        network={"name": "feedforward", "config": settings, "spec": to_plain(spec)},
        card={"metric": {"name": "accuracy", "value": 0.5}},
        options=to_plain(ReadOptions()),
        weights=network.state_dict(),
    )
