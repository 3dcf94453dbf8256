"""A run with folds from its data to its end: learn all at once, then measure each row by its own fold.

The model that is left is the mean of all folds' networks. What is measured are the single networks, each on the
rows that it never saw: of the mean no row is left to measure, and it is seldom worse than they are.
Probabilities and intervals are calibrated twice: for each fold by its validation rows alone, which is what is
measured; and for the model by the validation rows of all folds together.
"""

# S = folds, M = members of a fold, K = S * M, N = rows, O = outputs

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from netwright import abreast, folds, linear, outcome, recipe, training
from netwright.base.schema import Choice, Event
from netwright.data.packed import Packed, Part
from netwright.learning import planning
from netwright.tasks.network import Network, outputs
from netwright.tasks.task import Rival
from netwright.training import Job, Trained

if TYPE_CHECKING:
    import polars as pl

    from netwright.base.schema import Recipe
    from netwright.folds import Crossed
    from netwright.outcome import Folder, Run
    from netwright.prepare import Prepared
    from netwright.request import Request
    from netwright.tasks.task import AbstractTask

LOOKED_AT = 5e-5
"""Seconds that one network takes to answer and measure a row, about."""


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """What networks, and simpler means, make of rows that none of them saw; a row of a frame is a row.

    Attributes:
        task: The task of the model: calibrated.
        validated: The watched metric on validation rows.
        statistics: What metrics reduce.
        answers: Predictions.
        uncalibrated: The same statistics before calibration.
        rivals: Simpler means on the same rows.
    """

    task: AbstractTask
    validated: float
    statistics: pl.DataFrame
    answers: pl.DataFrame
    uncalibrated: pl.DataFrame
    rivals: Sequence[Rival]


def run(
    prepared: Prepared,
    asked: Request,
    folder: Folder,
    older: Recipe | None,
    tell: Callable[[Event], None],
    *,
    job: Job,
) -> Run:
    """Networks of all folds, out-of-fold measures, card and model.

    Args:
        prepared: The data, all rows of them to learn from, and what was decided so far.
        asked: What the user asked for.
        folder: Where the run goes.
        older: The recipe that is repeated, if any.
        tell: Takes the events.
        job: What each network is and how it learns.

    Raises:
        DataError: If there are too few rows for so many folds.
        RecipeError: If the data have no rows that can be tested in turn.
    """
    whole, choices = training.part(prepared, prepared.split.train, learn=True), prepared.choices
    crossed = folds.cross(prepared, asked, whole)
    read_seconds = time.monotonic() - asked.started
    folder.begin(prepared, asked, choices)
    for name, choice in choices.items():
        tell(Event(type="choice", data={"name": name, **vars(choice)}))
    count = crossed.folds.count
    simple = linear.job_for(prepared, asked.seed, asked.minutes)
    simple = replace(simple, config={**simple.config, "folds": count})
    rival = best = abreast.train_all(simple, prepared, crossed, lambda event: None)
    if rival.ended["reason"] != "interrupted":
        job = replace(
            job,
            plans=folder.recorded_plans() or (recipe.plans_of(older) if older else ()),
            live=older is None,
            device=asked.device,
            budget=outcome.budget(asked, folder, prepared.task.settling),
            after=planning.After(guess=LOOKED_AT * count * len(whole.target)),
        )
        best = abreast.train_all(job, prepared, crossed, tell)
    done = best.ended["reason"] != "interrupted"
    unseen = _measured(prepared.task, crossed, best, rival) if done else None
    _onto(best.network, prepared.task, crossed)
    nothing = Part(
        inputs={key: x.some(NOBODY) for key, x in whole.inputs.items()}, target=whole.target.some(NOBODY)
    )
    rows, fold = crossed.folds.rows, crossed.folds
    split = replace(
        prepared.split,
        train=rows[fold.train(0)],
        select=rows[fold.select(0)],
        test=rows,
        why=f"{count} parts tested in turn ({asked.split}, seed {asked.seed})",
    )
    by: Literal["user", "derived"] = "user" if asked.folds else "derived"
    return outcome.finish(
        outcome.Ending(
            prepared=replace(prepared, split=split),
            asked=asked,
            choices={**choices, "data.split": Choice(value="folds", why=split.why, by=by)},
            best=best,
            linear=None,
            parts={"train": whole, "select": nothing, "calibrate": nothing},
            read_seconds=read_seconds,
            folder=folder,
            unseen=unseen,
        ),
        tell,
    )


