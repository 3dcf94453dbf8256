"""Metrics against scikit-learn, and where they cannot be measured."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as theirs

from netwright.base.errors import UnknownName
from netwright.objectives import metrics
from netwright.objectives.metrics import CLASSIFY, REGRESS, TAG, Metric

REFERENCE = json.loads((Path(__file__).parents[1] / "references" / "objectives.json").read_text())
BY_NAME = {each.name: each for each in (*CLASSIFY, *REGRESS)}
TAGS = {each.name: each for each in TAG}
CLOSE = 1e-12  # the same sums in float64, in another order


def classes(seed: int, number: int, rows: int = 300, *, unseen: bool = False) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, number, rows)
    said = np.where(draw.random(rows) < 0.6, truth, draw.integers(0, number, rows))
    if unseen:
        truth[:7] = -1
    columns = {"truth": truth, "prediction": said, "log_loss": draw.exponential(1.0, rows)}
    if number == 2:  # rounded, so that there are ties
        columns["p_positive"] = np.round(np.clip(0.3 * truth + 0.7 * draw.random(rows), 0, 1), 2)
    return pl.DataFrame(columns)


def labels(seed: int, rows: int = 200) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    truth = (draw.random((rows, 4)) < [0.5, 0.1, 0.02, 0.0]).astype(float)
    score = np.clip(0.6 * truth + 0.6 * draw.random((rows, 4)), 0, 1) * [1, 1, 1, 0]
    columns: dict[str, Any] = {}
    for at, name in enumerate(["a", "b:c", "d", "never"]):
        columns[f"truth:{name}"] = truth[:, at]
        columns[f"score:{name}"] = score[:, at]
        columns[f"prediction:{name}"] = (score[:, at] >= 0.5).astype(np.int64)
    return pl.DataFrame(columns)


@pytest.mark.parametrize("unseen", [False, True])
@pytest.mark.parametrize("number", [2, 3, 25])
def test_metrics_of_classes_are_those_of_scikit_learn(number: int, unseen: bool) -> None:
    frame = classes(number, number, unseen=unseen)
    truth, said = frame["truth"].to_numpy(), frame["prediction"].to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of labels that are only on one side
        expected = {
            "accuracy": theirs.accuracy_score(truth, said),
            "balanced_accuracy": theirs.balanced_accuracy_score(truth, said),
            "f1_macro": theirs.f1_score(truth, said, average="macro"),
            "cohen_kappa": theirs.cohen_kappa_score(truth, said),
        }
    found = {name: BY_NAME[name].reduce(frame) for name in expected}
    assert found == pytest.approx(expected, abs=CLOSE)


def test_metrics_of_two_classes_are_those_of_scikit_learn() -> None:
    frame = classes(1, 2)
    truth, said = frame["truth"].to_numpy(), frame["prediction"].to_numpy()
    area = theirs.roc_auc_score(truth, frame["p_positive"].to_numpy())
    assert BY_NAME["f1"].reduce(frame) == pytest.approx(theirs.f1_score(truth, said), abs=CLOSE)
    assert BY_NAME["roc_auc"].reduce(frame) == pytest.approx(area, abs=CLOSE)


@pytest.mark.parametrize("name", [each.name for each in CLASSIFY])
def test_metrics_of_classes_are_the_stored_numbers(name: str) -> None:
    stored = REFERENCE["classify"]
    p, truth = np.array(stored["p"]), np.array(stored["truth"])
    log_loss = -np.log(np.where(truth == 1, p, 1 - p))
    frame = pl.DataFrame(
        {"truth": truth, "prediction": (p > 0.5).astype(int), "log_loss": log_loss, "p_positive": p}
    )
    assert BY_NAME[name].reduce(frame) == pytest.approx(stored[name], abs=CLOSE)


@pytest.mark.parametrize("name", [each.name for each in REGRESS])
def test_metrics_of_numbers_are_the_stored_numbers(name: str) -> None:
    frame = pl.DataFrame({part: REFERENCE["regress"][part] for part in ("truth", "prediction")})
    assert BY_NAME[name].reduce(frame) == pytest.approx(REFERENCE["regress"][name], abs=CLOSE)


def test_rows_of_unknown_truth_are_left_out_of_metrics_of_numbers() -> None:
    known = pl.DataFrame({"truth": [1.0, 2.0, 4.0], "prediction": [1.5, 2.0, 3.0]})
    more = pl.concat([known, pl.DataFrame({"truth": [math.nan], "prediction": [7.0]})])
    for each in REGRESS:
        assert each.reduce(more) == each.reduce(known)


def test_metrics_of_tags_are_those_of_scikit_learn() -> None:
    frame = labels(4)
    truth = frame.select(pl.col("^truth:.*$")).to_numpy().astype(int)
    said = frame.select(pl.col("^prediction:.*$")).to_numpy()
    expected = {
        "f1": theirs.f1_score(truth, said, average="micro"),
        "f1_macro": theirs.f1_score(truth, said, average="macro", zero_division=np.nan),
        "exact_match": theirs.accuracy_score(truth, said),
        "hamming_loss": theirs.hamming_loss(truth, said),
    }
    found = {name: TAGS[name].reduce(frame) for name in expected}
    assert found == pytest.approx(expected, abs=CLOSE)
    assert set(expected) == set(TAGS)


def test_log_loss_leaves_out_labels_unseen_in_training() -> None:
    frame = pl.DataFrame({"truth": [0, 1, -1], "prediction": [0, 0, 0], "log_loss": [0.5, 1.5, math.nan]})
    assert BY_NAME["log_loss"].reduce(frame) == 1.0


def test_labels_unseen_in_training_count_as_errors() -> None:
    frame = pl.DataFrame({"truth": [0, 1, -1, -1], "prediction": [0, 1, 0, 1]})
    assert BY_NAME["accuracy"].reduce(frame) == 0.5
    assert BY_NAME["balanced_accuracy"].reduce(frame) == pytest.approx(2 / 3)


@pytest.mark.parametrize("metric", (*CLASSIFY, *REGRESS, *TAG), ids=lambda each: each.name)
def test_no_rows_are_nan_without_a_warning(metric: Metric) -> None:
    frame = (labels(1) if metric in TAG else classes(1, 2)).clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(metric.reduce(frame))


def test_one_class_is_nan_where_two_are_needed_without_a_warning() -> None:
    frame = pl.DataFrame(
        {"truth": [0, 0, 0], "prediction": [0, 0, 0], "log_loss": [0.1] * 3, "p_positive": [0.1, 0.2, 0.3]}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = {each.name: each.reduce(frame) for each in CLASSIFY}
    assert {name for name, value in found.items() if math.isnan(value)} == {"f1", "roc_auc", "cohen_kappa"}


def test_a_constant_truth_has_no_r2_even_where_its_mean_is_rounded() -> None:
    frame = pl.DataFrame({"truth": [0.1] * 10, "prediction": [0.1, 0.2] * 5})
    assert math.isnan(BY_NAME["r2"].reduce(frame))


def test_r2_of_huge_and_tiny_numbers_is_finite() -> None:
    for unit in (1e200, 1e-200):
        frame = pl.DataFrame({"truth": [1.0 * unit, 2.0 * unit], "prediction": [1.0 * unit, 1.5 * unit]})
        assert BY_NAME["r2"].reduce(frame) == pytest.approx(0.5)


def test_tags_that_never_occur_are_nan_without_a_warning() -> None:
    frame = pl.DataFrame({"truth:a": [0.0, 0.0], "score:a": [0.1, 0.1], "prediction:a": [0, 0]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(TAGS["f1"].reduce(frame))
        assert math.isnan(TAGS["f1_macro"].reduce(frame))
    assert TAGS["exact_match"].reduce(frame) == 1.0


def test_the_metric_asked_for_leads() -> None:
    assert [each.name for each in metrics.lead_by(REGRESS, "mae")] == [
        "mae",
        "r2",
        "rmse",
        "median_absolute_error",
    ]
    with pytest.raises(UnknownName, match="did you mean 'accuracy'"):
        metrics.lead_by(CLASSIFY, "acuracy")


def test_better_says_which_of_two_values_wins() -> None:
    assert BY_NAME["r2"].beats(0.9, 0.8)
    assert BY_NAME["rmse"].beats(0.8, 0.9)
    assert not BY_NAME["rmse"].beats(math.nan, 0.9)


def test_names_are_unique_and_have_words() -> None:
    for group in (CLASSIFY, REGRESS, TAG):
        assert len({each.name for each in group}) == len(group)
        assert all(each.words.endswith(".") for each in group)


@pytest.mark.parametrize("metric", (*CLASSIFY, *REGRESS, *TAG), ids=lambda each: each.name)
def test_a_metric_reads_no_column_but_those_it_names(metric: Metric) -> None:
    frame = labels(1) if metric in TAG else classes(1, 2)
    named = [name for name in frame.columns if name.split(":")[0] in metric.reads]
    assert metric.reduce(frame.select(named)) == metric.reduce(frame)
