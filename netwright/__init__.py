"""Netwright turns data into a trained neural network, and shows how it learned."""

from __future__ import annotations

import importlib
import os
from typing import Any

# Threads that wait for one another keep their core for so many turns, a millisecond or so, then let it go.
# OpenMP's own rule is 15 times as many: where another process wants the core, a step that threads share takes
# twice as long by it. Read when torch is imported; what is set already stays.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")

__version__ = "0.1.0"

_PLACES = {
    "train": "netwright.build",
    "resume": "netwright.build",
    "check": "netwright.build",
    "fit": "netwright.modules",
    "load": "netwright.serving.predict",
    "Classifier": "netwright.estimators",
    "Regressor": "netwright.estimators",
    "Run": "netwright.outcome",
    "Model": "netwright.serving.predict",
    "NetwrightError": "netwright.base.errors",
    "DataError": "netwright.base.errors",
    "RecipeError": "netwright.base.errors",
    "UnknownName": "netwright.base.errors",
    "LearningError": "netwright.base.errors",
    "BundleError": "netwright.base.errors",
}
__all__ = ["__version__", *_PLACES]  # noqa: PLE0604  (all are strings)


def __getattr__(name: str) -> Any:
    """The public name, imported when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module 'netwright' has no attribute '{name}'")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
