"""How good forecasts are: metrics over frames of `squared` and `absolute`, means over the steps of a window."""

from __future__ import annotations

from netwright.objectives.metrics import NAN, Frame, Metric


def _mean(frame: Frame, name: str) -> float:
    return float(frame[name].to_numpy().mean()) if frame.height else NAN


FORECAST: tuple[Metric, ...] = (
    Metric(
        name="mse",
        better="lower",
        reduce=lambda frame: _mean(frame, "squared"),
        words="Mean squared error over all steps, in units of each series' spread in training.",
        reads=("squared",),
    ),
    Metric(
        name="mae",
        better="lower",
        reduce=lambda frame: _mean(frame, "absolute"),
        words="Mean size of the error over all steps, in units of each series' spread in training.",
        reads=("absolute",),
    ),
)
"""For forecasts."""
