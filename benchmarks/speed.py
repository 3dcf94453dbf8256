"""Start-up, one-row prediction, and what the loop costs over the bare step.

Prints: `netwright --help` and `import netwright` beyond Python's own start (seconds, median of 7, whole
processes); one-row `model.predict` of a table model (milliseconds, median of 300); seconds from the start of a
process to its first step; what a step goes to, of a small convolutional network on 28 x 28 pictures and of a
tiny one; and the loop over the bare step (median ratio over alternating runs of a run's median step).

    python benchmarks/speed.py
"""

from __future__ import annotations

import contextlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from netwright import build
from netwright.base.schema import Field, InputSpec
from netwright.data.batches import TensorFeed
from netwright.data.kinds import augmenting
from netwright.data.packed import Packed
from netwright.learning import loop, machine, planning
from netwright.learning.loop import learn
from netwright.learning.optimizers import Optimizers
from netwright.learning.trainee import Settings
from netwright.objectives.losses import cross_entropy
from netwright.tasks.classify import Classify
from netwright.tasks.network import build as build_network

SETTINGS = Settings(batch=256, lr=0.01, clip=1.0, epochs=1, evaluations=1, ema=0.98)
STEPS, WARM, ROUNDS = 30, 5, 20


def processes(code: list[str], runs: int = 7) -> float:
    """Median seconds of a process."""
    found = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, *code], capture_output=True, check=True)
        found.append(time.perf_counter() - began)
    return statistics.median(found[1:])


def one_row() -> float:
    """Median milliseconds of predicting one row of a table with 14 columns."""
    draw = np.random.default_rng(0)
    columns: dict[str, Any] = {f"n{i}": draw.normal(size=3000) for i in range(6)}
    columns |= {f"c{i}": draw.choice(list("abcdefgh"), 3000).tolist() for i in range(8)}
    columns["kind"] = (columns["n0"] * columns["n1"] > 0).astype(int)
    model = build.fit(columns, target="kind", set={"learning.epochs": 2}).model
    row = {name: cells[0] for name, cells in columns.items() if name != "kind"}
    found = []
    for _ in range(330):
        began = time.perf_counter()
        model.predict(row)
        found.append(time.perf_counter() - began)
    return 1e3 * statistics.median(found[30:])


class Nothing:
    """A trainee whose evaluation costs nothing, so that only the loop is measured; it notes each step."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self.began: list[float] = []

    def loss(self, batch: Any) -> torch.Tensor:
        """Cross-entropy of the one member."""
        self.began.append(time.perf_counter())
        return cross_entropy(self.module(batch.inputs)[0], batch.target)

    def slopes(self, batch: Any) -> None:
        """A graph finds them."""

    def evaluate(self) -> dict[str, float]:
        """Nothing."""
        return {"loss": 1.0, "score": 0.0}

    def probe(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def make() -> tuple[Nothing, TensorFeed]:
    """The network that MNIST gets by default, and pictures of its size."""
    torch.manual_seed(0)
    field = Field(
        key="image", columns=("image",), layout="image", shape=(1, 28, 28), center=(33.0,), scale=(78.0,)
    )
    spec = InputSpec(inputs=(field,), outputs=10, task="classify", examples=60_000)
    import polars as pl

    task = Classify.fit(pl.DataFrame({"y": list(range(10)) * 3}), {})
    config = {"width": 32, "depth": 1, "stem": 4, "stride": 2}
    network = build_network("convolutional", config, spec, task)
    x = torch.randint(0, 255, (STEPS * 256, 1, 28, 28), dtype=torch.uint8)
    y = torch.randint(0, 10, (STEPS * 256,))

    def how(x: torch.Tensor, draws: Any, switches: Any) -> torch.Tensor:
        return augmenting.augment(x, draws, {"shift": 2.1, "rotate": 10.0, "scale": 0.1})

    return Nothing(network), TensorFeed(inputs={"image": Packed(x)}, target=Packed(y), augment={"image": how})


def ours() -> list[float]:
    """Moments of the steps of the loop: order, gather, augmentation, step, running means, looks at the loss."""
    trainee, feed = make()
    plan = planning.first(SETTINGS, feed.steps_per_epoch(256))
    for _ in learn(trainee, feed, planning.Replay([]), plan, settings=SETTINGS, seed=0):
        pass
    return trainee.began


def tiny() -> tuple[Nothing, TensorFeed]:
    """32-64-64-2 and batches of 64, as a network whose slopes a graph finds."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Linear(32, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 2),
    )
    x, y = torch.randn(19_200, 32), torch.randint(0, 2, (19_200,))
    return Alone(layers), TensorFeed(inputs={"x": Packed(x)}, target=Packed(y))


class Alone(Nothing):
    """A network by itself, whose input is called x."""

    def loss(self, batch: Any) -> torch.Tensor:
        """Cross-entropy of its outputs."""
        self.began.append(time.perf_counter())
        return cross_entropy(self.module(batch.inputs["x"]), batch.target)


