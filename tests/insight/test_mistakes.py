"""Mistakes against scikit-learn and against hand-made cases."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from netwright.insight import mistakes


def classes(number: int = 4, rows: int = 200) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    truth = draw.integers(0, number, rows)
    said = np.where(draw.random(rows) < 0.7, truth, draw.integers(0, number, rows))
    return pl.DataFrame({"truth": truth, "prediction": said, "log_loss": draw.exponential(1, rows)})


def test_the_confusion_matrix_is_scikit_learns() -> None:
    frame = classes()
    found = mistakes.confusion(frame, 4)
    assert found[:4].tolist() == confusion_matrix(frame["truth"], frame["prediction"]).tolist()
    assert found[4].sum() == 0


def test_labels_unseen_in_training_have_a_row_of_their_own() -> None:
    frame = pl.DataFrame({"truth": [0, -1, -1], "prediction": [0, 1, 1], "log_loss": [0.1, math.nan, math.nan]})
    assert mistakes.confusion(frame, 2).tolist() == [[1, 0], [0, 0], [0, 2]]
    last = mistakes.by_class(frame, 2)[-1]
    assert (last.code, last.rows, last.recall) == (-1, 2, 0.0)


def test_recall_and_precision_are_scikit_learns() -> None:
    frame = classes()
    precision, recall, f1, rows = precision_recall_fscore_support(frame["truth"], frame["prediction"])
    found = mistakes.by_class(frame, 4)
    assert [each.precision for each in found] == pytest.approx(precision.tolist())
    assert [each.recall for each in found] == pytest.approx(recall.tolist())
    assert [each.f1 for each in found] == pytest.approx(f1.tolist())
    assert [each.rows for each in found] == rows.tolist()


def test_a_class_without_rows_has_no_recall() -> None:
    frame = pl.DataFrame({"truth": [0, 0], "prediction": [0, 1], "log_loss": [0.1, 2.0]})
    second, third = mistakes.by_class(frame, 3)[1:]
    assert (math.isnan(second.recall), second.precision) == (True, 0.0)
    assert math.isnan(third.precision)
    assert math.isnan(third.f1)


def test_the_most_confused_pairs_come_first() -> None:
    frame = pl.DataFrame({"truth": [0, 0, 0, 1, 2], "prediction": [1, 1, 0, 2, 1]})
    assert mistakes.confused(frame) == [(0, 1, 2), (1, 2, 1), (2, 1, 1)]
    assert mistakes.confused(frame, limit=1) == [(0, 1, 2)]


def test_the_worst_rows_of_classes_are_the_wrong_ones_least_expected_first() -> None:
    frame = pl.DataFrame(
        {
            "row": [10, 11, 12, 13],
            "truth": [0, 1, 1, -1],
            "prediction": [0, 0, 0, 1],
            "log_loss": [9.0, 1.0, 3.0, math.nan],
            "confidence": [0.5, 0.6, 0.9, 0.8],
        }
    )
    found = mistakes.worst(frame)
    assert found["row"].to_list() == [13, 12, 11]
    assert found["confidence"].to_list() == [0.8, 0.9, 0.6]
    assert mistakes.worst(frame.drop("row"))["row"].to_list() == [3, 2, 1]


def test_the_worst_rows_of_numbers_have_the_largest_errors() -> None:
    frame = pl.DataFrame({"truth": [1.0, 5.0, math.nan, 2.0], "prediction": [1.5, 2.0, 9.0, 2.0]})
    found = mistakes.worst(frame, limit=2)
    assert found["row"].to_list() == [1, 0]
    assert found["error"].to_list() == [-3.0, 0.5]


def test_the_worst_rows_of_tags_have_the_most_wrong_labels() -> None:
    frame = pl.DataFrame(
        {"truth:a": [1, 1, 0], "prediction:a": [1, 0, 0], "truth:b:c": [0, 0, 1], "prediction:b:c": [0, 1, 0]}
    )
    found = mistakes.worst(frame).to_dicts()
    assert found == [
        {"row": 1, "wrong": 2, "missed": "a", "extra": "b:c"},
        {"row": 2, "wrong": 1, "missed": "b:c", "extra": ""},
    ]
    assert mistakes.worst(frame.clear()).height == 0


def test_tags_have_recall_and_precision() -> None:
    frame = pl.DataFrame({"truth:a": [1, 1, 0, 0], "prediction:a": [1, 0, 1, 0]})
    [(name, found)] = mistakes.by_tag(frame)
    assert (name, found.rows, found.said, found.recall, found.precision) == ("a", 2, 2, 0.5, 0.5)


def test_errors_along_the_range_are_those_of_each_fifth() -> None:
    truth = np.arange(100.0)
    frame = pl.DataFrame({"truth": truth, "prediction": truth + np.where(truth < 50, -1.0, 2.0)})
    parts = mistakes.by_range(frame)
    assert [part.rows for part in parts] == [20] * 5
    assert [part.bias for part in parts] == [-1.0, -1.0, 0.5, 2.0, 2.0]
    assert parts[2].error == 1.5
    assert (parts[0].low, parts[-1].high) == (0.0, 99.0)


def test_equal_truths_stay_in_one_part() -> None:
    frame = pl.DataFrame({"truth": [0.0] * 90 + [1.0] * 10, "prediction": [0.5] * 100})
    assert [(part.low, part.high, part.rows) for part in mistakes.by_range(frame)] == [(0, 0, 90), (1, 1, 10)]
    assert mistakes.by_range(frame.clear()) == []