NOBODY = torch.zeros(0, dtype=torch.int64)


def _measured(task: AbstractTask, crossed: Crossed, best: Trained, rival: Trained) -> Unseen:
    """Each row by the network of the fold that tests it, calibrated on that fold's validation rows."""
    import polars as pl

    output_SMNO = _outputs(best.network, crossed)
    tested = list(_folds(crossed, output_SMNO))
    targets = [Packed(crossed.target_SN[fold][crossed.folds.test(fold)]) for fold in crossed.folds]
    order = np.argsort(np.concatenate([crossed.folds.test(fold) for fold in crossed.folds]), kind="stable")

    def in_order(frames: Iterator[pl.DataFrame]) -> pl.DataFrame:
        return pl.concat(list(frames))[order]

    blind = [
        each.blind(Packed(crossed.target_SN[fold][crossed.folds.train(fold)]), targets[fold])
        for fold, each, _ in tested
    ]
    simple = [
        each.statistics(output, targets[fold])
        for fold, each, output in _folds(crossed, _outputs(rival.network, crossed))
    ]
    output_MRO, target_R = _validation(task, crossed, output_SMNO)
    return Unseen(
        task=task.calibrate(output_MRO, target_R) if task.calibrates else task,
        validated=task.watch(output_MRO, target_R)["score"],
        statistics=in_order(each.statistics(output, targets[fold]) for fold, each, output in tested),
        answers=in_order(each.answer(output) for _, each, output in tested),
        uncalibrated=in_order(
            crossed.tasks[fold].statistics(output, targets[fold]) for fold, _, output in tested
        ),
        rivals=(
            Rival(*task.blind_words, in_order(each.statistics for each in blind)),
            Rival("linear", "a linear model", in_order(iter(simple))),
        ),
    )


def _outputs(network: Network, crossed: Crossed) -> Tensor:
    """(S, M, N, O) of all rows, on the scale of each fold's task."""
    output_KNO = outputs(network, crossed.whole.inputs)
    return output_KNO.view(crossed.folds.count, -1, *output_KNO.shape[1:])


def _folds(crossed: Crossed, output_SMNO: Tensor) -> Iterator[tuple[int, AbstractTask, Tensor]]:
    """Each fold, its task as its validation rows calibrate it, and its outputs for the rows that it tests."""
    for fold, own in enumerate(crossed.tasks):
        held, tested = crossed.folds.select(fold), crossed.folds.test(fold)
        output_MNO = output_SMNO[fold]
        task = own.calibrate(output_MNO[:, held], crossed.target_SN[fold][held]) if own.calibrates else own
        yield fold, task, output_MNO[:, tested]


def _validation(task: AbstractTask, crossed: Crossed, output_SMNO: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (M, R, O) and targets (R,) of the validation rows of all folds, on the scale of all rows."""
    found = []
    for fold, own in enumerate(crossed.tasks):
        held = crossed.folds.select(fold)
        some = output_SMNO[fold][:, held].unsqueeze(0), crossed.target_SN[fold][held].unsqueeze(0)
        found.append(abreast.pooled(task, [own], *some))
    return torch.cat([output for output, _ in found], dim=1), torch.cat([target for _, target in found])


def _onto(network: Network, task: AbstractTask, crossed: Crossed) -> None:
    """The heads of all folds from the scale of each to the one scale of the model."""
    weight_KDO, bias_KO = network.head.get_parameter("weight_KDO"), network.head.get_parameter("bias_KO")
    each = len(weight_KDO) // crossed.folds.count
    with torch.no_grad():
        for fold, own in enumerate(crossed.tasks):
            ratio, shift = own.onto(task)
            members = slice(fold * each, (fold + 1) * each)
            weight_KDO[members].mul_(ratio)
            bias_KO[members].mul_(ratio).add_(shift)
