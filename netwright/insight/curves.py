"""How it learned, from the events of a run: the curves, two sentences about them, and drawings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from netwright.base.schema import Event
from netwright.insight import braille, chart
from netwright.insight.words import count, figure

Point = tuple[float, float]

FEWEST = 4
"""Measurements on validation rows below which nothing can be said about how it learned."""
_SURE = 4.0  # standard deviations of one measurement; the extremes of pure noise stay below it


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What a run's events say about its learning, as (step, value) in order of steps.

    Attributes:
        loss: Training loss.
        rate: Learning rate.
        gradient: Gradient norm before clipping.
        validation: Loss on validation rows.
        score: Headline metric on validation rows.
        name: Name of the headline metric.
        better: Which way it is better.
        best: Step whose weights are kept; None before the first measurement.
        planned: Steps of the last plan; 0 if none.
        stopped: Why it stopped; "" if it has not.
        troubles: Step and words of what went wrong on the way.
    """

    loss: tuple[Point, ...] = ()
    rate: tuple[Point, ...] = ()
    gradient: tuple[Point, ...] = ()
    validation: tuple[Point, ...] = ()
    score: tuple[Point, ...] = ()
    name: str = "score"
    better: Literal["higher", "lower"] = "higher"
    best: int | None = None
    planned: int = 0
    stopped: str = ""
    troubles: tuple[tuple[int, str], ...] = ()


@dataclass
class _Draft:
    points: dict[str, list[Point]] = field(
        default_factory=lambda: {"loss": [], "rate": [], "gradient": [], "validation": [], "score": []}
    )
    best: list[int] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    troubles: list[tuple[int, str]] = field(default_factory=list)

    def add(self, name: str, step: int, value: object) -> None:
        """Adds a point; steps that a roll-back or a resumed run takes again replace the earlier ones."""
        series = self.points[name]
        while series and series[-1][0] >= step:
            series.pop()
        if isinstance(value, int | float) and math.isfinite(value):
            series.append((float(step), float(value)))


def curves_from_events(events: Iterable[Event]) -> Curves:
    """The curves of a run; values that are missing or not finite are left out."""
    draft = _Draft()
    for event in events:
        if event.type == "step":
            draft.add("loss", event.step, event.data.get("loss"))
            draft.add("rate", event.step, event.data.get("lr"))
            draft.add("gradient", event.step, event.data.get("gradient"))
        elif event.type == "evaluate":
            _note_evaluation(draft, event)
        elif event.type == "plan":
            draft.facts["planned"] = int(event.data.get("steps") or 0)
        elif event.type == "stop":
            draft.facts["stopped"] = str(event.data.get("reason") or "")
        elif event.type == "trouble":
            draft.troubles.append((event.step, _words(event)))
    points: dict[str, Any] = {name: tuple(series) for name, series in draft.points.items()}
    best = draft.best[-1] if draft.best else None
    return Curves(**points, **draft.facts, best=best, troubles=tuple(draft.troubles))


def _note_evaluation(draft: _Draft, event: Event) -> None:
    draft.add("validation", event.step, event.data.get("loss"))
    draft.add("score", event.step, event.data.get("score"))
    draft.facts["name"] = str(event.data.get("name") or "score")
    draft.facts["better"] = "lower" if event.data.get("better") == "lower" else "higher"
    while draft.best and draft.best[-1] >= event.step:
        draft.best.pop()
    if event.data.get("best"):
        draft.best.append(event.step)


def _words(event: Event) -> str:
    for name in ("what", "why", "reason", "message"):
        if event.data.get(name):
            return str(event.data[name])
    return "trouble"


# ---- two sentences


def sentences(curves: Curves) -> tuple[str, str]:
    """How it learned, in words.

    Returns:
        Whether it was still learning, levelled off or overfitted, and from which step; then the gap
        between training and validation at the step whose weights were kept.
    """
    return _progress(curves), _gap(curves)


def _progress(curves: Curves) -> str:
    if len(curves.validation) < FEWEST:
        times = count(len(curves.validation), "time")
        return f"It was measured {times} on validation rows, too few to say how it learned."
    steps, loss = _smooth(curves.validation)
    at, noise = int(loss.argmin()), _noise(curves.validation)
    fall, rise = float(loss[0] - loss[at]), float(loss[-1] - loss[at])
    if fall <= max(_SURE * noise, 1e-12) and rise <= _SURE * noise:
        return (
            f"It learned little that holds on new rows: the validation loss stayed near {figure(loss[-1])} "
            f"for all {count(int(steps[-1]), 'step')}."
        )
    if rise > max(_SURE * noise, 0.05 * fall) and steps[at] <= 0.95 * steps[-1]:
        return _overfitting(curves, int(steps[at]), float(loss[at]), float(loss[-1]))
    near = loss <= loss[at] + max(3.0 * noise, 0.02 * fall)
    outside = np.flatnonzero(~near[: at + 1])
    level = steps[outside[-1] + 1] if len(outside) else steps[0]
    if level <= 0.8 * steps[-1]:
        return (
            f"It levelled off from step {level:,.0f}: from there on the validation loss hardly moved "
            f"from {figure(loss[at])}."
        )
    return (
        f"It was still learning when it stopped at step {steps[-1]:,.0f}: the validation loss "
        f"was still falling, to {figure(loss[-1])}; more minutes may help."
    )


def _overfitting(curves: Curves, step: int, least: float, last: float) -> str:
    said = (
        f"It was overfitting from step {step:,}: the validation loss rose from {figure(least)} "
        f"to {figure(last)}"
    )
    score = dict(curves.score)
    if curves.best is not None and curves.best > step and curves.best in score:
        return f"{said}, while {curves.name} was best at step {curves.best:,}, whose weights are kept."
    kept = f"; the weights of step {curves.best:,} are kept" if curves.best is not None else ""
    return f"{said}{kept}."


