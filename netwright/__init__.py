"""Netwright turns data into a trained neural network, and shows how it learned."""

from __future__ import annotations

import importlib
from typing import Any

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
