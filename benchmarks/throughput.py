"""Samples a second of the same network, rows, batch and optimizer: netwright's loop beside those people use.

    python benchmarks/throughput.py [ROUNDS] [NETWORK …]

Every loop trains with AdamW at 1e-3, in float32, on shuffled rows, without validation, as its own documentation
writes it; an epoch is the time of several less the time of one, so start-up is left out. Each loop has a
process of its own; they take turns, forwards and backwards. Peers that are not installed are left out; `make
bench` installs them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import logging
import math
import multiprocessing
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import netwright as nw

EPOCHS, RATE = 2, 1e-3
"""Epochs that are timed, after one that is not."""
Fit = Callable[["Case", int], None]
"""Trains a new network for so many epochs."""


@dataclass(frozen=True)
class Case:
    """A network, its rows, and the network as Keras would have it."""

    name: str
    build: Callable[[], nn.Module]
    x: Tensor
    y: Tensor
    batch: int
    keras: Callable[[], Any]


def layered(name: str, widths: Sequence[int], rows: int, batch: int) -> Case:
    """Linear layers with ReLU between them."""

    def build() -> nn.Module:
        layers: list[nn.Module] = []
        for here, there in itertools.pairwise(widths):
            layers += [nn.Linear(here, there), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def keras() -> Any:
        import keras

        dense = keras.layers.Dense
        hidden = [dense(width, "relu") for width in widths[1:-1]]
        return keras.Sequential([keras.Input((widths[0],)), *hidden, dense(widths[-1])])

    return Case(name, build, torch.randn(rows, widths[0]), torch.randint(0, widths[-1], (rows,)), batch, keras)


def tiny() -> Case:
    """32-64-64-2, batches of 64: what a step costs beside its sums."""
    return layered("tiny 32-64-64-2", (32, 64, 64, 2), 19_200, 64)


def mlp() -> Case:
    """784-512-512-10, batches of 256."""
    return layered("MLP 784-512-512-10", (784, 512, 512, 10), 25_600, 256)


def cnn() -> Case:
    """The network of PyTorch's MNIST example, batches of 64."""

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
            nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
        )  # fmt: skip

    def keras() -> Any:
        import keras

        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input((1, 28, 28)),
                layers.Conv2D(32, 3, activation="relu", data_format="channels_first"),
                layers.Conv2D(64, 3, activation="relu", data_format="channels_first"),
                layers.MaxPooling2D(2, data_format="channels_first"),
                layers.Dropout(0.25),
                layers.Flatten(),
                layers.Dense(128, "relu"),
                layers.Dropout(0.5),
                layers.Dense(10),
            ]
        )

    return Case(
        "CNN 32-64 of 28 x 28", build, torch.randn(3_200, 1, 28, 28), torch.randint(0, 10, (3_200,)), 64, keras
    )


class Attending(nn.Module):
    """Four layers of causal attention over characters; as it stands, nanoGPT's setting for a CPU."""

    def __init__(self, width: int = 128, steps: int = 64) -> None:
        super().__init__()
        self.table, self.place = nn.Embedding(65, width), nn.Parameter(torch.zeros(steps, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 4, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 65)
        self.register_buffer("later", torch.ones(steps, steps, dtype=torch.bool).triu(1), persistent=False)

    def forward(self, code_BT: Tensor) -> Tensor:
        """(B, 65, T) scores of the next character."""
        x = self.table(code_BT) + self.place
        found: Tensor = self.head(self.layers(x, mask=self.later, is_causal=True)).transpose(1, 2)
        return found


def transformer() -> Case:
    """`Attending`, batches of 12."""

    def keras() -> Any:
        import keras

        layers = keras.layers
        given = keras.Input((64,), dtype="int64")
        x = layers.Embedding(65, 128)(given)
        for _ in range(4):
            own = layers.LayerNormalization()(x)
            x = x + layers.MultiHeadAttention(4, 32)(own, own, use_causal_mask=True)
            x = x + layers.Dense(128)(layers.Dense(512, "gelu")(layers.LayerNormalization()(x)))
        return keras.Model(given, layers.Dense(65)(layers.LayerNormalization()(x)))

    codes = torch.randint(0, 65, (1_200, 65))
    return Case("transformer 4 x 128 of 64", Attending, codes[:, :64], codes[:, 1:], 12, keras)


CASES = {"tiny": tiny, "mlp": mlp, "cnn": cnn, "transformer": transformer}


def ours(case: Case, epochs: int, shares: int = 1) -> None:
    """netwright's engine on the module; nothing is averaged, clipped or evaluated that others do not."""
    plain = {
        "batch": case.batch,
        "epochs": float(epochs),
        "lr": RATE,
        "ema": 0.0,
        "clip": 0.0,
        "evaluations": 1,
        "shares": shares,
    }
    nw.fit(
        case.build(), (case.x, case.y), loss=nn.CrossEntropyLoss(reduction="none"), validation=0.0, set=plain
    )


def by_hand(case: Case, epochs: int) -> None:
    """The loop of the tutorials: a DataLoader over tensors."""
    module, loss = case.build(), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(module.parameters(), lr=RATE)
    feed = DataLoader(TensorDataset(case.x, case.y), batch_size=case.batch, shuffle=True)
    module.train()
    for _ in range(epochs):
        for x, y in feed:
            optimizer.zero_grad()
            loss(module(x), y).backward()
            optimizer.step()


def by_keras(case: Case, epochs: int) -> None:
    """`Model.fit` on the torch backend."""
    import keras

    model = case.keras()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.AdamW(RATE), loss=loss)
    model.fit(case.x.numpy(), case.y.numpy(), batch_size=case.batch, epochs=epochs, verbose=0)


