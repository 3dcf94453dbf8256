"""The journal of a run: events as JSON lines, written by the run and read by anybody.

The console, a page or another process learns about a run from here only.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netwright.base import files
from netwright.base.schema import JSON, Event

DURABLE = frozenset({"plan", "done"})
"""Events that must be on the disk before what they announce happens."""


class Journal:
    """Appends events to a file. Without a path it keeps them in memory."""

    def __init__(self, path: Path | None) -> None:
        self._appender = files.Appender(path) if path else None
        self.kept: list[Event] = []

    def write(self, event: Event) -> None:
        """Appends one event.

        Raises:
            LearningError: If it cannot be written.
        """
        if self._appender:
            self._appender.line(to_line(event), flush=event.type in DURABLE)
        else:
            self.kept.append(event)

    def close(self) -> None:
        """Closes the file."""
        if self._appender:
            self._appender.close()


def to_line(event: Event) -> str:
    """The event as one line of JSON; numbers that are not finite become null."""
    return json.dumps(plain(dataclasses.asdict(event)), sort_keys=True, allow_nan=False)


def plain(value: JSON) -> JSON:
    """The value with tuples as lists and not-finite numbers as None, so that any JSON reader takes it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def read(path: Path) -> Iterator[Event]:
    """The events of a journal; a last line that a kill tore in two is passed over."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):
        fields = _fields(line)
        if fields is not None:
            yield Event(**fields)


def mend(path: Path) -> None:
    """Drops a last line that a kill tore in two, so that new lines start on their own."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        files.cut(path, whole)


def _fields(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    known = {each.name for each in dataclasses.fields(Event)}
    return fields if isinstance(fields, dict) and set(fields) <= known else None
