"""How sums are done, chosen by short trials: threads within each sum, or parts of a batch side by side.

Steps of a trial are steps like any other, in plans that are written down; only their times are compared.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from netwright.base.schema import Plan
from netwright.learning import machine
from netwright.learning.planning import After, Measured, Planner, Progress
from netwright.learning.sharing import divisible
from netwright.learning.trainee import Settings

AT_LEAST = 20.0
"""Seconds of learning for which it pays to try: what takes less is the same each time that it is run."""
SHARE, MOST = 0.03, 20.0
"""Of the seconds that are left, and seconds, that trials may take."""
ROUNDS = 4
"""Turns that each way has, the first of which warms up and does not count."""
MOMENT = 0.04
"""Seconds of a turn at least: it has as many steps as they hold."""
FIRST, SLOW = 3, 2.0
"""Steps, or seconds, that tell how long steps take, after one step that warms up."""
RESCUE = 0.25
"""Share of the seconds left that one step of each other way may take where steps are too long for turns."""
BETTER = 0.03
"""Share of the time by which another way must be faster than the one that the family asks for."""


@dataclass(frozen=True)
class Way:
    """Threads in all, and the parts of a batch that they divide among them."""

    threads: int
    shares: int = 1

    def __str__(self) -> str:
        if self.shares > 1:
            return f"{self.shares} parts side by side"
        return "1 thread" if self.threads == 1 else f"{self.threads} threads"


def ways(module: nn.Module, settings: Settings, cores: int, *, parts: bool = True) -> tuple[Way, ...]:
    """What may be tried on a CPU, first what the settings ask for; nothing elsewhere.

    Args:
        module: Parts of a batch may learn side by side only where they share no statistics.
        settings: How to learn.
        cores: Threads that there may be.
        parts: Whether several threads may go through the module at once.
    """
    if next(module.parameters()).device.type != "cpu":
        return ()
    parts = parts and divisible(module)
    asked = Way(settings.threads or cores, settings.shares if parts else 1)
    found = [asked, *(Way(threads) for threads in (cores, cores // 2, 1) if threads)]
    if parts:
        most = min(cores, settings.batch)
        found += [Way(cores, shares) for shares in (most, most // 2) if shares > 1]
    return tuple(dict.fromkeys(found))


def planner(
    module: nn.Module,
    settings: Settings,
    budget: float | None,
    steps: int,
    *,
    after: After | None = None,
    fixed: bool = False,
    parts: bool = True,
) -> Planner:
    """What watches the clock, and tries ways to do the sums first where a clock is read.

    Args:
        module: What learns.
        settings: How.
        budget: Seconds that learning and what is measured after it may take; None reads no clock.
        steps: Steps of the first plan.
        after: What is measured after it.
        fixed: Whether threads or parts were set by hand.
        parts: Whether several threads may go through the module at once.
    """
    measured = Measured(settings, budget, steps, after or After())
    if budget is None or fixed:
        return measured
    return Tuned(ways(module, settings, machine.cores(), parts=parts), budget, measured)


@dataclass
class Tuned:
    """Tries the ways in turns, keeps the fastest, and leaves all else to another planner.

    Attributes:
        ways: What is tried; the first is what learning begins with.
        budget: Seconds that learning may take.
        then: The other.
        told: What was measured, in words; "" where nothing was.
    """

    ways: Sequence[Way]
    budget: float
    then: Planner
    told: str = ""
    _why: str = ""
    _ended: bool = False
    _begun: tuple[int, float] | None = None
    _turns: deque[Way] = field(default_factory=deque)
    _per: int = 0
    _until: int = 0
    _mark: tuple[float, int] = (0.0, 0)
    _costs: dict[Way, list[float]] = field(default_factory=dict)
    _work: float = 0.0

    def due(self, step: int) -> bool:
        """Whether trials are not over, or the other planner asks for it."""
        return not self._ended or self.then.due(step)

    def next(self, plan: Plan, progress: Progress) -> Plan | None:
        """The plan of the next turn, at last that of the fastest way; else the other planner's word."""
        if not self._ended:
            revised = self._turn(plan, progress) if self._turns else self._start(plan, progress)
            if revised is not None:
                return revised
        if self._turns and not progress.evaluated:
            return None  # steps of trials do not say how fast learning is
        return self.then.next(plan, progress)

    def repair(self, plan: Plan, step: int, kind: str) -> Plan:
        """The other planner's."""
        return self.then.repair(plan, step, kind)

    def _start(self, plan: Plan, progress: Progress) -> Plan | None:
        step, seconds = progress.step, progress.seconds - progress.looking
        if self._begun is None:
            resumed = step > 1 and not plan.segment.trial
            self._ended = len(self.ways) < 2 or resumed  # a run that goes on has chosen before
            self._begun = (step, seconds)
            return None
        steps, passed = step - self._begun[0], seconds - self._begun[1]
        if steps < FIRST and passed < SLOW:
            return None
        pace = max(1e-7, passed / steps)
        self._work = progress.work / (step - self._begun[0] + 1)
        left = min((plan.steps - step) * pace, self.budget - progress.seconds)
        if left >= AT_LEAST and self._affords(pace, left):
            self._why = plan.why
            return self._taking(plan, progress)
        self._ended = True
        return self._taken(plan, step, self.ways[0], plan.why) if plan.segment.trial else None

    def _affords(self, pace: float, left: float) -> bool:
        """Lays out the turns that the seconds left afford, and says whether there are any."""
        self._per = max(1, math.ceil(MOMENT / pace))
        rounds = min(ROUNDS, int(min(SHARE * left, MOST) / (len(self.ways) * self._per * pace)))
        for number in range(rounds if rounds > 1 else 0):
            self._turns.extend(self.ways if number % 2 == 0 else reversed(self.ways))
        if not self._turns and (len(self.ways) - 1) * pace <= RESCUE * left:
            self._per = 1  # so long a step may be long for how it is done: one of each other way tells
            self._turns.extend(self.ways[1:])
            self._costs[self.ways[0]] = [pace / self._work]
        return bool(self._turns)

    def _turn(self, plan: Plan, progress: Progress) -> Plan | None:
        if progress.step < self._until:
            return None
        way = self._turns.popleft()
        seconds, work = self._mark
        passed = progress.seconds - progress.looking - seconds
        self._costs.setdefault(way, []).append(passed / max(1, progress.work - work))
        if self._turns:
            return self._taking(plan, progress)
        self._ended = True
        costs = {way: statistics.median(each[1:] or each) for way, each in self._costs.items()}
        best = min(costs, key=lambda way: costs[way])
        if costs[self.ways[0]] <= costs[best] * (1 + BETTER):
            best = self.ways[0]
        each = sorted(costs.items(), key=lambda item: item[1])
        self.told = ", ".join(f"{way} {1e3 * cost * self._work:.3g} ms" for way, cost in each) + " a step"
        return self._taken(plan, progress.step, best, f"{self._why}; {best}: {self.told}")

    def _taking(self, plan: Plan, progress: Progress) -> Plan:
        """The plan of the turn at hand."""
        way, step = self._turns[0], progress.step
        self._mark = (progress.seconds - progress.looking, progress.work)
        self._until = step + self._per
        return self._taken(plan, step, way, f"{self._why}; {way} on trial", trial=True)

    def _taken(self, plan: Plan, step: int, way: Way, why: str, *, trial: bool = False) -> Plan:
        """The plan with its steps done this way from now on."""
        found = replace(plan.segment, from_step=step, threads=way.threads, shares=way.shares, trial=trial)
        return replace(plan, revision=plan.revision + 1, at_step=step, segment=found, why=why, by="measured")
