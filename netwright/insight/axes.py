"""Axes of a drawing: where the ticks stand, what they say, and where a value falls."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A range of values laid on [0, 1].

    Attributes:
        low: Value at 0.
        high: Value at 1, above `low`.
        log: Whether equal distances are equal factors; both ends are above 0 then.
    """

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where the value falls, in [0, 1] for values inside."""
        if self.log:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, number: int = 5) -> list[float]:
        """About `number` round values inside the range."""
        if not self.log:
            return _round_values(self.low, self.high, number)
        powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
        every = max(1, math.ceil(len(powers) / number))
        decades = [10.0**power for power in powers if power % every == 0]
        if len(decades) >= 2:
            return decades
        first = math.floor(math.log10(self.low))
        last = math.ceil(math.log10(self.high))
        fine = [step * 10.0**power for power in range(first, last + 1) for step in (1, 2, 5)]
        inside = [value for value in fine if self.low <= value <= self.high]
        return inside if len(inside) >= 2 else _round_values(self.low, self.high, number)


def fit(values: Sequence[float], *, log: bool = False) -> Axis:
    """The axis that holds the values with a little room; a single value gets room on both sides."""
    low, high = min(values), max(values)
    if log and low > 0:
        room = (high / low) ** 0.04 if high / low > 1.05 else 1.5
        return Axis(low / room, high * room, log=True)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis(low - room, high + room)


def label(value: float, step: float) -> str:
    """The text of a tick, as short as `step`, the distance between ticks, allows: 0.25, 1,500, 20k, 1e-05."""
    size = abs(value)
    if size == 0 or size < step * 1e-6:
        return "0"
    if size >= 1e6 or size < 1e-3:
        mantissa, power = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}"
    if size >= 10_000 and step >= 1000:
        return f"{value / 1000:g}k"
    places = next((each for each in range(9) if _is_whole(step * 10**each)), 9) if step > 0 else 3
    return f"{value:,.{places}f}"


def labels(ticks: Sequence[float], *, log: bool = False) -> list[str]:
    """The texts of all ticks; where they span decades each is as short as it can be by itself."""
    if log and len(ticks) > 1 and ticks[-1] >= 9 * ticks[0]:
        return [label(each, 10.0 ** math.floor(math.log10(each))) for each in ticks]
    steps = [after - before for before, after in itertools.pairwise(ticks)]
    step = min(steps) if steps else abs(ticks[0]) if ticks else 1.0
    return [label(each, step) for each in ticks]


def _is_whole(value: float) -> bool:
    return round(value) > 0 and abs(value - round(value)) < 1e-3 * value


def _round_values(low: float, high: float, number: int) -> list[float]:
    rough = (high - low) / max(number, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1.0, 2.0, 2.5, 5.0, 10.0) if each * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [each * step for each in range(first, last + 1)]
