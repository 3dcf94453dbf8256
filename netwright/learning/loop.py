"""The loop: order, batch, loss, gradient, step; evaluate, keep the best, plan, save. Read `learn` first."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netwright.base import seeds
from netwright.base.errors import LearningError
from netwright.base.schema import Event, Plan
from netwright.learning import machine, schedules
from netwright.learning.checkpoint import Checkpoint, Saver
from netwright.learning.learner import Learner
from netwright.learning.optimizers import Optimizers, clip
from netwright.learning.planning import PROBE_AT, Planner, Progress
from netwright.learning.sharing import Sharing, divisible, may_draw
from netwright.learning.stopping import History
from netwright.learning.trainee import Feed, Settings, Trainee

LOOK_EVERY = 50
"""Steps between looks at the loss: each look waits for the arithmetic, so it is not done every step."""
MAX_ROLLBACKS = 3


def learn(
    trainee: Trainee,
    feed: Feed,
    planner: Planner,
    plan: Plan,
    *,
    settings: Settings,
    seed: int,
    resume: Checkpoint | None = None,
    folder: Path | None = None,
) -> Iterator[Event]:
    """Trains the network to the end of the plan and leaves it with its best weights.

    The reader of the events writes each one down before asking for the next, so a plan is on the disk
    before the step it names. An interrupt ends the run after the step in hand, with a checkpoint.

    Args:
        trainee: The network, its loss and its score.
        feed: Its batches.
        planner: Where revisions of the plan come from.
        plan: The first plan.
        settings: How to learn.
        seed: The run's seed.
        resume: Where to go on, or None to begin.
        folder: Where checkpoints go; None writes none.

    Raises:
        LearningError: If the loss is not finite time and again, or memory or disk run out.
    """
    learner = _begin(trainee, feed, plan, settings, seed)
    if resume:
        _restore(learner, resume)
    else:
        yield _plan_event(learner)
    saver = Saver(folder)
    trainee.module.train()
    with machine.Interrupts() as interrupts:
        while learner.step < learner.plan.steps and interrupts.signal is None:
            yield from _take_step(learner, planner)
            evaluated = _evaluation_due(learner)
            looking = evaluated or learner.step % LOOK_EVERY == 0
            if looking:
                yield from _look(learner, planner)
            probe = None
            if evaluated:
                probe, event = _evaluate(learner)
                yield event
            if looking or planner.due(learner.step):
                yield from _replan(learner, planner, evaluated, probe)
            if looking:
                learner.kept = learner.state()
                saver.offer(lambda: _checkpoint(learner, learner.kept))
        yield from _end(learner, saver, interrupts.signal)


def _begin(trainee: Trainee, feed: Feed, plan: Plan, settings: Settings, seed: int) -> Learner:
    params: list[Tensor] = [param for param in trainee.module.parameters() if param.requires_grad]
    stored = trainee.module.state_dict().keys()  # tables beside the weights never change
    statistics = [
        each for name, each in trainee.module.named_buffers() if name in stored and each.is_floating_point()
    ]
    averaged = [*params, *statistics]
    learner = Learner(
        trainee=trainee,
        feed=feed,
        settings=settings,
        seed=seed,
        plan=plan,
        optimizers=Optimizers(trainee.module, settings),
        params=params,
        drawing=may_draw(trainee.module),
        averaged=averaged,
        average=[each.detach().clone() if settings.ema else each.detach() for each in averaged],
        started=time.monotonic(),
    )
    learner.kept = learner.state()
    _follow(learner, plan)
    machine.seed_draws(seed, params[0].device)  # beside a network that does not, its loss may draw
    return learner


def _follow(learner: Learner, plan: Plan) -> None:
    """The plan in force, its sums done as its segment says."""
    learner.plan = plan
    learner.per_epoch = learner.feed.steps_per_epoch(plan.segment.batch)
    threads = plan.segment.threads or learner.settings.threads or machine.cores()
    shares = plan.segment.shares or learner.settings.shares
    shares = shares if learner.params[0].device.type == "cpu" and divisible(learner.module) else 1
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    if shares != (learner.sharing.count if learner.sharing else 1):
        learner.sharing = Sharing(shares, max(1, threads // shares)) if shares > 1 else None


def _take_step(learner: Learner, planner: Planner) -> Iterator[Event]:
    """One step; where memory runs out the batch is taken in smaller parts and the step begins anew."""
    while True:
        try:
            _step(learner)
            return
        except (RuntimeError, MemoryError) as error:
            whole = learner.plan.segment
            if not machine.is_out_of_memory(error) or whole.accumulate >= whole.batch:
                raise
        learner.module.zero_grad(set_to_none=True)
        _follow(learner, planner.repair(learner.plan, learner.step, "memory"))
        yield _plan_event(learner)


def _step(learner: Learner) -> None:
    plan, step = learner.plan, learner.step
    epoch, position = divmod(step, learner.per_epoch)
    if epoch != learner.epoch:
        learner.order = learner.feed.order(epoch, plan.segment.batch)
        learner.epoch = epoch
    if learner.drawing or learner.sharing is not None:
        machine.seed_draws(seeds.of_step(learner.seed, step), learner.params[0].device)
    batch = learner.feed.take(learner.order[position], epoch, plan.augment)
    for x in batch.inputs.values():
        learner.work += x.numel()
    learner.losses.append(_backward(learner, batch))
    if learner.settings.clip > 0:
        learner.norm = clip(learner.params, learner.settings.clip)
    learner.optimizers.step(schedules.rate(step, plan))
    decay = schedules.average_decay(step, learner.settings.ema) if learner.settings.ema else 1.0
    if decay < 1.0:
        with torch.no_grad():
            torch._foreach_lerp_(learner.average, learner.averaged, 1.0 - decay)
    learner.step += 1


def _backward(learner: Learner, batch: Any) -> Any:
    """Gradients of the weighted mean loss, part by part; the loss itself, detached."""
    parts, sharing = learner.plan.segment.accumulate, learner.sharing
    if parts == 1 and sharing is None and (found := learner.trainee.slopes(batch)) is not None:
        return found
    examples = len(batch.example_B)
    size = math.ceil(examples / parts)
    weight = examples if batch.weight_B is None else batch.weight_B.sum()
    total: Any = 0.0
    for start in range(0, examples, size):
        part = batch if parts == 1 else batch.part(start, start + size)
        if sharing is None:
            loss = _loss(learner, part, weight)
            loss.backward()  # type: ignore[no-untyped-call]
            total = loss.detach() if parts == 1 else total + loss.detach()
            continue
        for found in sharing.slopes(learner.params, lambda share: _loss(learner, share, weight), part):
            total = total + found
    return total


def _loss(learner: Learner, part: Any, weight: Any) -> Tensor:
    """What a part adds to the weighted mean loss of a batch."""
    loss_B = learner.trainee.loss(part)
    loss: Tensor = (loss_B if part.weight_B is None else loss_B * part.weight_B).sum() / weight
    return loss


def _evaluation_due(learner: Learner) -> bool:
    plan = learner.plan
    return learner.step % plan.evaluate_every == 0 or learner.step >= plan.steps


def _look(learner: Learner, planner: Planner) -> Iterator[Event]:
    """Waits for the loss of the steps since the last look; rolls back if it is not finite."""
    loss = float(torch.stack([torch.as_tensor(each) for each in learner.losses]).mean())
    learner.losses.clear()
    if math.isfinite(loss):
        data = {
            "loss": loss,
            "lr": learner.optimizers.peak() * schedules.rate(learner.step - 1, learner.plan),
            "gradient": float(learner.norm),
            "of": learner.plan.steps,
        }
        yield Event(type="step", step=learner.step, seconds=learner.seconds, data=data)
        return
    yield from _roll_back(learner, planner)


def _roll_back(learner: Learner, planner: Planner) -> Iterator[Event]:
    learner.rollbacks += 1
    rate = learner.optimizers.peak() * schedules.rate(learner.step - 1, learner.plan)
    if learner.rollbacks > MAX_ROLLBACKS:
        raise LearningError(
            f"the loss is not finite at step {learner.step:,} (learning rate {rate:.3g}), "
            f"after {MAX_ROLLBACKS} roll-backs.",
            hint=f"try --set learning.lr={learner.settings.lr / 10:.2g}, and look for extreme values "
            "in the data with netwright check.",
        )
    learner.load(learner.kept)
    _follow(learner, planner.repair(learner.plan, learner.step, "rate"))
    said = f"the loss was not finite at step {learner.step:,}; back to the last good weights, half the rate"
    yield Event(type="trouble", step=learner.step, seconds=learner.seconds, data={"what": said})
    yield _plan_event(learner)


def _evaluate(learner: Learner) -> tuple[Any, Event]:
    """Scores the running means on validation rows and keeps them if they are the best so far."""
    plan, history, began = learner.plan, learner.history, time.monotonic()
    with learner.averaged_out():
        found = learner.trainee.evaluate()
        best = history.add(learner.step, found["loss"], found["score"])
        if best:
            learner.rollbacks = 0
            learner.keep()
        probe = None
        if not history.probed and learner.step >= PROBE_AT * plan.steps:
            history.probed = True
            probe = dict(learner.trainee.probe())
    learner.looks += 1
    learner.looking += time.monotonic() - began
    data = {**found, "best": best, "of": plan.steps}
    return probe, Event(type="evaluate", step=learner.step, seconds=learner.seconds, data=data)


def _replan(learner: Learner, planner: Planner, evaluated: bool, probe: Any) -> Iterator[Event]:
    progress = Progress(
        step=learner.step,
        seconds=learner.seconds,
        history=learner.history,
        evaluated=evaluated,
        probe=probe,
        looks=learner.looks,
        looking=learner.looking,
        work=learner.work,
    )
    while (revised := planner.next(learner.plan, progress)) is not None:
        _follow(learner, revised)
        yield _plan_event(learner)
        progress = replace(progress, evaluated=False, probe=None)


def _plan_event(learner: Learner) -> Event:
    data = asdict(learner.plan)
    return Event(type="plan", step=learner.step, seconds=learner.seconds, data=data)


def _restore(learner: Learner, checkpoint: Checkpoint) -> None:
    tensors = dict(checkpoint.tensors)
    learner.load(tensors)
    start = "best/"
    best = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
    learner.best = best
    learner.step = checkpoint.step
    _follow(learner, checkpoint.plan)
    learner.spent = checkpoint.seconds
    learner.history = History.restore(dict(checkpoint.history))
    learner.rollbacks = checkpoint.rollbacks
    learner.kept = learner.state()


def _checkpoint(learner: Learner, tensors: Mapping[str, Tensor]) -> Checkpoint:
    """These tensors and the best weights, enough to go on from."""
    return Checkpoint(
        step=learner.step,
        seconds=learner.seconds,
        plan=learner.plan,
        history=learner.history.facts(),
        rollbacks=learner.rollbacks,
        tensors={**tensors, **{f"best/{name}": tensor for name, tensor in learner.best.items()}},
    )


def _end(learner: Learner, saver: Saver, signal: int | None) -> Iterator[Event]:
    """The best weights into the network, and how it ended."""
    if signal is not None:
        saver.save(_checkpoint(learner, learner.state()))
    if not learner.best:
        yield _evaluate(learner)[1]
    if not learner.best:  # nothing was measured: the last running means
        with learner.averaged_out():
            learner.keep()
    learner.module.load_state_dict(learner.best)
    learner.module.eval()
    data = {
        "reason": "interrupted" if signal is not None else "end of the plan",
        "signal": signal,
        "best_step": learner.history.best_step,
        "steps": learner.step,
        "epochs": learner.step / learner.per_epoch,
    }
    yield Event(type="stop", step=learner.step, seconds=learner.seconds, data=data)
