"""Fraction of the machine's measured SGEMM speed that training reaches, by kind of network.

    python benchmarks/peak.py [ROUNDS]

The speed is the best of matrix products of 1,024 and 2,048 in float32. A step's sums are those of the products
of its forward and backward pass; what is no product counts as nothing, though it takes time. A step's time is
that of an epoch in netwright's loop, all of it: order, gathering, forward, loss, backward, optimizer. Threads
within each sum, and parts of a batch side by side, are what short trials choose from where minutes are given.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from throughput import Attending, Case, an_epoch, layered, ours


@dataclass(frozen=True)
class Load:
    """A network with its rows, the sums of a step that torch does not count, and the goal."""

    case: Case
    more: float
    goal: float


class Recurrent(nn.Module):
    """One LSTM of 256 over 64 steps, and its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(256, 256, batch_first=True), nn.Linear(256, 10)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, 10)."""
        found: Tensor = self.head(self.lstm(x_BTD)[0][:, -1])
        return found


def convolutional() -> nn.Module:
    """64, 128 and 256 filters of 3 x 3 on 32 x 32, halved after each."""
    layers: list[nn.Module] = []
    for here, there in ((3, 64), (64, 128), (128, 256)):
        layers += [nn.Conv2d(here, there, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 16, 10))


def loads() -> tuple[Load, ...]:
    """The four families."""

    def plain(name: str, build: Callable[[], nn.Module], x: Tensor, y: Tensor, batch: int) -> Case:
        return Case(name, build, x, y, batch, keras=lambda: None)

    batch, steps = 64, 64
    lstm = plain(
        "LSTM 256, 64 steps, batches of 64",
        Recurrent,
        torch.randn(640, steps, 256),
        torch.randint(0, 10, (640,)),
        batch,
    )
    codes = torch.randint(0, 65, (160, 129))
    attention = plain(
        "transformer 4 x 256 of 128, batches of 16",
        lambda: Attending(width=256, steps=128),
        codes[:, :128],
        codes[:, 1:],
        16,
    )
    pictures = plain(
        "convolutions 64-128-256 of 32 x 32, batches of 64",
        convolutional,
        torch.randn(640, 3, 32, 32),
        torch.randint(0, 10, (640,)),
        batch,
    )
    linear = layered("linear 512-512-512-512, batches of 256", (512, 512, 512, 512), 12_800, 256)
    return (
        Load(linear, 0.0, 0.70),
        Load(attention, 0.0, 0.55),
        # Forward and weights' slopes from inputs and states; of what goes in only the states have slopes.
        Load(lstm, 2.0 * batch * steps * 4 * 256 * (512 + 512 + 256), 0.50),
        Load(pictures, 0.0, 0.45),
    )


def sums(load: Load) -> float:
    """Floating-point operations of a step's products, as torch counts them, and those that it does not see."""
    counter, module, case = FlopCounterMode(display=False), load.case.build(), load.case
    with counter:
        found = module(case.x[: case.batch])
        nn.functional.cross_entropy(found, case.y[: case.batch]).backward()
    return float(counter.get_total_flops() + load.more)


def sgemm() -> float:
    """Operations a second, the best of ten."""
    found = []
    for size in (1_024, 2_048):
        a, b = torch.randn(size, size), torch.randn(size, size)
        out = a @ b
        for _ in range(10):
            began = time.perf_counter()
            torch.mm(a, b, out=out)
            found.append(2 * size**3 / (time.perf_counter() - began))
    return max(found)


def main() -> None:
    """Prints a table in Markdown."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print("| network | way | ms a step | of SGEMM's speed, median (least-most) | goal |\n|---|---|---|---|---|")
    cores = torch.get_num_threads()
    ways = {f"{cores} threads": ours, f"{cores} parts side by side": partial(ours, shares=cores)}
    for load in loads():
        work, found = sums(load), defaultdict[str, list[tuple[float, float]]](list)
        for turn in range(rounds * len(ways)):
            name = list(ways)[turn % len(ways)]
            peak = sgemm()
            step = an_epoch(load.case, ways[name]) / math.ceil(len(load.case.x) / load.case.batch)
            found[name].append((work / step / peak, 1e3 * step))
        for name, each in found.items():
            shares, times = zip(*each, strict=True)
            spread = f"{statistics.median(shares):.2f} ({min(shares):.2f}-{max(shares):.2f})"
            cells = (load.case.name, name, f"{statistics.median(times):.1f}", spread, f"{load.goal:.2f}")
            print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\nSGEMM {sgemm() / 1e9:.0f} GFLOP/s, {torch.get_num_threads()} threads, torch {torch.__version__}")


if __name__ == "__main__":
    main()
