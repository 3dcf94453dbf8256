"""Kills runs with SIGKILL at random moments, resumes them, and compares the final weights bit for bit.

Half of the runs are planned by epochs: the reference is an uninterrupted run. Half are planned by minutes:
the reference is `--recipe` of the finished run in a fresh folder.

    python benchmarks/kill_and_resume.py [RUNS] [SEED]
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

COMMAND = [sys.executable, "-m", "netwright", "train"]


def make_table(path: Path, rows: int = 3000) -> None:
    """A table with numbers, categories, gaps, and a class that follows from them."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, 4))
    color = draw.choice(["red", "green", "blue"], rows)
    kind = (x[:, 0] * x[:, 1] + (color == "red") + 0.3 * draw.normal(size=rows) > 0.4).astype(int)
    lines = ["a,b,c,d,color,kind"]
    for row in range(rows):
        cells = [f"{value:.4f}" for value in x[row]]
        cells[2] = "" if row % 17 == 0 else cells[2]
        lines.append(",".join([*cells, color[row], str(kind[row])]))
    path.write_text("\n".join(lines) + "\n")


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The weights of a finished run."""
    found = load_file(run / "model.safetensors")
    return {name: tensor for name, tensor in found.items() if name.startswith("weights/")}


def same(first: Path, second: Path) -> bool:
    """Whether two runs ended with the same bits."""
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def train(arguments: list[str], kill_after: float | None) -> bool:
    """Runs the command; True if it was killed."""
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, said = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    if process.returncode:
        raise SystemExit(f"{arguments}: exit {process.returncode}\n{said.decode()}")
    return False


def one(folder: Path, data: Path, number: int, dice: random.Random) -> tuple[bool, int]:
    """One run killed until it gets through; whether its bits are right, and how often it was killed."""
    run, by_epochs = folder / f"run-{number}", number % 2 == 0
    seed = ["--seed", str(number)]
    plan = ["--set", "learning.epochs=25", "--minutes", "5"] if by_epochs else ["--minutes", "0.25"]
    begin = [str(data), "--target", "kind", *seed, *plan, "--quiet", "--out", str(run)]
    kills, arguments = 0, begin
    while train(arguments, dice.uniform(3.0, 14.0) if kills < 4 else None):
        kills += 1
        started = (run / "request.json").exists()
        arguments = ["--resume", str(run), "--quiet"] if started else [*begin, "--force"]
    reference = folder / f"reference-{number}"
    again = [str(data), "--target", "kind", *seed, "--quiet", "--out", str(reference)]
    train([*again, *(plan if by_epochs else ["--recipe", str(run / "recipe.json")])], None)
    return same(run, reference), kills


def main() -> None:
    """Runs and prints the count of runs whose bits are right."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    dice = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    right = killed = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_table(folder / "data.csv")
        for number in range(runs):
            good, kills = one(folder, folder / "data.csv", number, dice)
            right, killed = right + good, killed + kills
            print(f"run {number}: {kills} kills, {'same bits' if good else 'OTHER BITS'}", flush=True)
    print(f"{right} of {runs} runs, {killed} kills in all, {time.monotonic() - began:.0f} s")
    raise SystemExit(right != runs)


if __name__ == "__main__":
    main()
