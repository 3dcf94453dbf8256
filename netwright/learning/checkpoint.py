"""The state of learning as one file of plain data: whole or not there."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from netwright.base import events, files
from netwright.base.errors import LearningError
from netwright.base.schema import JSON, Plan, Segment

NAME = "state.safetensors"
SAVE_COST = 30.0
"""A checkpoint is written when it costs at most a thirtieth of the time since the last one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Learning after `step` steps, enough to go on as if nothing had happened.

    Attributes:
        step: Steps done.
        seconds: Seconds of learning so far.
        plan: The plan in force.
        history: Evaluations so far, as `History.facts` gives them.
        rollbacks: Roll-backs since the last good evaluation.
        tensors: Weights, running means, optimizer state and best weights, by name.
    """

    step: int
    seconds: float
    plan: Plan
    history: Mapping[str, JSON]
    rollbacks: int
    tensors: Mapping[str, Tensor]

    def save(self, folder: Path) -> None:
        """Writes the checkpoint, replacing the one before.

        Raises:
            LearningError: If it cannot be written; the one before is untouched.
        """
        from safetensors.torch import save

        facts = {
            "step": self.step,
            "seconds": self.seconds,
            "plan": dataclasses.asdict(self.plan),
            "history": dict(self.history),
            "rollbacks": self.rollbacks,
        }
        text = json.dumps(events.plain(facts), sort_keys=True)
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors.items()}
        files.make_folder(folder)
        files.write_bytes(folder / NAME, save(tensors, metadata={"learning": text}))


class Saver:
    """Writes checkpoints, as often as they are cheap.

    Args:
        folder: Where they go; None writes none.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._last = time.monotonic()
        self._cost = 0.0

    def offer(self, now: Callable[[], Checkpoint]) -> None:
        """Writes a checkpoint if the last one is long enough ago."""
        if self.folder and time.monotonic() - self._last >= max(1.0, SAVE_COST * self._cost):
            self.save(now())

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes the checkpoint now."""
        if self.folder is None:
            return
        began = time.monotonic()
        checkpoint.save(self.folder)
        self._last = time.monotonic()
        self._cost = self._last - began


def load(folder: Path) -> Checkpoint | None:
    """The checkpoint in the folder, or None if there is none.

    Raises:
        LearningError: If there is one but it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as opened:
            facts = json.loads(opened.metadata()["learning"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return Checkpoint(
            step=int(facts["step"]),
            seconds=float(facts["seconds"]),
            plan=plan_from(facts["plan"]),
            history=facts["history"],
            rollbacks=int(facts["rollbacks"]),
            tensors=tensors,
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise LearningError(
            f"the checkpoint '{path}' cannot be read: {error}.",
            hint="it was damaged after it was written; train anew with another --out.",
        ) from error


def plan_from(facts: Any) -> Plan:
    """The plan again, from its JSON.

    Raises:
        TypeError: If it is not a plan.
    """
    return Plan(**{**facts, "segment": Segment(**facts["segment"])})
