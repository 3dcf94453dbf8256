"""What every test stands on: the same draws each time."""

from __future__ import annotations

import random
import sys

import pytest


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Seeds what draws globally, as far as it is loaded: tests of the guards need no torch."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
