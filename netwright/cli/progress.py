"""A run on stderr while it goes on: findings and decisions in words, then a bar, or a line now and then."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from netwright.base.schema import JSON, Event
from netwright.cli.flags import say

LINE_EVERY = 10.0
"""Seconds of learning between two plain lines."""
DRAW_EVERY = 0.2
"""Seconds of learning between two drawings of the bar: no thread draws it, so it costs next to nothing."""


@dataclass
class Moment:
    """Where a run stands."""

    step: int = 0
    of: int = 0
    loss: float | None = None
    score: float | None = None
    name: str = "score"
    seconds: float = 0.0
    first: tuple[int, float] | None = None
    """Step and seconds at the first look of this process."""

    def see(self, event: Event) -> None:
        """Takes in what the event says."""
        self.step, self.seconds = event.step, event.seconds
        self.of = int(event.data.get("of") or event.data.get("steps") or self.of)
        self.first = self.first or (event.step, event.seconds)
        if event.type == "step":
            self.loss = event.data["loss"]
        elif event.type == "evaluate":
            self.score, self.name = event.data["score"], str(event.data.get("name", "score"))

    @property
    def left(self) -> float | None:
        """Seconds to the end of the plan at the pace so far; None before there is one."""
        if self.first is None or self.step <= self.first[0]:
            return None
        pace = (self.seconds - self.first[1]) / (self.step - self.first[0])
        return pace * max(0, self.of - self.step)

    def words(self) -> str:
        """Loss, score and time left, as far as they are known."""
        from netwright.insight.words import figure, seconds

        said = [f"loss {figure(self.loss)}"] if self.loss is not None else []
        said += [f"{self.name.replace('_', ' ')} {figure(self.score)}"] if self.score is not None else []
        said += [f"{seconds(self.left)} left"] if self.left is not None else []
        return ", ".join(said)


class Display(Protocol):
    """What shows a moment."""

    def show(self, moment: Moment) -> None:
        """Shows where the run stands."""

    def say(self, text: str) -> None:
        """Prints a line above or between."""

    def close(self) -> None:
        """Ends the display."""


class Silence:
    """Shows nothing: --quiet."""

    def show(self, moment: Moment) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


@dataclass
class Lines:
    """A plain line now and then, where stderr is not a terminal."""

    shown: float = field(default=0.0)

    def show(self, moment: Moment) -> None:
        """A line, if the last one is long enough ago."""
        if moment.seconds - self.shown >= LINE_EVERY:
            self.shown = moment.seconds
            say(f"step {moment.step:,} of {moment.of:,}: {moment.words()}")

    def say(self, text: str) -> None:
        """The line as it is."""
        say(text)

    def close(self) -> None:
        """Nothing is left to end."""


class Bar:
    """A progress bar, where stderr is a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("step {task.completed:,.0f} of {task.total:,.0f}, {task.fields[words]}"),
            console=Console(file=sys.stderr),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._bar: Any = None
        self._drawn = 0.0

    def show(self, moment: Moment) -> None:
        """Draws the bar, if the last drawing is long enough ago."""
        if self._bar is None:
            self._bar = self._progress.add_task("training", total=max(1, moment.of), words="starting")
            self._progress.start()
        elif moment.seconds - self._drawn < DRAW_EVERY:
            return
        self._drawn = moment.seconds
        self._progress.update(
            self._bar, completed=moment.step, total=max(1, moment.of), words=moment.words(), refresh=True
        )

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Takes the bar away."""
        self._progress.stop()


class Listener:
    """Called with each event of a run; tells it on a display.

    Attributes:
        signal: The signal that ended the run early, or None.
    """

    def __init__(self, display: Display) -> None:
        self.signal: int | None = None
        self._display = display
        self._moment = Moment()
        self._told: set[str] = set()
        self._planned = 0

    def __call__(self, event: Event) -> None:
        """Tells the event."""
        if event.type in ("plan", "step", "evaluate"):
            self._moment.see(event)
        if event.type in ("step", "evaluate"):
            self._display.show(self._moment)
        elif event.type == "stop":
            self.signal = event.data.get("signal")
        elif event.type != "plan" or self._is_news(int(event.data["steps"])):
            for line in _lines(event, self._head):
                self._display.say(line)

    def _is_news(self, steps: int) -> bool:
        """Whether a plan ends elsewhere than the last one that was told: a clock moves it a little, often."""
        if abs(steps - self._planned) <= 0.1 * max(steps, self._planned):
            return False
        self._planned = steps
        return True

    def _head(self, words: str) -> list[str]:
        """A headline, the first time."""
        if words in self._told:
            return []
        self._told.add(words)
        return [words]


def _lines(event: Event, head: Any) -> list[str]:
    """What is said about a finding, a decision, a plan or trouble."""
    data = event.data
    if event.type == "finding":
        return [*head("found in the data:"), f"  {finding(data)}"]
    if event.type == "choice":
        return [*head("decided:"), f"  {data['name']} = {_short(data['value'])}  ({data['why']})"]
    if event.type == "plan":
        at = f" from step {event.step:,} on" if event.step else ""
        return [f"plan{at}: {data['steps']:,} steps, {data['why']}"]
    if event.type == "trouble":
        return [f"trouble: {data['what']}"]
    return []


def finding(data: Mapping[str, JSON]) -> str:
    """A finding in one line."""
    from netwright.insight.card import finding as words

    return ("warning: " if data["severity"] == "warning" else "") + words(data)


def _short(value: JSON) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


@contextlib.contextmanager
def listening(*, quiet: bool) -> Iterator[Listener]:
    """A listener for one run, on the display that stderr can show.

    Args:
        quiet: Whether nothing is to be shown.
    """
    display: Display = Silence() if quiet else Bar() if sys.stderr.isatty() else Lines()
    try:
        yield Listener(display)
    finally:
        display.close()
