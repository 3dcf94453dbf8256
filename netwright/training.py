"""One network trained: from prepared data and choices to weights, on the engine of `learning`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from netwright.base import seeds
from netwright.base.errors import RecipeError
from netwright.base.schema import JSON, Choice, Event, InputSpec, Plan
from netwright.data.batches import TensorFeed
from netwright.data.packed import Part
from netwright.data.split import FEWEST, MEASURING
from netwright.learning import machine, planning, tuning
from netwright.learning.checkpoint import Checkpoint, plan_from
from netwright.learning.loop import learn
from netwright.learning.trainee import Settings
from netwright.networks import FAMILIES
from netwright.networks.family import Machine
from netwright.tasks.network import Network, build
from netwright.tasks.settings import make
from netwright.trainees import NetworkTrainee

if TYPE_CHECKING:
    from netwright.prepare import Prepared
    from netwright.tasks.task import AbstractTask


WATCHED = {"pooled": 2_000, "steps": 400, "decoder": 400}
"""Windows that are watched while a network learns, by what is answered: all of them would take too long."""
TIMED = 64
"""Examples that tell how long one takes."""
LOOKING = 0.03
"""Share of learning's time that one look at the windows may take."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one training needs to know beside the data.

    Attributes:
        network: Name of the family.
        config: Settings of the family.
        settings: How to learn.
        seed: The run's seed.
        budget: Seconds that learning, and what is measured after it, may take; None reads no clock.
        after: What is measured after it.
        plans: Recorded plans to replay; the first is where to begin.
        live: Whether plans may be revised once the recorded ones are used up.
        resume: Where to go on.
        folder: Where checkpoints go.
        memory: Bytes that may be used; None: what is free.
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
        by_hand: Whether threads or shares were set by hand, so that no others are tried.
        augmented: Whether what it learns from is made harder, as the kinds of data say.
    """

    network: str
    config: Mapping[str, JSON]
    settings: Settings
    seed: int
    budget: float | None = None
    after: planning.After = field(default_factory=planning.After)
    plans: tuple[Plan, ...] = ()
    live: bool = True
    resume: Checkpoint | None = None
    folder: Path | None = None
    memory: int | None = None
    device: str = "cpu"
    by_hand: bool = False
    augmented: bool = True


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One trained network.

    Attributes:
        ended: How learning ended: reason, steps, epochs, best step, seconds.
        score: Headline on the select rows.
        loss: Loss on the select rows.
        plans: The plans that were in force, in order, those before a kill among them.
        pace: Seconds that an example took to be answered and measured; 0 where none was.
    """

    network: Network
    job: Job
    events: list[Event]
    plans: tuple[Plan, ...]
    ended: Mapping[str, JSON]
    score: float
    loss: float
    pace: float = 0.0

    def watches(self, parts: Mapping[str, Part], most: int) -> dict[str, Part]:
        """The parts as they are used after learning: where windows take so long that fewer than `most` were
        watched, as many validation windows as were."""
        watched = self.plans[0].watched if self.plans else 0
        few = 0 < watched < most
        return {
            name: part.at_most(watched) if few and name != "train" else part for name, part in parts.items()
        }

    def affords(self, part: Part, minutes: float) -> Part:
        """As many of the test examples, evenly spaced, as are answered in a fifth of the minutes.

        All of them where no clock was read, so that the run can be repeated.
        """
        clocked = self.job.live and self.job.budget is not None
        if not clocked or not self.pace:
            return part
        return part.at_most(max(FEWEST, int(MEASURING * 60.0 * minutes / self.pace)))

    def tuned(self) -> dict[str, Choice]:
        """The way in which sums were done, if several were tried."""
        found = {}
        for before, after in itertools.pairwise(self.plans):
            if before.segment.trial and not after.segment.trial:
                way = str(tuning.Way(after.segment.threads, after.segment.shares))
                found["way"] = Choice(value=way, why=after.why.split(f"{way}: ")[-1], by="measured")
        return found

    def instead_of(self, other: Trained) -> Trained:
        """This network in the place of another, which keeps its word on how learning ended."""
        return replace(self, events=other.events, ended=other.ended, plans=other.plans)


