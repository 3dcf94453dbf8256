"""Start-up, one-row prediction, and what the loop costs over the bare step.

Prints: `netwright --help` and `import netwright` beyond Python's own start (seconds, median of 7, whole
processes); one-row `model.predict` of a table model (milliseconds, median of 300); and the loop's overhead
on a small convolutional network on 28 x 28 pictures (median ratio over alternating runs
of a run's median step).

    python benchmarks/speed.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any
from unittest import mock

import numpy as np
import torch

from netwright import build
from netwright.base.schema import Field, InputSpec
from netwright.data.batches import TensorFeed
from netwright.data.kinds import augmenting
from netwright.data.packed import Packed
from netwright.learning import machine, planning
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

    def evaluate(self) -> dict[str, float]:
        """Nothing."""
        return {"loss": 1.0, "score": 0.0}

    def probe(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def make() -> tuple[torch.nn.Module, TensorFeed]:
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

    return network, TensorFeed(inputs={"image": Packed(x)}, target=Packed(y), augment={"image": how})


def ours() -> list[float]:
    """Moments of the steps of the loop: order, gather, augmentation, step, running means, looks at the loss."""
    network, feed = make()
    plan = planning.first(SETTINGS, feed.steps_per_epoch(256))
    trainee = Nothing(network)
    for _ in learn(trainee, feed, planning.Replay([]), plan, settings=SETTINGS, seed=0):
        pass
    return trainee.began


def own_share() -> tuple[float, float]:
    """What the loop adds to a step as a share of the step, and milliseconds of a step, within one run.

    Both sides meet the same neighbours, so this is steady where the ratio of two runs is not; what a batch
    that was not in the cache costs the forward pass is not in it.
    """
    network, feed = make()
    trainee, ends = Nothing(network), []
    step = Optimizers.step

    def noted(self: Optimizers, rate: float) -> None:
        step(self, rate)
        ends.append(time.perf_counter())

    plan = planning.first(SETTINGS, feed.steps_per_epoch(256))
    with mock.patch.object(Optimizers, "step", noted), machine.arithmetic(0):
        for _ in learn(trainee, feed, planning.Replay([]), plan, settings=SETTINGS, seed=0):
            pass
    inside = [end - start for start, end in zip(trainee.began, ends, strict=True)][WARM:]
    between = [start - end for start, end in zip(trainee.began[1:], ends[:-1], strict=True)][WARM:]
    return statistics.fmean(between) / statistics.fmean(inside), 1e3 * statistics.median(inside)


def bare() -> list[float]:
    """Moments of steps of forward, loss, backward, clipping and the same fused optimizer on one batch."""
    network, feed = make()
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
    shares = [own_share()[0] for _ in range(ROUNDS)]
    low, share, high = statistics.quantiles(shares, n=4)
    spread = f"quartiles {100 * low:.1f} to {100 * high:.1f}"
    print(f"loop's own part of a step    {100 * share:.1f} % of the bare part ({spread}; at most 3 %)")
    (low, ratio, high), step = overhead()
    spread = f"quartiles {100 * (low - 1):.1f} to {100 * (high - 1):.1f}"
    print(f"loop over the bare step      {100 * (ratio - 1):.1f} % of {step:.1f} ms ({spread}; at most 3 %)")


if __name__ == "__main__":
    main()