@contextlib.contextmanager
def timed(owner: Any, name: str, into: list[float]) -> Iterator[None]:
    """Adds the seconds of each call of a function to a list."""
    plain = getattr(owner, name)

    def noted(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        found = plain(*given, **named)
        into.append(time.perf_counter() - began)
        return found

    with mock.patch.object(owner, name, noted):
        yield


def shares(case: Callable[[], tuple[Nothing, TensorFeed]], batch: int, threads: int) -> dict[str, float]:
    """Milliseconds of a step by what they go to, means within one run: all sides meet the same neighbours.

    "bare" is forward, loss, backward and optimizer; "feed" is order and gathering; "augment" is what makes
    pictures harder; "loop" is all the rest, the running mean of weights among it.
    """
    trainee, feed = case()
    spent: dict[str, list[float]] = {}
    settings = replace(SETTINGS, batch=batch, clip=0.0)
    plan = planning.first(settings, feed.steps_per_epoch(batch))
    owners = {
        "_backward": loop,
        "step": Optimizers,
        "take": TensorFeed,
        "order": TensorFeed,
        "augment": augmenting,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(machine.arithmetic(threads))
        for name, owner in owners.items():
            stack.enter_context(timed(owner, name, spent.setdefault(name, [])))
        for _ in learn(trainee, feed, planning.Replay([]), plan, settings=settings, seed=0):
            pass
    each = {name: 1e3 * statistics.fmean(seconds[WARM:] or [0.0]) for name, seconds in spent.items()}
    each["order"] = 1e3 * sum(spent["order"]) / plan.steps
    whole = 1e3 * statistics.fmean(np.diff(trainee.began)[WARM:].tolist())
    bare, feeding = each["_backward"] + each["step"], each["take"] - each["augment"] + each["order"]
    rest = whole - bare - each["take"] - each["order"]
    return {"step": whole, "bare": bare, "feed": feeding, "augment": each["augment"], "loop": rest}


FIRST = """
import sys, time
import netwright
def listen(event):
    if event.type == "plan" and not event.step:
        print(time.time())
netwright.train(sys.argv[1], target="target", minutes=0.2, out=sys.argv[2], listen=listen)
"""
"""Says when the first step is about to be taken."""


def to_first_step() -> tuple[float, float]:
    """Seconds from a process' start to its first step, and the megabytes it held: breast_cancer as a file."""
    from sklearn.datasets import load_breast_cancer

    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        load_breast_cancer(as_frame=True).frame.to_csv(table, index=False)
        command, began = [sys.executable, "-c", FIRST, str(table), f"{folder}/run"], time.time()
        said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return float(said.split()[0]) - began, peak


def bare() -> list[float]:
    """Moments of steps of forward, loss, backward, clipping and the same fused optimizer on one batch."""
    trainee, feed = make()
    network = trainee.module
    optimizers = Optimizers(network, SETTINGS)
    params = list(network.parameters())
    batch = feed.take(torch.arange(256))
    network.train()
    began = []
    for _ in range(STEPS):
        began.append(time.perf_counter())
        cross_entropy(network(batch.inputs)[0], batch.target).mean().backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizers.step(1.0)
    return began


def a_step(moments: list[float]) -> float:
    """Median milliseconds from one step to the next: what a neighbour does to single steps is left out."""
    return 1e3 * statistics.median(np.diff(moments)[WARM:].tolist())


def overhead() -> tuple[list[float], float]:
    """Quartiles of the ratio of the loop to the bare step in alternating runs, and a bare step's time."""
    ratios, steps = [], []
    with machine.arithmetic(0):
        for turn in range(ROUNDS + 1):
            first, second = (ours, bare) if turn % 2 else (bare, ours)
            found = {first: a_step(first()), second: a_step(second())}
            ratios.append(found[ours] / found[bare])
            steps.append(found[bare])
    return statistics.quantiles(ratios[1:], n=4), statistics.median(steps[1:])


def main() -> None:
    """Prints everything."""
    python = processes(["-c", "pass"])
    print(f"python itself                {python:.3f} s")
    print(f"netwright --help             {processes(['-m', 'netwright', '--help']):.3f} s (at most 0.3)")
    print(f"import netwright             {processes(['-c', 'import netwright']) - python:.3f} s (at most 0.1)")
    print(f"one row through predict      {one_row():.2f} ms (at most 2)")
    found = [to_first_step() for _ in range(5)]
    first, peak = (statistics.median(each) for each in zip(*found, strict=True))
    print(f"start to first step          {first:.2f} s, {peak:.0f} MB at most while it ran (569 rows)")
    for words, case, batch, threads in (("MNIST's network", make, 256, 0), ("a tiny network", tiny, 64, 1)):
        runs = [shares(case, batch, threads) for _ in range(ROUNDS)]
        of = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        least, most = (pick(run["loop"] for run in runs) for pick in (min, max))
        print(
            f"{words}: {of['step']:.3f} ms a step, of which forward, backward and optimizer {of['bare']:.3f},"
        )
        print(f"  feed {of['feed']:.3f} ({of['feed'] / of['bare']:.1%}), augmentation {of['augment']:.3f},")
        print(f"  loop {of['loop']:.3f} ({of['loop'] / of['bare']:.1%}; {least:.3f}-{most:.3f})")
    (low, ratio, high), step = overhead()
    spread = f"quartiles {100 * (low - 1):.1f} to {100 * (high - 1):.1f}"
    print(f"loop over the bare step      {100 * (ratio - 1):.1f} % of {step:.1f} ms ({spread}; at most 3 %)")


if __name__ == "__main__":
    main()
