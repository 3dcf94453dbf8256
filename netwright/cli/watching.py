"""What a person sees while a network learns: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from netwright.base.schema import Event

EVERY = 10.0
"""Seconds between plain lines."""


class Watcher:
    """Turns events into words on stderr. It knows a run from its events only."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.signal: int | None = None
        self._last = 0.0
        self._bar: Any = None
        self._task: Any = None
        self._seen: dict[str, Any] = {}

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Takes one event."""
        if event.type == "stop":
            self.signal = event.data.get("signal")
        if self.quiet:
            return
        show = getattr(self, f"_on_{event.type}", None)
        if show:
            show(event)

    def _on_finding(self, event: Event) -> None:
        from netwright.insight.card import finding

        mark = "warning" if event.data["severity"] == "warning" else "note"
        self._say(f"{mark}: {finding(event.data)}")

    def _on_choice(self, event: Event) -> None:
        if event.data["name"] in ("task", "network", "data.split"):
            self._say(f"{event.data['name']}: {event.data['value']} ({event.data['why']})")

    def _on_plan(self, event: Event) -> None:
        self._seen["of"] = event.data["steps"]
        self._say(f"plan: {event.data['steps']:,} steps ({event.data['why']})")

    def _on_trouble(self, event: Event) -> None:
        self._say(f"trouble: {event.data['what']}")

    def _on_step(self, event: Event) -> None:
        self._seen["loss"] = event.data["loss"]
        self._progress(event)

    def _on_evaluate(self, event: Event) -> None:
        self._seen["score"] = f"{event.data['name']} {event.data['score']:.4f}"
        self._progress(event)

    def _progress(self, event: Event) -> None:
        of = max(1, int(event.data.get("of") or self._seen.get("of", 1)))
        left = event.seconds / max(1, event.step) * (of - event.step)
        words = f"loss {self._seen.get('loss', float('nan')):.4f}  {self._seen.get('score', '')}"
        if sys.stderr.isatty():
            self._draw(event.step, of, words)
        elif time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            self._say(f"step {event.step:,} of {of:,}  {words}  {left:.0f} s left")

    def _draw(self, step: int, of: int, words: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bar is None:
            self._bar = Progress(
                TextColumn("learning"), BarColumn(), TextColumn("{task.fields[words]}"),
                TimeRemainingColumn(), console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task("learning", total=of, words=words)
        self._bar.update(self._task, completed=step, total=of, words=words)

    def _say(self, line: str) -> None:
        if self._bar:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)