def _gap(curves: Curves) -> str:
    if not curves.loss or not curves.validation:
        return "Training and validation loss cannot be compared: one of them was not measured."
    at = float(curves.best if curves.best is not None else curves.validation[-1][0])
    validation = min(curves.validation, key=lambda point: abs(point[0] - at))[1]
    training = _around(curves.loss, at)
    said = (
        f"At step {at:,.0f} the loss was {figure(training)} on training rows and "
        f"{figure(validation)} on validation rows"
    )
    scale = max(abs(validation), abs(training), 1e-12)
    if validation - training > 0.1 * scale:
        return f"{said}: it knows the rows it learned from better, by {figure(validation - training)}."
    if training - validation > 0.1 * scale:
        return (
            f"{said}: training is measured under dropout, augmentation or smoothing "
            "where they are on, so it may stand higher."
        )
    return f"{said}: it does as well on new rows as on those it learned from."


def _around(points: Sequence[Point], at: float) -> float:
    """Mean of the points in the twentieth of all steps that ends at `at`: single batches are noisy."""
    span = 0.05 * points[-1][0]
    near = [y for x, y in points if at - span <= x <= at]
    return float(np.mean(near)) if near else min(points, key=lambda point: abs(point[0] - at))[1]


def _smooth(points: Sequence[Point]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Steps, and the median of each value and its neighbours: one lucky measurement is no minimum."""
    values = np.array([y for _, y in points])
    reach = max(1, len(values) // 20)
    padded = np.pad(values, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return np.array([x for x, _ in points]), np.median(windows, axis=1)


def _noise(points: Sequence[Point]) -> float:
    """Standard deviation of one measurement, from second differences, which a smooth curve has not."""
    values = np.array([y for _, y in points])
    bends = np.diff(values, n=2)
    return float(1.4826 * np.median(np.abs(bends)) / math.sqrt(6.0)) if len(bends) else 0.0


# ---- drawings


def svg(curves: Curves) -> str:
    """`learning.svg`: losses, score, learning rate and gradient norm against the step."""
    cuts = [float(step) for step, _ in curves.troubles]
    panels = [
        _loss_panel(curves, cuts),
        _score_panel(curves, cuts),
        chart.Panel("learning rate", [chart.Line(_thin(curves.rate), color=chart.GREEN)], cuts=cuts),
        chart.Panel(
            "gradient norm",
            _backed(curves.gradient, "", chart.PINK),
            log=_wide(curves.gradient),
            cuts=cuts,
        ),
    ]
    notes = [f"Step {step:,}: {words}" for step, words in curves.troubles[:3]]
    return chart.draw("How it learned", panels, [*sentences(curves), *notes], "step")


def _loss_panel(curves: Curves, cuts: Sequence[float]) -> chart.Panel:
    lines = _backed(curves.loss, "training", chart.BLUE)
    if curves.validation:
        validation = chart.Line(_thin(curves.validation), "validation", chart.ORANGE, dashed=True, dots=True)
        lines.append(validation)
    log = _wide([*curves.loss, *curves.validation])
    title = "loss (log scale)" if log else "loss"
    return chart.Panel(title, lines, log=log, cuts=cuts)


def _score_panel(curves: Curves, cuts: Sequence[float]) -> chart.Panel:
    score = dict(curves.score)
    mark, words = None, ""
    if curves.best is not None and curves.best in score:
        mark = (float(curves.best), score[curves.best])
        words = f"best {figure(mark[1])} at step {curves.best:,}"
    line = chart.Line(_thin(curves.score), "validation", chart.ORANGE, dots=True)
    title = f"{curves.name.replace('_', ' ')} on validation rows"
    return chart.Panel(title, [line] if curves.score else [], mark=mark, mark_name=words, cuts=cuts)


def _backed(points: Sequence[Point], name: str, color: str) -> list[chart.Line]:
    """The line smoothed, before the pale line of single batches where there are many."""
    if not points:
        return []
    thin = _thin(points)
    if len(points) < 40:
        return [chart.Line(thin, name, color)]
    return [
        chart.Line(thin, "", color, faint=True),
        chart.Line(_thin(points, min(40, len(points) // 4)), name, color),
    ]


def _thin(points: Sequence[Point], most: int = 300) -> list[Point]:
    """At most so many points, each the mean of its neighbourhood: files stay small, ends stay."""
    if len(points) <= most:
        return list(points)
    parts = np.array_split(np.array(points), most)
    means = [(float(part[:, 0].mean()), float(part[:, 1].mean())) for part in parts]
    return [(points[0][0], means[0][1]), *means[1:-1], (points[-1][0], means[-1][1])]


def _wide(points: Sequence[Point]) -> bool:
    """Whether the values span so much that only a logarithmic axis shows them."""
    values = [y for _, y in points]
    return bool(values) and min(values) > 0 and max(values) > 20 * min(values)


def terminal(curves: Curves, width: int) -> list[str]:
    """The curves and the two sentences for a terminal `width` characters wide (at least 20)."""
    width = max(width, 20)
    score = f"{curves.name.replace('_', ' ')} on validation rows"
    drawn: list[str] = []
    for title, points in (
        ("training loss", _thin(curves.loss, 2 * width)),
        ("validation loss", curves.validation),
        (score, curves.score),
    ):
        if points:
            last = f"{title}, {figure(points[-1][1])} at step {points[-1][0]:,.0f}"
            log = _wide(points) and "loss" in title
            drawn += [*braille.draw(last, points, width=width, height=4, log=log), ""]
    return drawn + [line for each in sentences(curves) for line in _wrapped(each, width)]


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width)
