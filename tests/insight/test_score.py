"""Scores, baselines and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import balanced_accuracy_score, log_loss, mean_absolute_error, r2_score

from netwright.data.packed import Packed
from netwright.insight import baselines, score
from netwright.objectives.metrics import CLASSIFY, REGRESS, TAG, Metric, lead_by
from netwright.tasks import TASKS

MANY = [each for each in CLASSIFY if not each.binary_only]


def answers(share: float, rows: int = 1000, seed: int = 0) -> pl.DataFrame:
    """Three classes, `share` of them right, the right rows of a smaller share being right in a larger."""
    draw = np.random.default_rng(0)
    truth, wrong = draw.integers(0, 3, rows), draw.integers(1, 3, rows)
    right = np.random.default_rng(seed + 1).random(rows) < share
    said = np.where(right, truth, (truth + wrong) % 3)
    return pl.DataFrame({"truth": truth, "prediction": said, "log_loss": np.where(right, 0.1, 3.0)})


def judged(network: float, linear: float, metrics: list[Metric] = MANY, rows: int = 1000) -> str:
    statistics = answers(network, rows)
    truth = statistics["truth"].to_numpy()
    rivals = [
        blind("classify", {"y": truth}, {"y": truth}, metrics),
        baselines.measured("linear", "a linear model", answers(linear, rows), metrics),
    ]
    scores = score.evaluate(statistics, metrics, seed=0)
    return score.earned_place(scores, score.compared(scores, statistics, rivals=rivals, seed=0))


def blind(
    task: str, train: dict[str, Any], test: dict[str, Any], metrics: Sequence[Metric]
) -> baselines.Baseline:
    """The task's own best constant, measured."""
    fitted = TASKS[task].fit(pl.DataFrame(train), {})
    known, asked = (Packed(fitted.encode(pl.DataFrame(cells))) for cells in (train, test))
    found = fitted.blind(known, asked)
    return baselines.measured(found.name, found.words, found.statistics, metrics)


def test_blind_classes_are_scikit_learns_dummy() -> None:
    draw = np.random.default_rng(0)
    train, test = draw.choice(3, 400, p=[0.2, 0.5, 0.3]), draw.integers(0, 3, 100)
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((400, 1)), train)
    found = blind("classify", {"y": train}, {"y": test}, MANY)
    inputs = np.zeros((100, 1))
    said = dummy.predict(inputs)
    assert found.values["accuracy"] == pytest.approx(dummy.score(inputs, test))
    assert found.values["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(test, said))
    assert found.values["log_loss"] == pytest.approx(log_loss(test, dummy.predict_proba(inputs)))
    assert (found.name, found.words) == ("majority", "always the most frequent class")


def test_blind_numbers_are_scikit_learns_dummy() -> None:
    draw = np.random.default_rng(0)
    train, test = draw.normal(3, 1, 400), draw.normal(3.2, 1, 100)
    said = DummyRegressor().fit(np.zeros((400, 1)), train).predict(np.zeros((100, 1)))
    found = blind("regress", {"y": train}, {"y": test}, REGRESS)
    assert found.values["r2"] == pytest.approx(r2_score(test, said), abs=1e-5)  # the target is float32
    assert found.values["mae"] == pytest.approx(mean_absolute_error(test, said), abs=1e-5)


def test_blind_tags_answer_each_label_by_its_majority() -> None:
    train = {"a": [1, 1, 0] * 5, "b": [0, 0, 1] * 5}
    found = blind("tag", train, {"a": [1, 0], "b": [1, 0]}, TAG)
    # a is always said, b never: 1 of 2 met, 1 too many, 1 missed
    assert found.values["f1"] == pytest.approx(0.5)
    assert found.values["exact_match"] == 0.0


def test_blind_answers_hold_for_labels_unseen_in_training() -> None:
    found = blind("classify", {"y": [0, 0, 1]}, {"y": [0, 5, 7]}, CLASSIFY)
    assert found.values["accuracy"] == pytest.approx(1 / 3)


def test_a_baseline_tells_the_card_its_headline() -> None:
    facts = blind("classify", {"y": [0, 0, 1, 0]}, {"y": [0, 0, 1, 0]}, MANY).facts("accuracy")
    assert facts == {"name": "majority", "words": "always the most frequent class", "value": 0.75}


def test_scores_hold_every_metric_and_the_interval_of_the_first() -> None:
    statistics = answers(0.8)
    scores = score.evaluate(statistics, MANY, seed=0)
    assert scores.metric.name == "accuracy"
    assert list(scores.values) == [each.name for each in MANY]
    assert scores.low < scores.value < scores.high
    assert scores.rows == 1000
    mean = (statistics["truth"] == statistics["prediction"]).mean()
    assert scores.value == pytest.approx(mean)


def test_a_network_that_beats_all_rivals_earned_its_place() -> None:
    said = judged(0.9, 0.7)
    assert said.startswith("The network earned its place: accuracy 0.8")
    assert "for always the most frequent class" in said
    assert "for a linear model" in said


def test_a_network_that_a_linear_model_beats_did_not_earn_its_place() -> None:
    said = judged(0.7, 0.9)
    assert said.startswith("The network did not earn its place: a linear model is better")


def test_a_tie_is_said_plainly() -> None:
    said = judged(0.8, 0.8)
    assert said.startswith("A tie: the network cannot be told from a linear model on 1,000 test rows")
    assert "though it beats always the most frequent class" in said


def test_few_rows_cannot_tell_rivals_apart() -> None:
    assert judged(0.9, 0.8, rows=20).startswith("A tie")


def test_the_verdict_holds_where_lower_is_better() -> None:
    metrics = list(lead_by(MANY, "log_loss"))
    assert judged(0.95, 0.7, metrics).startswith("The network earned its place: log loss 0.")
    assert judged(0.5, 0.9, metrics).startswith("The network did not earn its place")


def test_a_verdict_without_rivals_or_without_a_number_says_so() -> None:
    statistics = answers(0.8)
    scores = score.evaluate(statistics, MANY, seed=0)
    assert score.earned_place(scores, []).startswith("Not judged")
    constant = pl.DataFrame({"truth": [1.0, 1.0], "prediction": [1.0, 2.0]})
    unknown = score.evaluate(constant, REGRESS, seed=0)
    rival = baselines.measured("mean", "always the mean", constant, REGRESS)
    said = score.earned_place(unknown, score.compared(unknown, constant, rivals=[rival], seed=0))
    assert said == "Not judged: r2 cannot be measured on these 2 test rows."