def choose_family(spec: InputSpec, asked: str) -> tuple[str, str]:
    """The family for the job, and why.

    Raises:
        RecipeError: If the family asked for cannot do it, or none can.
    """
    if asked != "auto":
        refusal = FAMILIES[asked].refuses(spec)
        if refusal:
            raise RecipeError(f"--network {asked} cannot be used here: {refusal}", hint="use --network auto.")
        return asked, "asked for"
    fit = {name: FAMILIES[name].suits(spec) for name in FAMILIES if not FAMILIES[name].refuses(spec)}
    if not fit:
        reasons = "; ".join(f"{name}: {FAMILIES[name].refuses(spec)}" for name in FAMILIES)
        raise RecipeError(f"no family of networks can do this: {reasons}", hint="change the columns.")
    best = max(fit, key=lambda name: fit[name])
    kinds = " and ".join(sorted({field.layout for field in spec.inputs}))
    return best, f"suits inputs of {kinds} best"


def derive(family: str, spec: InputSpec, minutes: float, threads: int) -> dict[str, Choice]:
    """The family's own judgement: settings of the network and of learning."""
    derived = FAMILIES[family].derive(spec, minutes, Machine(threads=threads))
    return dict(derived)


def parts(prepared: Prepared) -> dict[str, Part]:
    """What is learned from, what decides, and what is calibrated on."""
    train = prepared.stored or part(prepared, prepared.split.train, learn=True)
    held = {name: part(prepared, getattr(prepared.split, name)) for name in ("select", "calibrate")}
    return {"train": train, **held}


def part(prepared: Prepared, rows: Any, *, learn: bool = False) -> Part:
    """The examples whose outputs lie in these rows; those to learn from, or to be measured on."""
    inputs, target = prepared.task.examples(prepared.decoded, rows, prepared.inputs, learn=learn)
    return Part(inputs=inputs, target=target)


def feed(
    prepared: Prepared, training: Part, seed: int, weight: Tensor | None = None, *, augmented: bool = True
) -> TensorFeed:
    """The training rows as batches, augmented as their kinds say, or not."""
    kinds = {kind.field().key: kind for kind in prepared.inputs.kinds}
    augment = {
        key: kinds[key].augment
        for key in training.inputs
        if augmented and key in kinds and "augment" in vars(type(kinds[key]))
    }
    there = next(iter(training.inputs.values())).device
    assert weight is None or len(weight) == len(training.target)
    return TensorFeed(
        inputs=training.inputs,
        target=training.target.to(there),
        weight_N=None if weight is None else weight.to(there),
        augment=augment,
        seed=seed,
    )


def network(job: Job, spec: InputSpec, task: AbstractTask) -> Network:
    """The network with its first weights, a function of the seed alone."""
    torch.manual_seed(seeds.key(job.seed, "weights", job.network))
    return build(job.network, dict(job.config), spec, task)


def run(job: Job, trainee: NetworkTrainee, batches: TensorFeed) -> Iterator[Event]:
    """Trains the network of the trainee in place; gives the events."""
    settings = job.settings
    per_epoch = batches.steps_per_epoch(settings.batch)
    if job.plans:
        plan = job.plans[0]
    else:
        part = _part_that_fits(job, trainee, batches)
        plan = planning.first(settings, per_epoch, part, _watched(trainee, job.budget))
    trainee.select = trainee.select.at_most(plan.watched or len(trainee.select.target))
    after = replace(job.after, watched=len(trainee.select.target))
    live = None
    if job.live:
        live = tuning.planner(trainee.module, settings, job.budget, plan.steps, after=after, fixed=job.by_hand)
    done = job.resume.plan.revision if job.resume else 0
    planner = planning.Replay([each for each in job.plans if each.revision > done], live)
    yield from learn(
        trainee,
        batches,
        planner,
        plan,
        settings=settings,
        seed=job.seed,
        resume=job.resume,
        folder=job.folder,
    )


def _watched(trainee: NetworkTrainee, budget: float | None) -> int:
    """Windows that are looked at while the network learns: fewer where one takes long; 0: all rows."""
    task = trainee.task
    if task.rowwise or not len(trainee.select.target):
        return 0
    if budget is None:
        return WATCHED[task.needs]
    few = replace(trainee, select=trainee.select.at_most(TIMED))
    few.evaluate()  # the first sums warm up caches: they do not say what an example costs
    most = int(LOOKING * budget / max(1e-9, few.timed()[0]))
    return min(WATCHED[task.needs], max(FEWEST, most))


