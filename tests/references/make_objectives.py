"""Writes objectives.json: losses and metrics by SciPy and scikit-learn on stored inputs.

Command: python tests/references/make_objectives.py > tests/references/objectives.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import scipy
import sklearn
from scipy import special, stats
from sklearn import metrics


def main() -> None:
    """Prints the reference numbers as JSON."""
    made: dict[str, Any] = {
        "source": "scikit-learn and SciPy",
        "version": f"scikit-learn {sklearn.__version__}, scipy {scipy.__version__}",
        "command": "python tests/references/make_objectives.py > tests/references/objectives.json",
        "losses": losses(),
        "classify": classify(),
        "regress": regress(),
        "wilson": [
            [right, rows, *_wilson(right, rows)] for right, rows in [(0, 10), (10, 10), (7, 10), (9931, 10000)]
        ],
    }
    sys.stdout.write(json.dumps(made, indent=1) + "\n")


def _wilson(right: int, rows: int) -> list[float]:
    interval = stats.binomtest(right, rows).proportion_ci(0.95, method="wilson")
    return [float(interval.low), float(interval.high)]


def losses() -> dict[str, Any]:
    """Losses of each row by SciPy's elementary functions."""
    draw = np.random.default_rng(7)
    logits, labels = np.round(draw.normal(0, 3, (6, 4)), 3), draw.integers(0, 4, 6)
    log_p = special.log_softmax(logits, axis=1)
    smooth = 0.9 * np.eye(4)[labels] + 0.1 / 4
    tags = draw.integers(0, 2, (6, 4))
    first, second = np.round(draw.normal(0, 2, (2, 6)), 3)
    entropy = -(tags * special.log_expit(logits) + (1 - tags) * special.log_expit(-logits))
    return {
        "logits": logits.tolist(),
        "labels": labels.tolist(),
        "tags": tags.tolist(),
        "prediction": first.tolist(),
        "target": second.tolist(),
        "cross_entropy": (-log_p[np.arange(6), labels]).tolist(),
        "cross_entropy_smoothed_0.1": (-(smooth * log_p).sum(1)).tolist(),
        "binary_cross_entropy": entropy.mean(1).tolist(),
        "squared_error": ((first - second) ** 2).tolist(),
        "huber": special.huber(1.0, first - second).tolist(),
        "absolute": np.abs(first - second).tolist(),
    }


def classify() -> dict[str, Any]:
    """Metrics of a small two-class problem."""
    draw = np.random.default_rng(8)
    p = np.round(draw.random(40), 2)
    truth = (draw.random(40) < p).astype(int)
    said = (p > 0.5).astype(int)
    return {
        "p": p.tolist(),
        "truth": truth.tolist(),
        "accuracy": metrics.accuracy_score(truth, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, said),
        "f1": metrics.f1_score(truth, said),
        "f1_macro": metrics.f1_score(truth, said, average="macro"),
        "log_loss": metrics.log_loss(truth, p),
        "roc_auc": metrics.roc_auc_score(truth, p),
        "cohen_kappa": metrics.cohen_kappa_score(truth, said),
    }


def regress() -> dict[str, Any]:
    """Metrics of a small problem with a number as the target."""
    draw = np.random.default_rng(9)
    truth = np.round(draw.normal(10, 3, 30), 3)
    said = np.round(truth + draw.normal(0, 1, 30), 3)
    return {
        "truth": truth.tolist(),
        "prediction": said.tolist(),
        "r2": metrics.r2_score(truth, said),
        "rmse": metrics.root_mean_squared_error(truth, said),
        "mae": metrics.mean_absolute_error(truth, said),
        "median_absolute_error": metrics.median_absolute_error(truth, said),
    }


if __name__ == "__main__":
    main()
