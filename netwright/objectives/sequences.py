"""How good what was written is: metrics over frames of `nats`, `tokens`, `hits` and `characters`."""

from __future__ import annotations

import math

from netwright.objectives.metrics import NAN, Frame, Metric


def per(frame: Frame, above: str, below: str) -> float:
    """Sum of one column over the sum of another; NaN where that is 0."""
    total = float(frame[below].to_numpy().sum())
    return float(frame[above].to_numpy().sum()) / total if total else NAN


def _perplexity(frame: Frame) -> float:
    return math.exp(min(per(frame, "nats", "tokens"), 700.0))  # NaN stays NaN


GENERATE: tuple[Metric, ...] = (
    Metric(
        name="perplexity",
        better="lower",
        reduce=_perplexity,
        words="Among how many tokens the network wavers on average: exp of the nats a token.",
        reads=("nats", "tokens"),
    ),
    Metric(
        name="nats_per_character",
        better="lower",
        reduce=lambda frame: per(frame, "nats", "characters"),
        words="Surprise at a character, in nats; it does not depend on how text is cut into tokens.",
        reads=("nats", "characters"),
    ),
    Metric(
        name="bits_per_character",
        better="lower",
        reduce=lambda frame: per(frame, "nats", "characters") / math.log(2.0),
        words="Bits a character would take if the network packed the text.",
        reads=("nats", "characters"),
    ),
    Metric(
        name="accuracy",
        better="higher",
        reduce=lambda frame: per(frame, "hits", "tokens"),
        words="Share of tokens that the network held for the likeliest.",
        reads=("hits", "tokens"),
    ),
)
"""For running text."""
