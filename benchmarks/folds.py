"""Time of cross-validation with 8 folds over that of one fold's network alone, at equal settings and passes.

    taskset -c 1 python benchmarks/folds.py [ROUNDS]

One is what `netwright` does without `--folds`: an ordinary network on the rows that one fold learns from, in
its loop, evaluations on validation rows included. Eight is one batched network for all folds. Both learn on one
thread for as many steps; the times are processor seconds (other work on the machine does not count),
alternating, and the ratio is the median of those of the rounds. Sets are scikit-learn's; adult (32,561 rows) is
read from the folder named by FOLDS_ADULT, where there is one.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import torch
from sklearn import datasets

from netwright import abreast, folds, prepare, request, training
from netwright.data.packed import Packed, Part
from netwright.learning import machine, planning
from netwright.learning.loop import learn

COUNT = 8


@dataclass(frozen=True)
class Case:
    """A table and the settings of a network; `members` are those of each fold."""

    name: str
    frame: pl.DataFrame
    task: str
    batch: int
    members: int = 1
    embedding: str = "piecewise"
    width: int = 64
    steps: int = 200


def scikit(name: str) -> pl.DataFrame:
    """One of scikit-learn's tables."""
    data = getattr(datasets, f"load_{name}")()
    cells = {f"c{place}": column for place, column in enumerate(data.data.T)}
    return pl.DataFrame(cells).with_columns(pl.Series("target", data.target))


def cases() -> Iterator[Case]:
    """Small networks on small tables."""
    cancer, wine, diabetes, digits = (scikit(name) for name in ("breast_cancer", "wine", "diabetes", "digits"))
    for embedding in ("none", "piecewise"):
        yield Case("wine, 13 columns", wine, "classify", 32, embedding=embedding)
        yield Case("breast cancer, 30 columns", cancer, "classify", 32, embedding=embedding)
        yield Case("diabetes, 10 columns", diabetes, "regress", 32, embedding=embedding)
        yield Case("digits, 64 columns", digits, "classify", 32, embedding=embedding)
    yield Case("diabetes, 10 columns", diabetes, "regress", 256)
    yield Case("breast cancer, 30 columns", cancer, "classify", 32, members=8)
    where = os.environ.get("FOLDS_ADULT")
    if where:
        adult = pl.read_csv(Path(where) / "train.csv").rename({"income": "target"})
        yield Case("adult, 14 columns", adult, "classify", 256, embedding="none")
        yield Case("adult, 14 columns", adult, "classify", 256, width=128)


def times(case: Case) -> tuple[Callable[[], float], Callable[[], float]]:
    """What trains one network, and what trains eight; each gives its processor seconds."""
    asked = folds.asked_of_all(request.make({"target": "target", "task": case.task, "folds": COUNT}))
    prepared = prepare.prepare(case.frame, asked)
    rows = prepared.split.train
    crossed = folds.cross(prepared, asked, training.part(prepared, rows, learn=True))
    config = {
        "depth": 2,
        "width": case.width,
        "members": case.members,
        "dropout": 0.0,
        "embedding": case.embedding,
    }
    fewest = min(len(crossed.folds.train(fold)) for fold in crossed.folds)
    settings = training.Settings(
        lr=0.004,
        weight_decay=0.02,
        batch=case.batch,
        epochs=case.steps / (fewest // case.batch),
        ema=0.98,
        patience=10**9,
        threads=1,
    )
    own, task = crossed.inputs[0], crossed.tasks[0]

    def part(places: object) -> Part:
        some = rows[places]
        target = Packed(task.encode(prepared.target(some)))
        return Part(inputs=own.encode(prepared.decoded, some), target=target)

    select, train = part(crossed.folds.select(0)), part(crossed.folds.train(0))
    job = training.Job(network="feedforward", config=config, settings=settings, seed=0, live=False)

    def one() -> float:
        began = time.process_time()
        built = training.network(job, replace(prepared.spec, inputs=own.fields()), task)
        trainee = training.NetworkTrainee(built, task, select)
        batches = training.feed(prepared, train, 0)
        plan = planning.first(settings, fewest // case.batch)
        events = learn(trainee, batches, planning.Replay([]), plan, settings=settings, seed=0)
        training.drain(events, lambda event: None)
        return time.process_time() - began

    def eight() -> float:
        began = time.process_time()
        together = replace(job, config={**config, "folds": COUNT})
        abreast.train_all(together, prepared, crossed, lambda event: None)
        return time.process_time() - began

    return one, eight


def main() -> None:
    """Prints a table in Markdown."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(
        f"| table | numbers | width | members | batch | ms a step, one | {COUNT} folds | ratio (least-most) |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for case in cases():
        with machine.arithmetic(1):
            one, eight = times(case)
            one(), eight()
            found = [(one(), eight()) for _ in range(rounds)]
        ratios = [together / alone for alone, together in found]
        each = [1e3 * statistics.median(column) / case.steps for column in zip(*found, strict=True)]
        print(
            f"| {case.name} | {case.embedding} | {case.width} | {case.members} | {case.batch} | {each[0]:.2f} "
            f"| {each[1]:.2f} | {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) |",
            flush=True,
        )
    print(f"\n{rounds} rounds, one thread, torch {torch.__version__}")


if __name__ == "__main__":
    main()
