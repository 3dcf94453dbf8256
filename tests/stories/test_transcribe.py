"""Clips of spoken strings to what is said in them, from the command line to new clips."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
import torch

from netwright import build
from netwright.base.errors import NetwrightError
from netwright.cli.main import run
from netwright.serving.predict import load

PITCHES = {"low": 300.0, "mid": 800.0, "high": 1_600.0, "top": 3_000.0}
RATE = 8_000
SMALL = {"network.width": 48, "network.embedding": 48, "network.depth": 1, "learning.threads": 1}


def spoken(words: list[str], draw: np.random.Generator) -> np.ndarray:
    """Tones of 100 to 200 ms with pauses between, in some noise."""
    parts = []
    for word in words:
        time = np.arange(int(draw.uniform(0.1, 0.2) * RATE)) / RATE
        parts.append(0.4 * np.sin(2 * np.pi * PITCHES[word] * draw.uniform(0.95, 1.05) * time))
        parts.append(np.zeros(int(draw.uniform(0.03, 0.1) * RATE)))
    wave = np.concatenate(parts)
    return wave + 0.02 * draw.normal(size=len(wave))


def write(folder: Path, count: int, seed: int = 0, column: str = "transcription") -> Path:
    """A folder of clips and their metadata.csv."""
    draw = np.random.default_rng(seed)
    (folder / "clips").mkdir(parents=True)
    rows = []
    for number in range(count):
        words = draw.choice(list(PITCHES), draw.integers(2, 6)).tolist()
        name = f"clips/{number:03}.wav"
        soundfile.write(folder / name, spoken(words, draw), RATE)
        rows.append((name, " ".join(words)))
    table(folder / "metadata.csv", rows, column)
    return folder


def table(path: Path, rows: list[tuple[str, str]], column: str = "transcription") -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("file_name", column), *rows])


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("tones") / "strings", 200)


@pytest.fixture(scope="module")
def learned(tones: Path) -> Any:
    out = tones.parent / "run"
    settings = [f"--set={name}={value}" for name, value in SMALL.items()]
    asked = ["train", str(tones), "--out", str(out), "--quiet", "--network", "recurrent", *settings]
    assert run([*asked, "--set", "learning.epochs=25", "--set", "learning.lr=0.01"]) == 0
    return out


def test_strings_of_tones_are_learned_and_new_ones_written_down(learned: Path, tmp_path: Path) -> None:
    card = json.loads((learned / "card.json").read_text())
    assert card["task"] == "transcribe"
    assert card["metric"]["name"] == "word_error_rate"
    assert card["metric"]["value"] < 0.2
    assert card["baselines"]["blind"]["value"] > 0.6
    assert "earned its place" in card["verdict"]
    assert "worst mistakes" in (learned / "report.md").read_text()
    assert {"truth", "prediction"} <= set(pl.read_parquet(learned / "predictions.parquet").columns)
    new = write(tmp_path / "new", 20, seed=5)
    model = load(learned / "model.safetensors")
    truth = pl.read_csv(new / "metadata.csv")["transcription"].to_list()
    answers = model.predict(new)
    assert answers.columns == ["prediction", "note"]
    right = sum(said == wanted for said, wanted in zip(answers["prediction"], truth, strict=True))
    assert right > 10
    assert model.predict(new / "clips")["prediction"].to_list() == answers["prediction"].to_list()
    assert model.predict(new / "clips" / "000.wav")["prediction"][0] == answers["prediction"][0]
    assert model.evaluate(new)["metric"]["value"] < 0.3
