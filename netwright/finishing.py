"""The end of a run: calibrate, open the test rows once, write card, report, curves and model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netwright.base import events, files
from netwright.base.schema import JSON, Event, Recipe
from netwright.data.packed import Part, spaced
from netwright.data.split import fewer
from netwright.insight import baselines, curves, report, score
from netwright.insight.card import CardFacts, make_card
from netwright.linear import solve_with_validation
from netwright.objectives import intervals
from netwright.objectives.metrics import NAN
from netwright.outcome import Ending, Run, final_recipe
from netwright.recipe import OUTCOME, to_json
from netwright.serving.bundle import Bundle, to_bytes
from netwright.serving.measure import together
from netwright.serving.predict import Model
from netwright.tasks.network import final, observed
from netwright.tasks.task import Rival
from netwright.training import Trained, part
from netwright.unseen import Unseen

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

    from netwright.insight.score import Scores
    from netwright.tasks.task import AbstractTask


ENOUGH = 50_000
"""Training targets that tell the best answer without any input, where not all are in memory."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the test rows said.

    Attributes:
        statistics: A row a test row, with its number.
        answers: Predictions of the test rows.
        uncalibrated: The same statistics before calibration.
    """

    scores: Scores
    statistics: pl.DataFrame
    answers: pl.DataFrame
    uncalibrated: pl.DataFrame
    rivals: Sequence[baselines.Baseline]
    verdict: str
    duplicates: Mapping[str, JSON] | None


def complete(ending: Ending, tell: Callable[[Event], None]) -> Run:
    """Measures the network and writes what the run leaves.

    Args:
        ending: The trained network and all around it.
        tell: Takes the last events.

    Raises:
        LearningError: If something cannot be written.
    """
    interrupted = ending.best.ended.get("reason") == "interrupted"
    select = ending.parts["select"]
    task = ending.unseen.task if ending.unseen else _calibrated(ending, ending.best)
    validated = _validated(ending, task, select)
    if ending.linear and not interrupted:
        solved = solve_with_validation(ending.linear, ending.best, ending.prepared)
        ending = replace(ending, choices={**ending.choices, **{OUTCOME + k: v for k, v in solved.items()}})
    tests = ending.prepared.split.test
    opened = None
    if len(tests) and not interrupted:
        said = len(ending.prepared.findings)
        ending, test = _opened(ending)
        for finding in ending.prepared.findings[said:]:
            tell(Event(type="finding", data=vars(finding)))
        opened = _measure(ending, task, test)
    recipe = final_recipe(ending)
    card = make_card(_facts(ending, recipe, task, opened, validated))
    bundle = _bundle(ending, task, recipe, card)
    model = Model(bundle, allow_outside=ending.asked.allow_outside)
    data = {"metric": card["metric"], "limited_by": card["limited_by"]}
    done = Event(type="done", step=int(ending.best.ended.get("steps", 0)), data=data)
    if ending.folder.path:
        _write(ending, recipe, card, bundle, opened)
    tell(done)
    return Run(card=card, model=model, folder=ending.folder.path, events=tuple(ending.best.events))


def _calibrated(ending: Ending, trained: Trained) -> AbstractTask:
    """The task as it is for this network: calibrated, where it has something to calibrate and rows to do so."""
    task, part = ending.prepared.task, ending.parts["calibrate"]
    if not task.calibrates or not len(part.target):
        return task
    return task.calibrate(_seen(trained, task, part), part.target.values)


def _validated(ending: Ending, task: AbstractTask, select: Part) -> float:
    """The watched metric on the select rows; the headline, of the answers that users get, where it is that."""
    if ending.unseen:
        return ending.unseen.validated
    if not len(select.target):
        return NAN
    searched = task.searches and task.watched.name == task.metrics[0].name
    if not searched or ending.best.ended.get("reason") == "interrupted":
        return task.watch(_seen(ending.best, task, select), select.target.values)["score"]
    found = final(ending.best.network, task, select.inputs, select.target)
    return task.metrics[0].reduce(task.statistics(found, select.target))


def _seen(trained: Trained, task: AbstractTask, part: Part) -> Tensor:
    """What the task keeps of the network's outputs for these examples."""
    return observed(trained.network, task, part.inputs, part.target)


def _opened(ending: Ending) -> tuple[Ending, Part]:
    """The examples of the test rows: the only place that opens them. Evenly fewer where each takes long."""
    prepared, best, parts = ending.prepared, ending.best, ending.prepared.split
    whole = part(prepared, parts.test)
    if prepared.task.seconds_an_answer:  # their number follows from this
        return ending, whole
    test = best.affords(whole, ending.asked.minutes)
    there, count = len(whole.target), len(test.target)
    if count == there:
        return ending, whole
    rows = parts.test
    if there == len(rows):
        rows = rows[spaced(there, count).numpy()]
    words = "rows" if there == len(parts.test) else "windows"
    parts = replace(parts, test=rows, test_seen=np.intersect1d(parts.test_seen, rows))
    findings = (*prepared.findings, fewer(there, count, words))
    return replace(ending, prepared=replace(prepared, split=parts, findings=findings)), test


