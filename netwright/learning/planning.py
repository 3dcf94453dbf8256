"""Plans: how far to train, decided from the data, shortened by a clock, replayed without one.

Everything here can only append a plan; the journal has it before the step it names.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from netwright.base.schema import JSON, Plan, Segment
from netwright.learning.stopping import History
from netwright.learning.trainee import Settings

COOL_DOWN = 0.15
"""Share of the steps done over which the rate falls when learning is brought to its end early."""
WARM = 3
"""Steps that say nothing about the pace, and steps that must follow before it is judged."""
LOOK = 0.02
"""Share of the budget between looks at the clock: long enough that a hiccup does not decide."""
FRESH = 0.2
"""Weight of the pace since the last look in the pace of late."""
EVALUATING = 0.1
"""Share of learning's time that evaluations may take; where they cost more there are fewer of them."""
GROWS = 0.3
"""Share of the plan that must be left for its end to move away once the rate falls."""
PROBE_AT = 0.4
"""Share of the plan after which harmless augmentation is looked for."""


@dataclass
class Progress:
    """What the planner may look at after a step.

    Attributes:
        step: Steps done.
        seconds: Seconds of learning so far, evaluation included, downtime not.
        history: Evaluations so far.
        evaluated: Whether the step just done was followed by an evaluation.
        probe: Switches found harmless by a probe after this step, or None if there was none.
        looks: Evaluations of this process.
        looking: Seconds that they took.
        work: Numbers that went into the network so far: steps of long examples take longer.
    """

    step: int
    seconds: float
    history: History
    evaluated: bool = False
    probe: Mapping[str, JSON] | None = None
    looks: int = 0
    looking: float = 0.0
    work: int = 0


@dataclass(frozen=True, kw_only=True)
class After:
    """What is measured once learning has ended.

    Attributes:
        guess: Seconds that it will take, as long as no evaluation has said how long an example takes.
        examples: Examples that are measured; 0: the guess stands.
        watched: Examples of an evaluation.
        most: Seconds that it takes at most: of more examples some are left out.
    """

    guess: float = 0.0
    examples: int = 0
    watched: int = 1
    most: float = math.inf

    def seconds(self, look: float) -> float:
        """Seconds that it will take, where an evaluation takes `look` seconds, or 0 if there was none."""
        told = self.examples * look / max(1, self.watched)
        return min(self.most, told or self.guess)


class Planner(Protocol):
    """Gives the first plan, and revisions of it."""

    def due(self, step: int) -> bool:
        """Whether to ask after this step, too; after evaluations, and now and then, it is asked anyway."""

    def next(self, plan: Plan, progress: Progress) -> Plan | None:
        """The revision that holds from now on, or None."""

    def repair(self, plan: Plan, step: int, kind: str) -> Plan:
        """The revision after trouble: "rate" halves the rate, "memory" the part that is taken at once."""


def first(settings: Settings, steps_per_epoch: int, part: int = 0, watched: int = 0) -> Plan:
    """The plan that the data alone ask for: enough passes, and no more.

    Args:
        settings: How to learn.
        steps_per_epoch: Steps of one pass.
        part: Examples that fit in memory at once; 0: all of a batch.
        watched: Validation examples that are looked at; 0: all of them.
    """
    steps = max(1, round(settings.epochs * steps_per_epoch))
    accumulate = 1
    while part and settings.batch // accumulate > part:
        accumulate *= 2
    segment = Segment(from_step=0, batch=settings.batch, accumulate=accumulate)
    blank = Plan(revision=0, at_step=0, steps=0, warmup=0, decay_from=0, evaluate_every=0, segment=segment)
    return stretch(
        replace(blank, watched=watched), settings, 0, steps, why=f"{settings.epochs:g} passes are enough"
    )


