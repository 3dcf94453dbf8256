"""MNIST: the smallest --minutes whose median accuracy is 99 %, beside PyTorch's own example.

    NETWRIGHT_DATA=… python benchmarks/mnist.py [SEEDS] [MINUTES …]
    NETWRIGHT_DATA=… python benchmarks/mnist.py example [EPOCHS]

Ours is the whole command: start, reading, training, test rows, card. The example's time is that of its training
steps alone, until the epoch whose test accuracy is its best; reading and its test passes are not counted.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from command import prepared, train
from netwright.data.readers.arrays import read_idx

MINUTES = (0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.5)
GOAL = 0.99
MEAN, SPREAD = 0.1307, 0.3081
"""Of all pixels of the training pictures, as the example has them."""


def ours(data: Path, minutes: float, seed: int) -> tuple[float, float]:
    """Test accuracy, and seconds of the whole command."""
    run = train([str(data), "--minutes", str(minutes), "--seed", str(seed)])
    return run.score, run.seconds


class Example(nn.Module):
    """Two convolutions of 32 and 64 filters, and 128 units: the network of PyTorch's MNIST example."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.few, self.many = nn.Dropout(0.25), nn.Dropout(0.5)
        self.wide, self.head = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 10) logarithms of probabilities."""
        x = functional.max_pool2d(functional.relu(self.second(functional.relu(self.first(x)))), 2)
        x = self.many(functional.relu(self.wide(self.few(x).flatten(1))))
        return functional.log_softmax(self.head(x), dim=1)


def part(data: Path, name: str) -> TensorDataset:
    """Pictures as the example scales them, and digits."""
    pictures, digits = (
        torch.from_numpy(read_idx(next(data.glob(f"{name}-{what}-*"))).copy()) for what in ("images", "labels")
    )
    return TensorDataset(((pictures.float() / 255 - MEAN) / SPREAD).unsqueeze(1), digits.long())


def example(data: Path, epochs: int, seed: int = 1) -> None:
    """Prints accuracy and seconds of training after each epoch: Adadelta at 1.0, a factor of .7 an epoch."""
    torch.manual_seed(seed)
    train = DataLoader(part(data, "train"), batch_size=64, shuffle=True)
    test = DataLoader(part(data, "t10k"), batch_size=1000)
    network, seconds = Example(), 0.0
    optimizer = torch.optim.Adadelta(network.parameters(), lr=1.0)
    slower = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.7)
    for epoch in range(1, epochs + 1):
        began = time.perf_counter()
        network.train()
        for x, y in train:
            optimizer.zero_grad()
            functional.nll_loss(network(x), y).backward()
            optimizer.step()
        slower.step()
        seconds += time.perf_counter() - began
        network.eval()
        with torch.no_grad():
            right = sum(int((network(x).argmax(1) == y).sum()) for x, y in test)
        print(f"epoch {epoch}: {right / 10_000:.4f} after {seconds:.0f} s", flush=True)


def main() -> None:
    """Prints a line a run, and the smallest minutes that reach the goal."""
    data = prepared("mnist")
    if sys.argv[1:2] == ["example"]:
        return example(data, int(sys.argv[2]) if len(sys.argv) > 2 else 14)
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for minutes in [float(each) for each in sys.argv[2:]] or MINUTES:
        runs = [ours(data, minutes, seed) for seed in range(seeds)]
        middle, took = (statistics.median(each) for each in zip(*runs, strict=True))
        scores = " ".join(f"{score:.4f}" for score, _ in runs)
        reached = "reached" if middle >= GOAL else "missed"
        print(f"--minutes {minutes:g}: {scores}; median {middle:.4f} in {took:.1f} s: {reached}", flush=True)
    return None


if __name__ == "__main__":
    main()
