"""THE STORY: data -> task -> network -> learning -> card -> model. Read this first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright import folds, larger, outcome, recipe, request, shrinkage, training, unseen
from netwright import linear as rival
from netwright.base.schema import Choice, Event, Finding
from netwright.learning import checkpoint, machine
from netwright.outcome import Run
from netwright.prepare import Prepared, prepare
from netwright.request import Request

if TYPE_CHECKING:
    from netwright.base.schema import Recipe
    from netwright.data.packed import Part
    from netwright.outcome import Folder
    from netwright.training import Trained

Listen = Callable[[Event], None]
BESIDE = 0.05
"""Share of the minutes that simpler means may take."""


def train(source: Any, *, listen: Listen | None = None, **settings: Any) -> Run:
    """Data to a trained, measured, saved network.

    Args:
        source: A path, a polars or pandas frame, a dict of columns, or arrays.
        listen: Called with each event as it happens.
        **settings: The fields of `Request`: `target="price"`, `minutes=2`, ...

    Returns:
        The run: `run.card`, `run.model`, `run.folder`.

    Raises:
        DataError: If the data cannot be used as they are.
        RecipeError: If a setting is wrong.
        LearningError: If training cannot go on.
    """
    asked = request.make(settings)
    recipe.check_names(asked.set)
    machine.device(asked.device)
    outcome.check_free(source, asked)
    with machine.arithmetic(0, bounded=asked.bytes is not None), outcome.open_folder(source, asked) as folder:
        prepared, older = _prepared(source, asked, folder)
        return _train(prepared, asked, folder, older, listen or _ignore)


def resume(run: Any, *, minutes: float | None = None, listen: Listen | None = None) -> Run:
    """Goes on where a run was interrupted or killed, to the same end, bit for bit.

    Args:
        run: The run folder.
        minutes: Minutes to add to those of the run.
        listen: Called with each event as it happens.

    Raises:
        RecipeError: If the folder is not a run, or the run has ended.
    """
    with outcome.reopen_folder(Path(run)) as folder:
        source, asked = folder.asked()
        asked = replace(asked, minutes=asked.minutes + (minutes or 0.0), started=time.monotonic())
        with machine.arithmetic(0, bounded=asked.bytes is not None):
            prepared, older = _prepared(source, asked, folder)
            folder.check_same_data(prepared)
            return _train(prepared, asked, folder, older, listen or _ignore)


def fit(source: Any, *, listen: Listen | None = None, **settings: Any) -> Run:
    """`train` without a run folder: nothing is written. What the estimators call."""
    asked = request.make(settings)
    recipe.check_names(asked.set)
    with machine.arithmetic(0, bounded=asked.bytes is not None):
        prepared = prepare(source, folds.asked_of_all(asked))
        return _train(prepared, asked, outcome.no_folder(), None, listen or _ignore)


def check(source: Any, **settings: Any) -> tuple[Finding, ...]:
    """What the checks say about the data, without training."""
    asked = request.make(settings)
    recipe.check_names(asked.set)
    return prepare(source, folds.asked_of_all(asked), store=False).findings


def _prepared(source: Any, asked: Request, folder: Folder) -> tuple[Prepared, Recipe | None]:
    """The data, and the recipe that is repeated: what it says of the task holds unless set by hand."""
    older = recipe.read(asked.recipe) if asked.recipe is not None else None
    folds.agree(asked, older)
    whole = folds.asked_of_all(asked)
    return prepare(source, replace(whole, set={**recipe.of_task(older), **asked.set}), folder.path), older


def _ignore(event: Event) -> None:
    pass


def _train(prepared: Prepared, asked: Request, folder: Folder, older: Recipe | None, listen: Listen) -> Run:
    """Network, learning, choice, calibration, test rows, card, model: in this order."""

    def tell(event: Event) -> None:
        folder.journal.write(event)
        listen(event)

    for finding in prepared.findings if not folder.resumed else ():
        tell(Event(type="finding", data=vars(finding)))
    if prepared.folds:
        return _folded(prepared, asked, folder, older, tell)
    parts = training.parts(prepared)
    prepared = replace(prepared, examples=len(parts["train"].target))
    family, choices = _choices(prepared, asked, older)
    job = training.job_from(choices, family, prepared.spec, asked.seed)
    prepared = prepared.with_settings(choices)
    read_seconds = time.monotonic() - asked.started
    folder.begin(prepared, asked, choices)
    task, for_steps = prepared.task, larger.for_steps(asked, prepared)
    linear = rival.train(prepared, parts, asked.seed, asked.minutes, for_steps if prepared.stored else None)
    settled: Mapping[str, Choice] = {}
    seconds = math.inf if older else BESIDE * 60.0 * asked.minutes  # a recipe says what was chosen
    memory, select = asked.bytes or machine.may_hold(), parts["select"]
    choices |= task.study(select.inputs, select.target, seconds=seconds, memory=memory)
    job = replace(
        job,
        folder=folder.checkpoints,
        resume=checkpoint.load(folder.checkpoints) if folder.checkpoints else None,
        plans=folder.recorded_plans() or (recipe.plans_of(older) if older else ()),
        live=older is None,
        memory=for_steps,
        device=asked.device,
        budget=outcome.budget(asked, folder, task.settling + rival.seconds_to_solve(linear)),
        after=outcome.after(asked, prepared, parts),
    )
    for name, choice in choices.items():
        tell(Event(type="choice", data={"name": name, **vars(choice)}))
    if linear and linear.ended["reason"] == "interrupted":
        best = linear
    else:
        start = linear if task.least_squares else None
        best = training.train_one(job, prepared, parts, tell, start=start)
        parts = best.watches(parts, training.WATCHED[task.needs])
        best, settled = shrinkage.towards_linear(best, start, prepared, parts)
    best, told = rival.chosen(linear, best, asked, prepared)
    best, found = _settled(prepared, best, parts, select)
    choices |= {recipe.OUTCOME + name: choice for name, choice in {**settled, **told, **found}.items()}
    return outcome.finish(
        outcome.Ending(
            prepared=prepared,
            asked=asked,
            choices=choices,
            best=best,
            linear=linear,
            parts=parts,
            read_seconds=read_seconds,
            folder=folder,
        ),
        tell,
    )


def _folded(
    prepared: Prepared, asked: Request, folder: Folder, older: Recipe | None, tell: Callable[[Event], None]
) -> Run:
    """The same where every row is tested in its turn."""
    prepared = replace(prepared, examples=folds.examples(prepared.folds, len(prepared.split.train)))
    family, choices = _choices(prepared, asked, older)
    choices = folds.decided(prepared.folds, asked, family, choices)
    prepared = replace(prepared, choices=choices).with_settings(choices)
    job = training.job_from(prepared.choices, family, prepared.spec, asked.seed)
    return unseen.run(prepared, asked, folder, older, tell, job=job)


def _settled(
    prepared: Prepared, best: Trained, parts: Mapping[str, Part], select: Part
) -> tuple[Trained, Mapping[str, Choice]]:
    """What validation rows take back of what is learned, tell beside it, and choose then."""
    best, drawn = shrinkage.towards_blind(best, prepared, parts)
    task, rows = prepared.task, prepared.split.select
    told = task.take_in(best.network, prepared.decoded, rows, prepared.inputs)
    select = training.part(prepared, rows) if told else select  # as they look now
    return best, {**drawn, **best.tuned(), **told, **task.settle(best.network, select.inputs, select.target)}


def _choices(prepared: Prepared, asked: Request, older: Recipe | None) -> tuple[str, dict[str, Choice]]:
    """The family and every setting: set by hand, else from an older recipe, else derived."""
    name = older.value("network") if older and asked.network == "auto" else asked.network
    family, why = training.choose_family(prepared.spec, name)
    threads = machine.cores()
    derived = {
        **prepared.choices,
        "network": Choice(value=family, why=why, by="user" if asked.network != "auto" else "derived"),
        **training.derive(family, prepared.spec, asked.minutes, threads),
    }
    by_hand = {k: v for k, v in asked.set.items() if not k.startswith("kind.")}
    return family, recipe.override(derived, older, by_hand)