def by_lightning(case: Case, epochs: int) -> None:
    """`Trainer.fit` without logs, bars and checkpoints."""
    import lightning

    class Whole(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.module, self.criterion = case.build(), nn.CrossEntropyLoss()

        def training_step(self, batch: Any, number: int) -> Tensor:
            x, y = batch
            found: Tensor = self.criterion(self.module(x), y)
            return found

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=RATE)

    feed = DataLoader(TensorDataset(case.x, case.y), batch_size=case.batch, shuffle=True)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    lightning.Trainer(max_epochs=epochs, accelerator="cpu", enable_model_summary=False, **quiet).fit(
        Whole(), feed
    )


def by_skorch(case: Case, epochs: int) -> None:
    """`NeuralNet.fit` without validation and printing."""
    import skorch

    net = skorch.NeuralNet(
        case.build,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=RATE,
        batch_size=case.batch,
        max_epochs=epochs,
        train_split=None,
        iterator_train__shuffle=True,
        callbacks__print_log=None,
        verbose=0,
    )
    net.fit(case.x, case.y)


PEERS: dict[str, tuple[str, Fit]] = {
    "netwright": ("netwright", ours),
    "loop by hand": ("torch", by_hand),
    "Keras": ("keras", by_keras),
    "Lightning": ("lightning", by_lightning),
    "skorch": ("skorch", by_skorch),
}


def an_epoch(case: Case, fit: Fit) -> float:
    """Seconds."""

    def whole(epochs: int) -> float:
        torch.manual_seed(0)
        began = time.perf_counter()
        with quiet():
            fit(case, epochs)
        return time.perf_counter() - began

    return max(1e-9, (whole(1 + EPOCHS) - whole(1)) / EPOCHS)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings, no logs: they are not what is measured."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def pace(case: str, loop: str) -> float:
    """Samples a second of one loop, in the process that calls it."""
    made = CASES[case]()
    return len(made.x) / an_epoch(made, PEERS[loop][1])


def measured(case: str, rounds: int) -> dict[str, list[float]]:
    """Samples a second of each loop, a number a round; each in a process that waits for its turn."""
    there = [name for name, (package, _) in PEERS.items() if importlib.util.find_spec(package)]
    found: dict[str, list[float]] = {name: [] for name in there}
    spawn = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        own = {name: stack.enter_context(ProcessPoolExecutor(1, mp_context=spawn)) for name in there}
        for turn in range(rounds + 1):
            for name in there if turn % 2 else reversed(there):
                samples = own[name].submit(pace, case, name).result()
                if turn:  # the first round warms up
                    found[name].append(samples)
    return found


def main() -> None:
    """Prints a table in Markdown."""
    rounds, chosen = int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2:] or list(CASES)
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    columns = ("network", "batch", "loop", "samples/s, median (least-most)", "ms a step", "netwright's is")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name in chosen:
        case = CASES[name]()
        found = measured(name, rounds)
        for loop, paces in found.items():
            ratio = statistics.median(a / b for a, b in zip(found["netwright"], paces, strict=True))
            middle, steps = statistics.median(paces), math.ceil(len(case.x) / case.batch)
            step = 1e3 * len(case.x) / middle / steps
            spread = f"{middle:,.0f} ({min(paces):,.0f}-{max(paces):,.0f})"
            print(
                f"| {case.name} | {case.batch} | {loop} | {spread} | {step:.2f} | {ratio:.2f} times as fast |",
                flush=True,
            )


if __name__ == "__main__":
    main()
