"""The estimators behave as scikit-learn's own do."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

import netwright as nw


def test_a_classifier_classifies_and_keeps_the_users_classes() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    words = np.where(y == 1, "benign", "malignant")
    made = nw.Classifier(minutes=0.5).fit(x[:400], words[:400])
    assert made.score(x[400:], words[400:]) > 0.93
    assert list(made.classes_) == ["benign", "malignant"]
    assert made.predict_proba(x[:3]).dtype == np.float32


def test_a_copy_predicts_the_same() -> None:
    x, y = load_diabetes(return_X_y=True)
    made = nw.Regressor(minutes=0.5).fit(x[:300], y[:300])
    again: Any = copy.deepcopy(made)
    assert np.array_equal(made.predict(x[300:]), again.predict(x[300:]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [nw.Classifier, nw.Regressor])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks_pass(kind: Any) -> None:
    check_estimator(kind())


@pytest.mark.slow
def test_breast_cancer_by_cross_validation() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    assert cross_val_score(nw.Classifier(minutes=0.1), x, y, cv=5).mean() >= 0.965
