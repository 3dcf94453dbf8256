"""The network without a hidden layer, that a deeper one has to beat: stepped towards, or solved."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from netwright import training
from netwright.base.schema import Choice
from netwright.data.packed import Part, gather
from netwright.learning.closed import least_squares
from netwright.learning.trainee import Settings
from netwright.trainees import NetworkTrainee
from netwright.training import Job, Trained

if TYPE_CHECKING:
    from netwright.prepare import Prepared
    from netwright.request import Request
    from netwright.tasks.network import Network

STEPS_A_MINUTE, FEWEST_STEPS, MOST_STEPS = 750, 100, 1_500
"""Steps towards the network without a hidden layer, where it is not solved."""
STEP, READ = 1 << 20, 600_000_000
"""Numbers of a step, and of all steps, where memory is bounded."""
MOST_SOLVED = 3_000
"""Features up to which the network is solved; with more of them it is stepped towards."""
SOLVED = "solved"
"""How it ended then, instead of by steps."""


def train(
    prepared: Prepared, parts: Mapping[str, Part], seed: int, minutes: float, memory: int | None = None
) -> Trained | None:
    """The network without a hidden layer that a deeper one has to beat; None where it has no meaning."""
    if not prepared.task.linear:
        return None
    job = replace(job_for(prepared, seed, minutes, bounded=memory is not None), memory=memory)
    if prepared.task.least_squares and sum(_width(field) for field in prepared.spec.inputs) <= MOST_SOLVED:
        return _solved(job, prepared, parts)
    return training.train_one(job, prepared, parts, lambda event: None)


def _solved(job: Job, prepared: Prepared, parts: Mapping[str, Part]) -> Trained:
    """The linear network in closed form, its penalty chosen on the select rows."""
    began = time.monotonic()
    built = training.network(job, prepared.spec, prepared.task)
    trainee = NetworkTrainee(built.eval(), prepared.task, parts["select"])

    def put(weight: Tensor) -> float:
        built.head.get_parameter("weight_KDO").copy_(weight.unsqueeze(0))
        built.head.get_parameter("bias_KO").zero_()
        return float(trainee.evaluate()["loss"])

    with torch.no_grad():
        weight, ridge = least_squares(_examples(built, parts["train"]), put)
        put(weight)
    found = trainee.evaluate()
    seconds = time.monotonic() - began
    ended = {"reason": SOLVED, "steps": 0, "epochs": 0.0, "best_step": 0, "seconds": seconds, "ridge": ridge}
    return Trained(
        network=built, job=job, events=[], plans=(), ended=ended, score=found["score"], loss=found["loss"]
    )


def _examples(network: Network, part: Part) -> Iterator[tuple[Tensor, Tensor]]:
    """What the head of the linear network sees, (B, D), and what it is to answer, (B, O)."""
    for rows in torch.split(torch.arange(len(part.target)), 4_096):
        features = network.family.encode(gather(part.inputs, rows)).pooled_KBD
        assert features is not None
        yield features[0], part.target.take(rows)[:, 0]


def seconds_to_solve(linear: Trained | None) -> float:
    """Seconds that it took to solve the network, and will take again, about; 0 where it was not solved."""
    return float(linear.ended["seconds"]) if linear and linear.ended["reason"] == SOLVED else 0.0


def solve_with_validation(linear: Trained, best: Trained, prepared: Prepared) -> Mapping[str, Choice]:
    """Solves the linear network anew, validation rows among those it learns from; the other moves as far.

    A series' validation rows are its latest that may be learned from. All that they decide has to be decided
    by now, and measured: what is left of them are examples. In place.

    Returns:
        What was done, by name; nothing where it cannot be.
    """
    one = best.network is linear.network
    if not seconds_to_solve(linear) or not (one or best.network.shown):
        return {}
    rows = prepared.split.undivided(0).train
    gaps = rows[-1] - rows[0] + 1 != len(rows)
    if gaps or len(rows) == len(prepared.split.train):
        return {}
    known = replace(prepared, task=copy.copy(prepared.task))  # which would learn another period
    weight_KDO = linear.network.head.get_parameter("weight_KDO")
    with torch.no_grad():
        examples = _examples(linear.network, training.part(known, rows, learn=True))
        weight, _ = least_squares(examples, lambda weight: 0.0, (float(linear.ended["ridge"]),))
        change = weight - weight_KDO[0]
        weight_KDO.add_(change)
        if not one:
            best.network.head.get_parameter("weight_KDO")[:, : best.network.shown].add_(change)
    why = "solved anew once all was chosen; the validation score and the intervals are of the network before"
    return {"solved": Choice(value="with validation rows", why=why, by="derived")}


def chosen(
    linear: Trained | None, best: Trained, asked: Request, prepared: Prepared
) -> tuple[Trained, Mapping[str, Choice]]:
    """The network that is kept, and why where that is the linear one."""
    if linear is None or not is_better(linear, best, asked, prepared):
        return best, {}
    return linear.instead_of(best), {"kept": kept(linear, best)}


def is_better(linear: Trained, best: Trained, asked: Request, prepared: Prepared) -> bool:
    """Whether the network without a hidden layer is at least as good on the select rows, and may be kept."""
    by_hand = any(name.startswith("network.") for name in asked.set)
    if by_hand or asked.network not in ("auto", "feedforward"):
        return False
    if best is linear or best.ended["reason"] == "interrupted":
        return False
    if best.job.network == "feedforward" and best.job.config.get("depth") == 0:
        return False
    sign = 1 if prepared.task.metrics[0].better == "higher" else -1
    return (sign * linear.score, -linear.loss) > (sign * best.score, -best.loss)


def kept(linear: Trained, best: Trained) -> Choice:
    """That the network without a hidden layer is kept, and why."""
    words = f"no deeper network beat it on validation ({best.score:.4g} against {linear.score:.4g})"
    return Choice(value="the network without a hidden layer", why=words, by="measured")


def job_for(prepared: Prepared, seed: int, minutes: float = 5.0, *, bounded: bool = False) -> Job:
    """A feedforward network with no hidden layer, for a number of steps that data and minutes alone set.

    Where memory is bounded, a step holds fewer of the wide examples, and fewer are read from their files.
    """
    spec = prepared.spec
    width = sum(_width(field) for field in spec.inputs)
    batch = max(1, min(256, spec.examples, STEP // width if bounded else 256))
    flops = 6.0 * width * spec.outputs * batch
    most = max(FEWEST_STEPS, min(MOST_STEPS, int(STEPS_A_MINUTE * minutes)))
    if bounded:
        most = min(most, READ // (width * batch))
    steps = max(60, min(most, int(6e10 / flops), 30 * spec.examples // batch + 200))
    epochs = steps * batch / max(1, spec.examples)
    settings = Settings(
        lr=0.01,
        embedding_lr=0.02,
        batch=batch,
        epochs=epochs,
        ema=0.98,
        weight_decay=0.01,
        warmup=0.05,
        decay=0.7,
        evaluations=8,
        patience=1000,
        threads=1,
    )
    return Job(
        network="feedforward",
        config={"depth": 0, "members": 1},
        settings=settings,
        seed=seed,
        live=False,
        augmented=False,  # sums of pixels gain nothing by it, and it takes most of their time
    )


def _width(field: Any) -> int:
    if field.layout == "codes":
        return int(sum(field.sizes))
    if field.layout in ("tokens", "frames") and not field.even:
        return 64 * (field.shape[1] if field.layout == "frames" else 1)
    return math.prod(field.shape)
