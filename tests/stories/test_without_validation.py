"""Runs that set no validation rows aside: they keep the last weights, and say nothing of what they cannot."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile

from netwright import build
from netwright.base.errors import RecipeError
from netwright.tasks import TASKS

DRAW = np.random.default_rng(0)
ROWS = 60
NUMBERS = pl.DataFrame({"a": DRAW.normal(size=ROWS), "b": DRAW.normal(size=ROWS)})
SMALL = {"network.depth": 1, "network.width": 32, "network.heads": 1}
WORDS = ("red", "blue", "dog", "cat", "runs", "sees")


def sentences(rows: int) -> list[str]:
    return [" ".join(DRAW.choice(WORDS, 4)) + f" {row}" for row in range(rows)]


def labelled(cells: Any) -> Callable[[Path], dict[str, Any]]:
    return lambda folder: {"source": NUMBERS.with_columns(pl.Series("y", cells)), "target": "y"}


def ahead(folder: Path) -> dict[str, Any]:
    hours = np.datetime64("2024-01-01T00", "us") + np.arange(200) * np.timedelta64(1, "h")
    frame = pl.DataFrame({"date": pl.Series(hours), "load": DRAW.normal(size=200)})
    return {"source": frame, "horizon": 4, "set": {"kind.load.back": 8}}


def written(folder: Path) -> dict[str, Any]:
    (folder / "text.txt").write_text("\n".join(sentences(120)))
    return {"source": folder / "text.txt", "set": {"kind.text.longest": 16, "network.width": 32}}


def paired(folder: Path) -> dict[str, Any]:
    return {"source": pl.DataFrame({"en": sentences(ROWS), "nl": sentences(ROWS)}), "set": SMALL}


def spoken(folder: Path) -> dict[str, Any]:
    for row in range(12):
        soundfile.write(folder / f"{row}.wav", 0.1 * DRAW.normal(size=4_000), 8_000)
    lines = (f"{row}.wav,{'ja' if row % 2 else 'nee'}" for row in range(12))
    (folder / "metadata.csv").write_text("\n".join(["file_name,transcription", *lines]))
    return {"source": folder}


def rated(folder: Path) -> dict[str, Any]:
    lines = [f"u{row % 12},m{(row * 7 + row // 12) % 9},{row}" for row in range(100)]
    (folder / "ratings.csv").write_text("\n".join(["user,item,time", *lines]))
    return {"source": folder / "ratings.csv"}


TINY: dict[str, Callable[[Path], dict[str, Any]]] = {
    "classify": labelled(["no", "yes"] * (ROWS // 2)),
    "regress": labelled(NUMBERS["a"].to_numpy() * 2),
    "tag": labelled(["x;y", "x", "y;z", "z"] * (ROWS // 4)),
    "forecast": ahead,
    "generate": written,
    "translate": paired,
    "transcribe": spoken,
    "recommend": rated,
}


def test_every_task_has_its_tiny_run() -> None:
    assert set(TINY) == set(TASKS)


@pytest.mark.parametrize("task", TINY)
def test_the_last_weights_are_kept_and_nothing_is_said_of_validation(task: str, tmp_path: Path) -> None:
    asked = TINY[task](tmp_path)
    more = {"learning.epochs": 0.5, "learning.threads": 1, **asked.pop("set", {})}
    found = build.fit(asked.pop("source"), task=task, validation="none", set=more, minutes=1, **asked)
    assert found.card["rows"]["validation"] == 0
    assert found.card["validation"]["value"] is None
    assert found.card["metric"]["value"] is not None
    looks = [event for event in found.events if event.type == "evaluate"]
    assert looks and all(math.isnan(event.data["loss"]) and not event.data["best"] for event in looks)
    for name, weights in found.model.network.state_dict().items():
        assert bool(weights.isfinite().all()), name


@pytest.mark.parametrize("task", TINY)
def test_a_metric_of_another_task_is_refused_before_anything_is_learned(task: str, tmp_path: Path) -> None:
    asked = TINY[task](tmp_path)
    with pytest.raises(RecipeError, match="no metric is called 'loudness'"):
        build.check(asked.pop("source"), task=task, metric="loudness", **asked)
