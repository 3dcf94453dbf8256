"""Ways to do the sums: tried in turns, the fastest kept, all of it in plans that can be replayed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from netwright.base.schema import Plan
from netwright.learning import planning
from netwright.learning.planning import Progress
from netwright.learning.stopping import History
from netwright.learning.trainee import Settings
from netwright.learning.tuning import ROUNDS, Tuned, Way, ways
from netwright.networks.parts.dropout import Dropout

SETTINGS = Settings(batch=16, epochs=1.0)


class Silent:
    """A planner without a word of its own, which counts how often it was asked."""

    asked = 0

    def due(self, step: int) -> bool:
        return False

    def next(self, plan: Plan, progress: Progress) -> Plan | None:
        self.asked += 1
        return None

    def repair(self, plan: Plan, step: int, kind: str) -> Plan:
        return planning.repair(plan, step, kind)


def played(
    costs: dict[Way, float], *, steps: int = 10_000, budget: float = 1e4, work: tuple[int, ...] = (100,)
) -> tuple[Plan, list[Plan], Tuned]:
    """A run in which a unit of work takes each way so many seconds: the last plan, all, and the tuner."""
    then = Silent()
    tuner = Tuned(tuple(costs), budget, then)
    plan = planning.first(SETTINGS, steps)
    plans, seconds, done = [plan], 0.0, 0
    for step in range(1, 400):
        segment = plan.segment
        way = Way(segment.threads, segment.shares) if segment.threads else next(iter(costs))
        size = work[step % len(work)]
        seconds, done = seconds + costs[way] * size, done + size
        progress = Progress(step, seconds, History(), work=done)
        while (revised := tuner.next(plan, progress)) is not None:
            plan = revised
            plans.append(plan)
    return plan, plans, tuner


ONE, TWO, PARTS = Way(1), Way(2), Way(2, 2)


@pytest.mark.parametrize("best", [ONE, TWO, PARTS])
def test_the_fastest_is_kept(best: Way) -> None:
    costs = {way: 0.8e-3 if way == best else 1e-3 for way in (TWO, ONE, PARTS)}
    last, plans, tuner = played(costs)
    assert Way(last.segment.threads, last.segment.shares) == best
    assert not last.segment.trial
    assert str(best) in last.why
    assert "80 ms" in tuner.told
    assert len(plans) == 1 + 3 * ROUNDS + 1
    assert [plan.revision for plan in plans] == list(range(len(plans)))


def test_a_little_faster_is_not_worth_a_change() -> None:
    last, _, _ = played({TWO: 1e-3, ONE: 0.98e-3})
    assert last.segment.threads == 2


def test_long_examples_do_not_count_against_the_way_they_met() -> None:
    last, _, _ = played({TWO: 1e-3, ONE: 0.8e-3}, work=(100, 37, 500, 20, 90))
    assert last.segment.threads == 1


def test_what_ends_soon_is_not_tried() -> None:
    last, plans, tuner = played({TWO: 1e-3, ONE: 0.8e-3}, steps=150)
    assert len(plans) == 1
    assert last.segment.threads == 0
    assert not tuner.told
    assert tuner.then.asked > 300  # type: ignore[attr-defined]


def test_steps_too_long_for_turns_are_tried_once() -> None:
    last, plans, _ = played({TWO: 5e-2, ONE: 1e-3, PARTS: 2e-3}, budget=120.0)
    assert last.segment.threads == 1
    assert last.segment.from_step < 10
    assert sum(plan.segment.trial for plan in plans) == 2


def test_trials_take_a_small_share_of_the_time() -> None:
    _, plans, _ = played({TWO: 1e-3, ONE: 1e-3}, budget=30.0)
    trials = [plan.at_step for plan in plans if plan.segment.trial]
    assert not trials or (trials[-1] - trials[0]) * 0.1 <= 0.03 * 30


def test_a_run_that_goes_on_keeps_its_way() -> None:
    tuner = Tuned((TWO, ONE), 1e4, Silent())
    plan = planning.first(SETTINGS, 10_000)
    kept = replace(plan, segment=replace(plan.segment, threads=1, shares=1))
    for step in range(100, 200):
        assert tuner.next(kept, Progress(step, step * 0.1, History(), work=step)) is None


def test_a_run_killed_on_trial_tries_again() -> None:
    tuner = Tuned((TWO, ONE), 1e4, Silent())
    plan = planning.first(SETTINGS, 10_000)
    plan = replace(plan, segment=replace(plan.segment, threads=1, shares=1, trial=True))
    for step in range(100, 200):
        seconds = step * (0.1 if plan.segment.threads == 2 else 0.2)
        plan = tuner.next(plan, Progress(step, seconds, History(), work=step)) or plan
    assert not plan.segment.trial


def test_the_ways_begin_with_what_the_family_asks_for() -> None:
    plain = nn.Sequential(nn.Linear(2, 2), Dropout(0.1))
    assert ways(plain, SETTINGS, 2) == (TWO, ONE, PARTS)
    assert ways(plain, replace(SETTINGS, threads=1), 2) == (ONE, TWO, PARTS)
    assert ways(plain, replace(SETTINGS, threads=2, shares=2), 2)[0] == PARTS
    assert ways(plain, SETTINGS, 1) == (ONE,)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(2), nn.Dropout(0.1)])
def test_what_cannot_be_divided_is_not_tried_in_parts(layer: nn.Module) -> None:
    found = ways(nn.Sequential(nn.Linear(2, 2), layer), replace(SETTINGS, shares=2), 4)
    assert all(way.shares == 1 for way in found)
    assert torch.get_num_threads() >= 1