def _measure(ending: Ending, task: AbstractTask, test: Part) -> Measured:
    """What the network, and simpler means, make of the test rows."""
    prepared, seed = ending.prepared, ending.asked.seed
    rows = prepared.split.test
    found = ending.unseen or _answered(ending, task, test)
    statistics = _numbered(found.statistics, rows)
    groups = together(prepared.columns, prepared.table, rows, statistics)
    scores = score.evaluate(statistics, task.metrics, seed=seed, groups=groups)
    rivals = [baselines.measured(each.name, each.words, each.statistics, task.metrics) for each in found.rivals]
    rivals = score.compared(scores, statistics, rivals=rivals, seed=seed, groups=groups)
    held = ending.choices.get(OUTCOME + "held")
    if held and held.value == 0:
        verdict = f"Nothing that was learned held on validation rows: the answer is {task.blind_words[1]}."
    elif ending.linear and ending.best.network is ending.linear.network:
        verdict = "The network is the linear model: nothing deeper beat it on validation rows."
    else:
        verdict = score.earned_place(scores, rivals)
    return Measured(
        scores=scores,
        statistics=statistics,
        answers=found.answers,
        uncalibrated=found.uncalibrated,
        rivals=rivals,
        verdict=verdict,
        duplicates=_duplicates(ending, task, statistics),
    )


def _answered(ending: Ending, task: AbstractTask, test: Part) -> Unseen:
    """What the network, and simpler means, answer to the test rows."""
    output = final(ending.best.network, task, test.inputs, test.target)
    return Unseen(
        task=task,
        validated=NAN,
        statistics=task.statistics(output, test.target),
        answers=task.answer(output),
        uncalibrated=ending.prepared.task.statistics(output, test.target),
        rivals=list(_rivals(ending, task, test)),
    )


def _rivals(ending: Ending, task: AbstractTask, test: Part) -> Iterator[Rival]:
    """What simpler means make of the test rows: the task's own, and the linear network."""
    train = ending.parts["train"].target.resident(ENOUGH)
    yield from task.rivals(train, test.target, test.inputs, ending.prepared.inputs)
    if ending.linear is not None:
        linear = _calibrated(ending, ending.linear)
        found = linear.statistics(_seen(ending.linear, linear, test), test.target)
        yield Rival("linear", "a linear model", found)


def _numbered(statistics: pl.DataFrame, rows: Any) -> pl.DataFrame:
    import polars as pl

    numbers = rows + 1 if statistics.height == len(rows) else np.arange(1, statistics.height + 1)
    return statistics.with_columns(pl.Series("row", numbers))


def _duplicates(ending: Ending, task: AbstractTask, statistics: pl.DataFrame) -> Mapping[str, JSON] | None:
    """The headline without test rows that also stand in training, where a test part was given."""
    seen = getattr(ending.prepared.split, "test_seen", None)
    if seen is None or not len(seen):
        return None
    fresh = statistics.filter(~statistics["row"].is_in((np.asarray(seen) + 1).tolist()))
    return {"rows": len(seen), "value": task.metrics[0].reduce(fresh) if fresh.height else None}


def _facts(
    ending: Ending, recipe: Recipe, task: AbstractTask, opened: Measured | None, seen: float
) -> CardFacts:
    prepared, asked, best = ending.prepared, ending.asked, ending.best
    split = prepared.split
    total = time.monotonic() - asked.started
    steps = int(best.ended.get("steps", 0))
    interrupted = best.ended.get("reason") == "interrupted"
    rows = {
        "train": prepared.rows_to_learn,
        "validation": len(np.union1d(split.select, split.calibrate)),
        "test": len(split.test),
    }
    headline = task.metrics[0]
    found = opened.rivals if opened else ()
    rivals = {"blind" if not place else each.name: each for place, each in enumerate(found)}
    watched = task.watched
    return CardFacts(
        task=task.name,
        target=task.columns,
        network=best.job.network,
        rows=rows,
        scores=opened.scores if opened else None,
        baselines={name: each.facts(headline.name) for name, each in rivals.items()},
        verdict=opened.verdict if opened else "",
        validation={"name": watched.name, "value": seen},
        calibration=_calibration(task, opened),
        coverage=_coverage(task, opened),
        duplicates=opened.duplicates if opened else None,
        classes=getattr(getattr(task, "classes", None), "words", ()),
        choices=recipe.choices,
        limited_by=_limit(best),
        seconds={
            "read": ending.read_seconds,
            "train": float(best.ended.get("seconds", 0.0)),
            "total": total,
        },
        findings=prepared.findings,
        columns=prepared.columns,
        stored_values=_stored(prepared.columns),
        notes=_notes(ending),
        interrupted=interrupted,
        facts={
            "folds": prepared.folds,
            "minutes": asked.minutes,
            "steps": steps,
            "epochs": float(best.ended.get("epochs", 0.0)),
            "parameters": sum(param.numel() for param in best.network.parameters()),
            "threads": recipe.machine["threads"],
            "seed": asked.seed,
            "version": recipe.version,
        },
    )


