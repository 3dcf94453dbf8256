"""When a command began: with its process, where the process is there for nothing else."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_at: list[float] = []


def with_process() -> None:
    """From now on a command began when the process did: the user waits for imports too."""
    _at[:] = [time.monotonic() - _age()]


def at() -> float:
    """When the command began, by the monotonic clock, seconds."""
    return _at[0] if _at else time.monotonic()


def _age() -> float:
    """Seconds since the process began; 0 where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
        began = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
        return max(0.0, up - began / os.sysconf("SC_CLK_TCK"))
    return 0.0
