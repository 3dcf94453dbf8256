"""`nw.fit`: any torch module on the same engine, with the same plans, stopping and checkpoints."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from netwright.base import events, files, seeds
from netwright.base.errors import DataError
from netwright.base.schema import JSON, Event
from netwright.data.batches import Batch, TensorFeed
from netwright.data.packed import Packed
from netwright.learning import machine, planning, tuning
from netwright.learning.loop import learn
from netwright.learning.straight import Stack
from netwright.learning.trainee import Settings
from netwright.outcome import Run
from netwright.tasks.network import AT_ONCE
from netwright.tasks.settings import make

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class ModuleTrainee:
    """A module of the user's as learning sees it: one tensor in, one out.

    Attributes:
        x, y: Validation rows.
        stack: The module, if it is a small plain stack.
        filters: Whether it has filters of pictures.
    """

    module: nn.Module
    criterion: Loss
    x: Tensor
    y: Tensor
    stack: Stack | None = None
    filters: bool = False

    def loss(self, batch: Batch) -> Tensor:
        """One loss an example, (B,)."""
        assert batch.target is not None
        return _rowwise(self.criterion(self.module(self._seen(batch.inputs["x"])), batch.target))

    def slopes(self, batch: Batch) -> float | None:
        """The mean loss, and the slopes of a small plain stack."""
        x = batch.inputs["x"]
        if self.stack is None or batch.target is None or x.dtype != torch.float32 or x.ndim != 2:
            return None
        return self.stack.slopes(x, batch.target, lambda out, y: _rowwise(self.criterion(out, y)))

    def evaluate(self) -> Mapping[str, Any]:
        """The loss on the validation rows, which is the score too."""
        total = 0.0
        for x, y in zip(torch.split(self.x, AT_ONCE), torch.split(self.y, AT_ONCE), strict=True):
            total += float(_rowwise(self.criterion(self.module(self._seen(x)), y)).sum())
        loss = total / len(self.x)
        return {"loss": loss, "score": loss, "name": "loss", "better": "lower"}

    def _seen(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self.filters else x

    def probe(self) -> Mapping[str, JSON]:
        """Nothing is known of the inputs, so nothing is tried."""
        return {}


def fit(
    module: nn.Module,
    data: tuple[Any, Any],
    *,
    loss: Loss,
    validation: float = 0.15,
    minutes: float = 1.0,
    seed: int = 0,
    out: Any = None,
    set: Mapping[str, Any] | None = None,
) -> Run:
    """Trains any module; it is left with its best weights.

    Args:
        module: Takes (B, ...) float32 and gives (B, ...).
        data: Inputs and targets, arrays or tensors with one row an example.
        loss: From outputs and targets to one loss an example, (B,) or (B, ...): a torch loss with
            `reduction="none"`.
        validation: Share of the rows that decides when to stop and what to keep, 0-0.9.
        minutes: Ceiling on the training time, minutes.
        seed: Where order, dropout and the split come from.
        out: A folder for events and checkpoints; None writes nothing.
        set: Settings of learning by name, as `--set learning.NAME=VALUE` has them.

    Returns:
        The run: `run.card` has the losses, `run.model` is the module.

    Raises:
        DataError: If the rows do not match, or there are fewer than 4.
        RecipeError: If a setting is unknown.
        LearningError: If training cannot go on.
    """
    started = time.monotonic()
    x, y = (each if isinstance(each, Tensor) else torch.as_tensor(each) for each in data)
    if len(x) != len(y) or len(x) < 4:
        raise DataError(
            f"there are {len(x)} inputs and {len(y)} targets.",
            hint="give one target an input, and 4 rows or more.",
        )
    order = torch.from_numpy(seeds.generator(seed, "split").permutation(len(x)))
    held = max(1, min(len(x) - 2, round(validation * len(x))))
    rows, select = order[held:].sort().values, order[:held].sort().values
    settings = _settings(set or {}, len(rows))
    stack = Stack.of(module, loss, settings.batch) if settings.shares == 1 else None
    filters = x.ndim == 4 and any(isinstance(each, nn.Conv2d) for each in module.modules())
    trainee = ModuleTrainee(module, loss, x[select], y[select], stack, filters)
    feed = TensorFeed(inputs={"x": Packed(x[rows])}, target=Packed(y[rows]), seed=seed)
    folder = Path(out) if out is not None else None
    if folder:
        files.make_folder(folder)
    journal = events.Journal(folder / "events.jsonl" if folder else None)
    plan = planning.first(settings, feed.steps_per_epoch(settings.batch))
    by_hand = (set or {}).keys()
    budget, fixed = None if "epochs" in by_hand else minutes * 60.0, bool({"threads", "shares"} & by_hand)
    live = tuning.planner(module, settings, budget, plan.steps, fixed=fixed, parts=False)
    kept: list[Event] = []
    with machine.arithmetic(settings.threads), _channels_last(module, filters):
        for event in learn(
            trainee,
            feed,
            live,
            plan,
            settings=settings,
            seed=seed,
            folder=folder / "checkpoint" if folder else None,
        ):
            journal.write(event)
            kept.append(event)
        with torch.no_grad():
            final = trainee.evaluate()["loss"]
    journal.close()
    card = {
        "task": "module",
        "network": type(module).__name__,
        "rows": {"train": len(rows), "validation": held, "test": 0},
        "metric": {"name": "loss", "value": final, "low": None, "high": None},
        "seconds": {"total": time.monotonic() - started},
        "steps": kept[-1].step,
        "seed": seed,
    }
    return Run(card=card, model=module, folder=folder, events=tuple(kept))


@contextlib.contextmanager
def _channels_last(module: nn.Module, filters: bool) -> Iterator[None]:
    """Channels of filters side by side in memory while they learn: a CPU's convolutions are faster so."""
    if filters:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        yield
    finally:
        if filters:
            module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _settings(by_hand: Mapping[str, Any], rows: int) -> Settings:
    batch = max(1, min(256, rows // 8))
    epochs = max(10.0, min(100.0, 2e6 / rows))
    return make(Settings, {"batch": batch, "epochs": epochs, "lr": 2e-3, **by_hand}, "learning")


def _rowwise(loss: Tensor) -> Tensor:
    if loss.ndim == 0:
        raise DataError(
            "the loss gives one number for the whole batch.",
            hint='give one loss an example: use reduction="none".',
        )
    return loss.flatten(1).mean(1) if loss.ndim > 1 else loss