def _part_that_fits(job: Job, trainee: NetworkTrainee, batches: TensorFeed) -> int:
    """Examples that fit in memory at once: one forward of the longest few is measured, no clock is read."""
    batch = batches.take(batches.longest(8))
    trainee.module.train()
    bytes_an_example = machine.saved_bytes(trainee.module, lambda: trainee.loss(batch), len(batch.example_B))
    memory = job.memory or machine.may_hold()
    return machine.part_that_fits(trainee.module, bytes_an_example, job.settings.batch, memory)


def job_from(choices: Mapping[str, Choice], family: str, spec: InputSpec, seed: int) -> Job:
    """The job that the choices describe.

    Raises:
        RecipeError: If a setting is unknown or out of range.
    """
    values = {name: choice.value for name, choice in choices.items()}
    config = make(FAMILIES[family].Config, _of(values, "network"), "network")
    settings = make(Settings, _of(values, "learning"), "learning")
    sums = [choices[name] for name in ("learning.threads", "learning.shares") if name in choices]
    return Job(
        network=family,
        config=asdict(config),
        settings=_bounded(settings, spec),
        seed=seed,
        by_hand=any(choice.by == "user" for choice in sums),
    )


def _of(values: Mapping[str, JSON], name: str) -> dict[str, JSON]:
    prefix = name + "."
    return {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}


def _bounded(settings: Settings, spec: InputSpec) -> Settings:
    return replace(settings, batch=max(1, min(settings.batch, spec.examples)))


def drain(events: Iterator[Event], into: Any) -> dict[str, JSON]:
    """Hands every event on and gives the last one's data: how learning ended."""
    last: dict[str, JSON] = {}
    for event in events:
        into(event)
        if event.type == "stop":
            last = {**event.data, "seconds": event.seconds}
    return last


def train_one(
    job: Job,
    prepared: Prepared,
    parts: Mapping[str, Part],
    tell: Callable[[Event], None],
    *,
    start: Trained | None = None,
) -> Trained:
    """One network, trained to the end of its plan.

    Args:
        job: What and how.
        prepared: The data.
        parts: Their tensors.
        tell: Takes the events.
        start: The solved linear network, whose answers it begins with where it can.
    """
    with machine.arithmetic(job.settings.threads, bounded=job.memory is not None):
        there = machine.device(job.device)
        built = network(job, prepared.spec, prepared.task).to(there)
        if start is not None:
            built.lean(start.network, 0.0)
        trainee = NetworkTrainee(built, prepared.task, parts["select"].inputs_on(there), may_mirror(prepared))
        train, weight = parts["train"].inputs_on(there), weights(prepared)
        batches = feed(prepared, train, job.seed, weight, augmented=job.augmented)
        events: list[Event] = []

        def note(event: Event) -> None:
            events.append(event)
            tell(event)

        ended = drain(run(job, trainee, batches), note)
        pace, found = trainee.timed()
        built.to("cpu")  # what comes after is small, and a model is used where it is loaded
    return Trained(
        network=built,
        job=job,
        events=events,
        ended=ended,
        score=found["score"],
        loss=found["loss"],
        plans=in_force(job, events),
        pace=pace,
    )


def in_force(job: Job, events: Sequence[Event]) -> tuple[Plan, ...]:
    """The plans up to the checkpoint that learning went on from, and those since."""
    before = [plan for plan in job.plans if job.resume and plan.revision <= job.resume.plan.revision]
    return (*before, *(plan_from(event.data) for event in events if event.type == "plan"))


def weights(prepared: Prepared) -> Any:
    """(N,) float32 weights of the training rows, 1 on average; None where all count alike.

    Raises:
        RecipeError: If one is no number from 0 on.
    """
    import numpy as np

    from netwright.data.kinds.numerals import numbers

    names = [column.name for column in prepared.columns if column.role == "weight"]
    if not names:
        return None
    cells = prepared.table.frame(names, prepared.split.train).to_series()
    values = numbers(cells, comma=False)
    if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
        raise RecipeError(
            f"the weights in column '{names[0]}' are not all numbers from 0 on.",
            hint="mend the column, or leave out --weight.",
        )
    return torch.from_numpy((values / values.mean()).astype("float32"))


def may_mirror(prepared: Prepared) -> bool:
    """Whether there are pictures whose flip nobody set."""
    pictures = [column for column in prepared.columns if column.kind == "image"]
    return bool(pictures) and not any("flip" in column.settings for column in pictures)
