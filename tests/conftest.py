"""What every test stands on: the same draws each time."""

from __future__ import annotations

import os
import random
import sys

import pytest

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if WORKER and hasattr(os, "sched_setaffinity"):
    # One core a worker: two workers of two threads each on two cores wait for each other most of the time.
    _cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_cores[int(WORKER.removeprefix("gw")) % len(_cores)]})


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Seeds what draws globally, as far as it is loaded: tests of the guards need no torch."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
