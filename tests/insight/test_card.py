"""The card and the report."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from netwright.base.schema import Choice, Column, Event, Finding
from netwright.insight import card as cards
from netwright.insight import score, words
from netwright.insight.card import CardFacts, as_json, headline, lines, make_card
from netwright.insight.curves import curves_from_events
from netwright.insight.report import report
from netwright.objectives.metrics import CLASSIFY, REGRESS, TAG, lead_by

MANY = [each for each in CLASSIFY if not each.binary_only]


def classes(number: int = 3, rows: int = 300) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    truth = draw.integers(0, number, rows)
    said = np.where(draw.random(rows) < 0.8, truth, draw.integers(0, number, rows))
    confidence = draw.uniform(0.4, 1, rows)
    return pl.DataFrame(
        {
            "row": np.arange(rows) + 5000,
            "truth": truth,
            "prediction": said,
            "log_loss": np.where(truth == said, -np.log(confidence), 2.0),
            "confidence": confidence,
        }
    )


def facts(**changes: Any) -> CardFacts:
    full = CardFacts(
        task="classify",
        target=["label"],
        network="feedforward",
        rows={"train": 1000, "validation": 200, "test": 300},
        scores=score.evaluate(classes(), MANY, seed=0),
        baselines={
            "blind": {"name": "majority", "words": "always the most frequent class", "value": 0.35},
            "linear": {"name": "linear", "words": "a linear model", "value": 0.7},
        },
        verdict="The network earned its place.",
        calibration={"temperature": 1.31, "before": 0.05, "after": 0.012},
        classes=["a|b", "<b>", "c"],
        choices={
            "network.depth": Choice(value=4, why="small data"),
            "learning.lr": Choice(value=0.003, why="x"),
        },
        limited_by="minutes",
        seconds={"read": 0.1, "train": 104.2, "total": 110.0},
        findings=[
            Finding(
                name="duplicates",
                what="rows stand twice.",
                where="data",
                count=12,
                done="kept together",
                severity="warning",
            ),
            Finding(name="order", what="sorted by label", count=1),
        ],
        columns=[Column(name="x|y", kind="number", role="input", why="all numbers")],
        stored_values=["city"],
        facts={"parameters": 12345, "steps": 3000, "minutes": 2.0, "seed": 0, "epochs": 3.0, "threads": 2},
    )
    return dataclasses.replace(full, **changes)


def test_the_card_is_plain_json_and_comes_back_the_same() -> None:
    card = make_card(facts())
    assert json.loads(json.dumps(card, allow_nan=False)) == card


def test_numbers_that_were_not_measured_are_null() -> None:
    constant = pl.DataFrame({"truth": [1.0, 1.0], "prediction": [1.0, 2.0]})
    unknown = score.evaluate(constant, REGRESS, seed=0)
    card = make_card(facts(task="regress", scores=unknown, seconds={"train": math.inf}))
    assert card["metric"]["value"] is None
    assert card["metrics"]["mae"] == 0.5
    assert card["seconds"]["train"] is None
    assert headline(card) == "r2 not measured on 300 test rows"


def test_the_card_holds_the_headline_with_its_interval_and_the_baselines() -> None:
    card = make_card(facts())
    metric = card["metric"]
    assert (metric["name"], metric["better"]) == ("accuracy", "higher")
    assert metric["low"] < metric["value"] < metric["high"]
    assert card["baseline"] == {"name": "majority", "value": 0.35}
    assert card["baselines"]["linear"]["value"] == 0.7
    assert card["settings"] == {"depth": 4}
    assert card["examples"] == card["rows"]
    assert card["stored_values"] == ["city"]


def test_json_has_the_keys_that_scripts_read() -> None:
    found = as_json(make_card(facts()), run="runs/a", model="runs/a/model.safetensors")
    promised = """task target network rows examples metric metrics baseline seconds minutes limited_by
        steps epochs parameters threads seed findings run model"""
    assert set(promised.split()) <= set(found)
    assert set(found["metric"]) == {"name", "value", "low", "high"}
    assert found["target"] == "label"
    assert as_json(make_card(facts(target=["a", "b"])))["target"] == ["a", "b"]


def test_the_console_gets_at_most_twelve_lines_the_headline_first() -> None:
    many = [Finding(name="n", what=f"finding {at}", severity="warning") for at in range(50)]
    said = lines(make_card(facts(findings=many, coverage={"asked": 0.9, "measured": 0.91})))
    assert len(said) <= 12
    assert said[0].startswith("accuracy 0.8")
    assert "(95 %: " in said[0]
    assert said[0].endswith("on 300 test rows")
    assert "always the most frequent class 0.35, a linear model 0.7" in said[1]
    assert said[-1] == "46 more findings in the report"
    assert any("limited by minutes" in line for line in said)


def test_an_interrupted_run_says_that_test_rows_were_not_opened() -> None:
    card = make_card(facts(scores=None, interrupted=True, validation={"name": "accuracy", "value": 0.9}))
    assert headline(card) == "accuracy not measured on test rows; accuracy 0.9 on validation rows"
    assert card["limited_by"] == "interrupted"
    text = report(card, None, None)
    assert "The run was interrupted: the test rows were not opened." in text
    assert "Confusion" not in text
    assert not any("earned" in line for line in lines(card))


def test_duplicates_show_the_score_without_them() -> None:
    card = make_card(facts(duplicates={"rows": 3, "value": 0.75}))
    assert "3 test rows also in training; without them accuracy 0.75" in lines(card)
    assert "without them accuracy is 0.75" in report(card, None, None)


def test_calibration_and_coverage_are_sentences() -> None:
    assert cards.calibration({"temperature": 1.5, "before": 0.05, "after": 0.01}) == (
        "probabilities are off by 0.01 on average (calibration error, 0.05 before; temperature 1.5)"
    )
    assert "not measured on test rows" in cards.calibration({"temperature": 1.5})
    assert cards.covered({"asked": 0.9, "measured": 0.8812}) == (
        "intervals meant to hold 90 % of the truths hold 88.1 % of them"
    )


def test_the_report_has_every_part() -> None:
    events = [Event(type="evaluate", step=at, data={"loss": 1.0 / at, "score": 0.5}) for at in range(1, 9)]
    text = report(make_card(facts()), classes(), curves_from_events(events))
    for title in ("Confusion", "Each class", "The worst mistakes", "How far to trust it", "How it learned"):
        assert f"## {title}" in text
    for title in ("Findings", "Columns", "Recipe"):
        assert f"## {title}" in text
    assert "![how it learned](learning.svg)" in text
    assert "The model file contains values of: city." in text
    assert "| network.depth | 4 | derived | small data |" in text


def test_the_confusion_matrix_of_the_report_counts_every_row() -> None:
    text = report(make_card(facts()), classes(), None)
    block = text.split("## Confusion")[1].split("## Each class")[0]
    rows = [line.replace("\\|", "") for line in block.splitlines() if line.startswith("| ")][1:]
    counts = [[int(each) for each in row.strip("| ").split(" | ")[1:]] for row in rows]
    assert np.shape(counts) == (3, 3)
    assert np.sum(counts) == 300


def test_many_classes_show_the_most_confused_pairs_instead() -> None:
    text = report(make_card(facts(classes=[f"c{at}" for at in range(80)])), classes(80, 2000), None)
    assert "The most confused of 80 classes." in text
    assert "The 20 of 80 that are missed most." in text
    assert max(len(line) for line in text.splitlines()) < 400


def test_the_report_of_numbers_has_an_error_table() -> None:
    draw = np.random.default_rng(0)
    truth = draw.normal(0, 10, 500)
    frame = pl.DataFrame({"truth": truth, "prediction": truth + draw.normal(0, 1, 500)})
    card = make_card(
        facts(task="regress", scores=score.evaluate(frame, REGRESS, seed=0), classes=[], calibration=None)
    )
    text = report(card, frame, None)
    assert "## Errors along the range" in text
    assert text.count("| 100 |") == 5
    worst = int(np.abs(frame["prediction"].to_numpy() - truth).argmax())
    assert f"| {worst} |" in text.split("## The worst mistakes")[1].splitlines()[4]


def test_the_report_of_tags_has_a_line_for_each_label() -> None:
    frame = pl.DataFrame({"truth:a": [1, 0], "score:a": [0.9, 0.2], "prediction:a": [1, 1]})
    card = make_card(facts(task="tag", scores=score.evaluate(frame, TAG, seed=0), classes=[], calibration=None))
    text = report(card, frame, None)
    assert "| a | 1 | 2 | 1 | 0.5 | 0.6667 |" in text


def test_names_from_the_data_cannot_break_the_report() -> None:
    evil = ["<script>alert(1)</script>", "a|b\n# big", "[x](javascript:y)"]
    text = report(make_card(facts(classes=evil)), classes(), None)
    assert "<script" not in text
    assert "\n# big" not in text
    assert "[x](" not in text
    tables = [line for line in text.splitlines() if line.startswith("| a\\|b")]
    assert tables


def test_names_of_metrics_are_words_where_people_read_them() -> None:
    leading = lead_by(MANY, "balanced_accuracy")
    card = make_card(facts(scores=score.evaluate(classes(), leading, seed=0)))
    assert headline(card).startswith("balanced accuracy 0.8")
    assert "| balanced_accuracy |" in report(card, classes(), None)


def test_a_report_without_a_mistake_says_so() -> None:
    perfect = classes().with_columns(prediction=pl.col("truth"))
    assert "No test row was mistaken." in report(make_card(facts()), perfect, None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9931, "0.9931"),
        (0.99996, "0.99996"),
        (0.5, "0.5"),
        (1.0, "1"),
        (12345.678, "12,346"),
        (1234.5, "1,234"),
        (-3.14159, "-3.142"),
        (3.2e-6, "3.2e-06"),
        (2e12, "2e+12"),
        (math.nan, "not measured"),
        (None, "not measured"),
        (math.inf, "no limit"),
        (0.0, "0"),
    ],
)
def test_figures_have_four_significant_digits(value: float | None, text: str) -> None:
    assert words.figure(value) == text


def test_spans_of_time_are_readable() -> None:
    assert [words.seconds(each) for each in (0.84, 42.4, 119.0, 125.0, 180.0)] == [
        "0.8 s",
        "42 s",
        "119 s",
        "2 min 5 s",
        "3 min",
    ]