def _limit(best: Trained) -> str:
    """What ended learning: the minutes, the validation loss, or enough passes."""
    last = best.plans[-1].why if best.plans else ""
    if "validation loss" in last:
        return "validation loss"
    return "minutes" if any(plan.by == "measured" and "hold" in plan.why for plan in best.plans) else "enough"


def _calibration(task: AbstractTask, opened: Measured | None) -> Mapping[str, float] | None:
    temperature = getattr(task, "temperature", None)
    if opened is None or temperature is None or "confidence" not in opened.statistics.columns:
        return None
    before, after = (
        intervals.expected_calibration_error(
            frame["confidence"].to_numpy(), (frame["truth"] == frame["prediction"]).to_numpy()
        )
        for frame in (opened.uncalibrated, opened.statistics)
    )
    return {"temperature": temperature, "before": before, "after": after}


def _coverage(task: AbstractTask, opened: Measured | None) -> Mapping[str, float] | None:
    if opened is None or "low" not in opened.statistics.columns:
        return None
    frame = opened.statistics
    low, high, truth = (frame[name].to_numpy() for name in ("low", "high", "truth"))
    asked = float(task.settings.coverage)  # type: ignore[attr-defined]
    return {"asked": asked, "measured": intervals.coverage(low, high, truth)}


def _stored(columns: Sequence[Any]) -> list[str]:
    kinds = {"input": "category", "item": "item", "user": "item", "time": "item"}
    return [
        c.name
        for c in columns
        if c.role == "target" or kinds.get(c.role) == c.kind or c.settings.get("as") == "category"
    ]


def _notes(ending: Ending) -> list[str]:
    if ending.prepared.folds:
        count = ending.prepared.folds
        return [
            f"Each row was measured by that one of {count} networks that neither learned from it, "
            "nor stopped by it, nor was calibrated on it.",
            "Training and validation rows are those of one such network. The model is the mean of all of them; "
            "of it no row is left to measure.",
        ]
    if not getattr(ending.prepared.split, "shared", False):
        return []
    return ["So few validation rows: the same ones decided when to stop and were calibrated on."]


def _bundle(ending: Ending, task: AbstractTask, recipe: Recipe, card: Mapping[str, JSON]) -> Bundle:
    prepared, best = ending.prepared, ending.best
    options = asdict(prepared.table.options)
    return Bundle(
        recipe=events.plain(asdict(recipe)),
        columns=prepared.columns,
        kinds=prepared.inputs.state(),
        task=(task.name, *task.state()),
        network={
            "name": best.job.network,
            "config": dict(best.job.config),
            "spec": events.plain(asdict(prepared.spec)),
        },
        card=card,
        options={**events.plain(options), "allow_outside": False, "like": None},
        weights={k: v.detach().cpu().clone() for k, v in best.network.state_dict().items()},
    )


def _write(
    ending: Ending,
    recipe: Recipe,
    card: Mapping[str, JSON],
    bundle: Bundle,
    opened: Measured | None,
) -> None:
    """The files of the run folder; the model first, the card last: a card means that all is there."""
    folder = ending.folder.path
    assert folder is not None
    found = curves.curves_from_events(_all_events(ending))
    files.write_bytes(folder / "model.safetensors", to_bytes(bundle))
    files.write_text(folder / "recipe.json", to_json(recipe))
    files.write_text(folder / "learning.svg", curves.svg(found))
    text = report.report(dict(card), opened.statistics if opened else None, found)
    files.write_text(folder / "report.md", text)
    if opened and ending.prepared.task.rowwise:
        files.write_bytes(folder / "predictions.parquet", _parquet(opened))
    files.write_text(folder / "card.json", json.dumps(card, sort_keys=True, indent=1))
    if not card["interrupted"]:
        files.remove(folder / "checkpoint")


def _all_events(ending: Ending) -> list[Event]:
    folder = ending.folder.path
    assert folder is not None
    return list(events.read(folder / "events.jsonl"))


def _parquet(opened: Measured) -> bytes:
    import io

    import polars as pl

    known = [n for n in opened.statistics.columns if n.startswith(("truth", "reference"))]
    truth = opened.statistics.select("row", *known)
    buffer = io.BytesIO()
    pl.concat([truth, opened.answers], how="horizontal").write_parquet(buffer)
    return buffer.getvalue()
