"""What the benchmarks share: data sets as users would have them, and netwright's command as users run it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """A finished `netwright train`.

    Attributes:
        found: Its JSON.
        card: Its card.
        recipe: Its recipe.
        seconds: The whole process: start, reading, learning, test rows and card.
    """

    found: dict[str, Any]
    card: dict[str, Any]
    recipe: dict[str, Any]
    seconds: float

    @property
    def score(self) -> float:
        """The headline on test rows."""
        return float(self.found["metric"]["value"])


class Refused(Exception):
    """The command refused, in the words of its error."""


def prepared(name: str, folder: Path | None = None) -> Path:
    """A data set as `prepare.py` lays it out; in a new folder where none is given."""
    out = folder or Path(tempfile.mkdtemp()) / name
    script = Path(__file__).with_name("prepare.py")
    subprocess.run([sys.executable, str(script), name, str(out)], check=True, capture_output=True)
    return out


def train(asked: Sequence[str]) -> Run:
    """`netwright train … --json` in a process and a folder of its own.

    Raises:
        Refused: If it did not train; anything but a refusal is an error of the benchmark.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "netwright", "train", *asked, "--json", "--out", str(out)]
        began = time.perf_counter()
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        if ended.returncode:
            said = [line for line in ended.stderr.splitlines() if line.strip()]
            raise Refused(next((line for line in said if "cannot" in line), said[-1] if said else "no word"))
        card, recipe = (json.loads((out / name).read_text()) for name in ("card.json", "recipe.json"))
        return Run(json.loads(ended.stdout), card, recipe, seconds)
