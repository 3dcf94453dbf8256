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


def make_table(path: Path, rows: int) -> None:
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
    run, reference, by_epochs = folder / f"run-{number}", folder / f"reference-{number}", number % 2 == 0
    seed = ["--seed", str(number)]
    plan = ["--set", "learning.epochs=25", "--minutes", "5"] if by_epochs else ["--minutes", "0.3"]
    begin = [str(data), "--target", "kind", *seed, *plan, "--quiet", "--out", str(run)]
    again = [str(data), "--target", "kind", *seed, "--quiet", "--out", str(reference)]
    latest = 18.0  # of a run of 0.3 minutes
    if by_epochs:
        began = time.monotonic()
        train([*again, *plan], None)
        latest = time.monotonic() - began
    kills = _kill_until_done(begin, run, latest, dice)
    if not by_epochs:
        train([*again, "--recipe", str(run / "recipe.json")], None)
    return same(run, reference), kills


def _kill_until_done(begin: list[str], run: Path, latest: float, dice: random.Random) -> int:
    """Begins the run, kills it one to four times at random moments before `latest`, resumes it to its end.

    A run that gets to its end before its first kill is begun anew.
    """
    while True:
        kills, arguments = 0, begin
        wanted = dice.randint(1, 4)
        while train(arguments, dice.uniform(0.5, latest) if kills < wanted else None):
            if (run / "card.json").exists():  # it was done and about to exit
                break
            kills += 1
            started = (run / "request.json").exists()
            arguments = ["--resume", str(run), "--quiet"] if started else [*begin, "--force"]
        if kills:
            return kills
        begin = begin if "--force" in begin else [*begin, "--force"]


def main() -> None:
    """Runs and prints the count of runs whose bits are right."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    dice = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    right = killed = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_table(folder / "small.csv", 3_000)  # for the runs by epochs
        make_table(folder / "large.csv", 40_000)  # for the runs by minutes: the clock ends them
        for number in range(runs):
            data = folder / ("large.csv" if number % 2 else "small.csv")
            good, kills = one(folder, data, number, dice)
            right, killed = right + good, killed + kills
            print(f"run {number}: {kills} kills, {'same bits' if good else 'OTHER BITS'}", flush=True)
    print(f"{right} of {runs} runs, {killed} kills in all, {time.monotonic() - began:.0f} s")
    raise SystemExit(right != runs)


if __name__ == "__main__":
    main()