def stretch(plan: Plan, settings: Settings, at_step: int, steps: int, *, why: str, rarely: int = 1) -> Plan:
    """The plan with its end moved to `steps`; warm-up, decay and evaluations move with it.

    Args:
        plan: The plan so far.
        settings: How to learn.
        at_step: Where the new one begins.
        steps: Where it ends.
        why: The reason.
        rarely: Steps that lie between evaluations at least.
    """
    decay_from = steps - round(settings.decay * steps)
    return replace(
        plan,
        revision=plan.revision + (plan.steps > 0),
        at_step=at_step,
        steps=steps,
        warmup=_warmup(plan, settings, at_step, steps),
        decay_from=max(at_step, decay_from),
        evaluate_every=max(1, min(steps, max(rarely, steps // settings.evaluations))),
        why=why,
    )


def _warmup(plan: Plan, settings: Settings, at_step: int, steps: int) -> int:
    """Steps over which the rate rises; one under way is shortened with its plan, and jumps to half."""
    asked = max(1, round(settings.warmup * steps))
    return min(plan.warmup, max(asked, 2 * at_step)) if plan.warmup else asked


@dataclass
class Measured:
    """Shortens the plan to what the seconds hold, and ends learning that no longer learns.

    Attributes:
        settings: How to learn.
        budget: Seconds that learning and what is measured after it may take; None reads no clock.
        enough: Steps of the first plan: no revision goes beyond it.
        after: What is measured after it.
    """

    settings: Settings
    budget: float | None
    enough: int
    after: After = field(default_factory=After)
    _mark: tuple[int, float] = field(default=(0, 0.0))
    _seen: tuple[int, float] = field(default=(0, 0.0))
    _late: float = field(default=0.0)
    _again: int = field(default=0)

    def due(self, step: int) -> bool:
        """Whether as much time may have passed as looks at the clock lie apart."""
        return self.budget is not None and step >= self._again

    def next(self, plan: Plan, progress: Progress) -> Plan | None:
        """The revision that time, overfitting or a probe asks for, or None."""
        revised = self._by_time(plan, progress)
        revised = self._by_history(revised, progress)
        if progress.probe:
            switches = {**revised.augment, **progress.probe}
            words = ", ".join(sorted(progress.probe))
            revised = self._revise(revised, plan, progress, f"{words} costs no accuracy", "measured")
            revised = replace(revised, augment=switches)
        return None if revised is plan else revised

    def repair(self, plan: Plan, step: int, kind: str) -> Plan:
        """The plan with half the rate, or half the examples at once."""
        return repair(plan, step, kind)

    def _by_time(self, plan: Plan, progress: Progress) -> Plan:
        step, seconds = progress.step, progress.seconds
        if self.budget is None or step < WARM or step >= plan.steps:
            return plan
        pace = self._pace(step, seconds - progress.looking)
        if pace is None:
            return plan
        look = progress.looking / max(1, progress.looks)
        left = max(0.0, self.budget - seconds - self.after.seconds(look))
        looks = min(EVALUATING * left, look * self.settings.evaluations * (1 - step / plan.steps))
        fits = min(self.enough, max(step + 1, step + int((left - looks) / pace)))
        decaying = step >= plan.decay_from
        short, long = fits < plan.steps * (0.99 if decaying else 0.97), fits > plan.steps * 1.05
        if not short and (not long or (decaying and plan.steps - step < GROWS * plan.steps)):
            return plan
        words = f"{seconds + left:.1f} s of learning hold {fits:,} steps"
        if decaying:  # the fall has begun: its end moves, its start stays
            return replace(self._revise(plan, plan, progress, words, "measured"), steps=fits)
        rarely = math.ceil(look * (1 - EVALUATING) / (EVALUATING * pace))
        return replace(stretch(plan, self.settings, step, fits, why=words, rarely=rarely), by="measured")

    def _pace(self, step: int, seconds: float) -> float | None:
        """Seconds a step without evaluations, where enough time has passed since the last look at the clock."""
        assert self.budget is not None
        if self._seen[0] == 0:  # the first steps warm up caches: they do not say what a step costs
            self._mark = self._seen = (step, seconds)
        steps, passed = step - self._seen[0], seconds - self._seen[1]
        if passed < LOOK * self.budget or steps < WARM:  # steps may grow longer: half of what is left
            self._again = step + max(1, int(steps * (LOOK * self.budget / max(passed, 1e-9) - 1) / 2))
            return None
        self._again = step + 1
        self._seen = (step, seconds)
        self._late += (passed / steps - self._late) * (FRESH if self._late else 1.0)
        # A slow start must not cut the plan short for good, nor must a hiccup: the better of both counts.
        return max(1e-7, min(self._late, (seconds - self._mark[1]) / (step - self._mark[0])))

    def _by_history(self, plan: Plan, progress: Progress) -> Plan:
        stale = progress.evaluated and progress.history.stale >= self.settings.patience
        step = progress.step
        if not stale or step >= plan.steps:
            return plan
        words = f"no better validation loss since step {progress.history.best_step:,}"
        if step >= plan.decay_from:
            done = self._revise(plan, plan, progress, words, "derived")
            return replace(done, steps=step)
        end = min(plan.steps, round(step / (1 - COOL_DOWN)))
        cooled = self._revise(plan, plan, progress, words, "derived")
        return replace(cooled, steps=max(step + 1, end), decay_from=step)

    def _revise(self, plan: Plan, old: Plan, progress: Progress, why: str, by: str) -> Plan:
        joined = why if plan is old else f"{plan.why}; {why}"
        revision = old.revision + 1
        return replace(plan, revision=revision, at_step=progress.step, why=joined, by=by)  # type: ignore[arg-type]


class Replay:
    """Plans of an earlier run, given again at the steps they name; no clock until they are used up."""

    def __init__(self, plans: Iterable[Plan], then: Planner | None = None) -> None:
        self._plans = deque(plans)
        self._then = then

    def due(self, step: int) -> bool:
        """Whether a recorded revision holds from this step on, or the live planner asks for it."""
        if self._plans:
            return self._plans[0].at_step <= step
        return self._then is not None and self._then.due(step)

    def next(self, plan: Plan, progress: Progress) -> Plan | None:
        """The recorded revision of this step; after the last one the live planner's word."""
        if self._plans:
            at_hand = self._plans[0].at_step <= progress.step
            return self._plans.popleft() if at_hand else None
        return self._then.next(plan, progress) if self._then else None

    def repair(self, plan: Plan, step: int, kind: str) -> Plan:
        """The recorded repair of this step, or the same repair made again."""
        if self._plans and self._plans[0].at_step == step:
            return self._plans.popleft()
        return repair(plan, step, kind)


def repair(plan: Plan, step: int, kind: str) -> Plan:
    """The plan with half the rate ("rate"), or half the examples at once ("memory")."""
    old = plan.segment
    if kind == "rate":
        segment = replace(old, from_step=step, rate=old.rate / 2)
        why = f"the loss was not finite at step {step:,}: half the rate"
    else:
        segment = replace(old, from_step=step, accumulate=old.accumulate * 2)
        why = f"out of memory at step {step:,}: half the examples at once, gradients added up"
    return replace(plan, revision=plan.revision + 1, at_step=step, segment=segment, why=why, by="measured")
