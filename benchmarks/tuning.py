"""What the short trials choose, beside the best of all ways, each measured for long.

    NETWRIGHT_DATA=… python benchmarks/tuning.py [ROUNDS] [SET:FAMILY …]

For each set and family: milliseconds a step of each way (threads, parts of a batch side by side), the median
over rounds that take turns; what a run chooses by its trials, or by its rule where it is too short for them;
and by how much that is slower than the best.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from command import prepared as laid_out
from netwright import request, training
from netwright.base.schema import Plan
from netwright.data.batches import TensorFeed
from netwright.learning import machine, planning
from netwright.learning.loop import learn
from netwright.learning.planning import Progress
from netwright.learning.tuning import Tuned, Way, ways
from netwright.prepare import Prepared, prepare
from netwright.trainees import NetworkTrainee

MINUTES, SECONDS, WARM = 2.0, 2.0, 0.25
"""Of the run whose choice is asked for; of a turn of one way, of which so large a share warms up."""
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "adult:feedforward": ("train.csv", {"target": "income"}),
    "bike_sharing:feedforward": ("hour.csv", {"target": "cnt", "drop": ("casual", "registered")}),
    "mnist:convolutional": (".", {}),
    "mnist:feedforward": (".", {}),
    "clinc150:feedforward": ("train.csv", {"target": "intent"}),
    "clinc150:recurrent": ("train.csv", {"target": "intent"}),
    "clinc150:transformer": ("train.csv", {"target": "intent"}),
    "tinyshakespeare:recurrent": ("input.txt", {}),
    "tinyshakespeare:transformer": ("input.txt", {}),
    "ett:recurrent": ("ETTh1.csv", {"horizon": 96}),
    "fsdd:convolutional": (".", {"target": "label", "drop": ("speaker",)}),
    "tatoeba_nld_eng:transformer": ("pairs.csv", {"target": "dutch"}),
}


@dataclass
class Clock:
    """Lets steps pass for a while, and notes how long they take."""

    seconds: float
    moments: list[tuple[float, int]] = field(default_factory=list)

    def due(self, step: int) -> bool:
        """Each step is noted."""
        return True

    def next(self, plan: Plan, progress: Progress) -> Plan | None:
        """The end of the plan, once the time is over."""
        self.moments.append((progress.seconds - progress.looking, progress.work))
        over = progress.seconds > self.seconds and len(self.moments) > 4 and plan.steps > progress.step
        return replace(plan, steps=progress.step, revision=plan.revision + 1) if over else None

    def repair(self, plan: Plan, step: int, kind: str) -> Plan:
        """As ever."""
        return planning.repair(plan, step, kind)

    def cost(self) -> float:
        """Seconds a unit of work, without the steps that warm up."""
        first = max(1, int(WARM * len(self.moments)))
        (began, before), (ended, after) = self.moments[first], self.moments[-1]
        return (ended - began) / (after - before)


@dataclass
class Case:
    """Data and a family, ready to learn again and again."""

    prepared: Prepared
    parts: dict[str, Any]
    job: training.Job

    def new(self) -> tuple[NetworkTrainee, TensorFeed]:
        """A new network, and its batches."""
        made = training.network(self.job, self.prepared.spec, self.prepared.task)
        few = self.parts["select"].at_most(64)
        return NetworkTrainee(made, self.prepared.task, few), training.feed(
            self.prepared, self.parts["train"], 0
        )

    def cost(self, way: Way) -> float:
        """Seconds a unit of work, this way."""
        trainee, batches = self.new()
        settings = replace(self.job.settings, threads=way.threads, shares=way.shares, evaluations=1)
        plan = planning.first(replace(settings, epochs=1e6), batches.steps_per_epoch(settings.batch))
        clock = Clock(SECONDS)
        with machine.arithmetic(way.threads):
            for _ in learn(trainee, batches, clock, plan, settings=settings, seed=0):
                pass
        return clock.cost()

    def chosen(self) -> tuple[Way, str]:
        """What a run chooses, and by what."""
        trainee, batches = self.new()
        settings = self.job.settings
        plan = planning.first(settings, batches.steps_per_epoch(settings.batch))
        asked = ways(trainee.module, settings, machine.cores())
        tuner = Tuned(asked, 60.0 * MINUTES, planning.Measured(settings, 60.0 * MINUTES, plan.steps))
        with machine.arithmetic(settings.threads):
            for _ in self._until_chosen(learn(trainee, batches, tuner, plan, settings=settings, seed=0), tuner):
                pass
        return (self._kept or asked[0]), ("trials" if tuner.told else "rule")

    _kept: Way | None = None

    def _until_chosen(self, events: Iterator[Any], tuner: Tuned) -> Iterator[Any]:
        self._kept = None
        for event in events:
            yield event
            segment = event.data["segment"] if event.type == "plan" else None
            if segment and tuner.told and not segment["trial"]:
                self._kept = Way(segment["threads"], segment["shares"])
                return
            if event.type == "step" and not tuner.told and event.seconds > 5.0:
                return  # it is not going to try


def case(name: str, folder: Path) -> Case:
    """The data of a case, read and encoded."""
    data, family = name.split(":")
    file, asked = CASES[name]
    source = folder / data if (folder / data).exists() else laid_out(data, folder / data)
    asked = {**asked, "minutes": MINUTES, "network": family}
    made = prepare(source / file, request.make(asked))
    parts = training.parts(made)
    made = replace(made, examples=len(parts["train"].target))
    choices = {**made.choices, **training.derive(family, made.spec, MINUTES, machine.cores())}
    return Case(made, parts, training.job_from(choices, family, made.spec, 0))


def main() -> None:
    """Prints a table in Markdown."""
    import tempfile

    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print("| set, family | ms a step of mean size, each way | chosen | by | slower than the best by |")
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[2:] or CASES:
            made = case(name, Path(folder))
            trainee, batches = made.new()
            tried = ways(trainee.module, made.job.settings, machine.cores())
            found: dict[Way, list[float]] = {way: [] for way in tried}
            for turn in range(rounds):
                for way in tried if turn % 2 else reversed(tried):
                    found[way].append(made.cost(way))
            middle = {way: statistics.median(costs) for way, costs in found.items()}
            kept, by = made.chosen()
            work = sum(
                x.numel() for x in batches.take(batches.order(0, made.job.settings.batch)[0]).inputs.values()
            )
            words = ", ".join(f"{way} {1e3 * cost * work:.3g}" for way, cost in middle.items())
            slower = middle[kept] / min(middle.values()) - 1.0
            print(f"| {name.replace(':', ', ')} | {words} | {kept} | {by} | {slower:.1%} |", flush=True)


if __name__ == "__main__":
    main()
