"""Answers come in order, in the user's own words, and do not depend on the rows beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars as pl
import pytest

from netwright.base.errors import DataError, RecipeError
from netwright.data.columns import Inputs
from netwright.data.table import Table
from netwright.serving.predict import Model
from tests.serving.models import NAMES, bundle, frame


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(bundle())


def test_columns_are_prediction_probability_and_note(model: Model) -> None:
    assert model.predict(frame()).columns == ["prediction", "probability", "note"]
    every = model.predict(frame(), probabilities=True)
    assert every.columns == [
        "prediction",
        "probability",
        "probability:cat",
        "probability:dog",
        "note",
    ]
    best = model.predict(frame(), top=2)
    assert best.columns == ["prediction", "probability", "prediction:2", "probability:2", "note"]
    number = Model(bundle("regress")).predict(frame("regress"))
    assert number.columns == ["prediction", "low", "high", "note"]
    assert number["prediction"].dtype == pl.Float64


def test_labels_keep_the_type_they_had() -> None:
    answers = Model(bundle("numbered")).predict(frame("numbered"))
    assert answers["prediction"].dtype == pl.Int64
    assert set(answers["prediction"]) <= {0, 1, 2}


def test_order_is_kept_and_rows_do_not_see_each_other(model: Model) -> None:
    many = pl.concat([frame()] * 50)  # 3,000 rows: more than go through at once
    together = model.predict(many, probabilities=True)
    assert together.height == many.height
    alone = pl.concat([model.predict(many[row : row + 1], probabilities=True) for row in range(60)])
    # the same sums in another order: a few units in the last place of float32
    some = together[2040:2100]["probability:cat"].to_numpy()
    np.testing.assert_allclose(alone["probability:cat"].to_numpy(), some, atol=1e-5)
    shuffled = np.random.default_rng(1).permutation(many.height)
    moved = model.predict(many[shuffled], probabilities=True)["probability:cat"].to_numpy()
    np.testing.assert_allclose(moved, together["probability:cat"].to_numpy()[shuffled], atol=1e-5)


def test_the_same_rows_in_any_form_give_the_same_answers(model: Model, tmp_path: Path) -> None:
    rows = frame()[:8].select(NAMES)
    expected = model.predict(rows)["probability"].to_numpy()
    rows.write_csv(tmp_path / "rows.csv")
    rows.write_parquet(tmp_path / "rows.parquet")
    forms: list[Any] = [
        rows.to_dict(as_series=False),
        rows.to_dicts(),
        pandas.DataFrame(rows.to_dict(as_series=False)),
        rows.to_numpy(),
        tmp_path / "rows.csv",
        str(tmp_path / "rows.parquet"),
        {name: rows[name].to_numpy() for name in NAMES},
        rows.with_columns(more=pl.lit("x")),
        rows.select(reversed(NAMES)),
        rows.cast(pl.String),
    ]
    for form in forms:
        # CSV and text keep 17 digits, so float32 inputs are the same
        np.testing.assert_allclose(model.predict(form)["probability"].to_numpy(), expected, atol=1e-6)


def test_one_row_as_a_dict_is_one_line(model: Model) -> None:
    row = frame()[:1].to_dicts()[0]
    expected = model.predict(frame()[:1])
    assert model.predict(row).equals(expected)
    assert model.predict([row]).equals(expected)
    assert model.predict({name: np.float64(row[name]) for name in NAMES}).equals(expected)
    assert model.predict({name: f" {row[name]!r} " for name in NAMES}).equals(expected)


def test_missing_words_are_missing_in_every_form(model: Model) -> None:
    row = {**frame()[:1].to_dicts()[0], "age": None}
    expected = model.predict(row)["probability"][0]
    for word in ("", " NA ", "?", "null"):
        assert model.predict({**row, "age": word})["probability"][0] == expected
        columns = pl.DataFrame({name: [str(row[name])] for name in NAMES}).with_columns(age=pl.lit(word))
        assert model.predict(columns)["probability"][0] == pytest.approx(expected, abs=1e-6)


def test_a_column_that_is_lacking_is_named(model: Model) -> None:
    with pytest.raises(DataError, match="age"):
        model.predict(frame().drop("age"))
    with pytest.raises(DataError, match="age"):
        model.predict({"height": 1.0, "weight": 2.0})
    with pytest.raises(DataError):
        model.predict(frame()[:0])
    with pytest.raises(DataError):
        model.predict("no/such/file.csv")
    with pytest.raises(DataError):
        model.predict(object())


def test_rows_without_names_are_taken_by_position(tmp_path: Path) -> None:
    old = bundle()
    names = dict(zip([*NAMES, "y"], ["c1", "c2", "c3", "c4"], strict=True))
    columns = tuple(replace(column, name=names[column.name]) for column in old.columns)
    table = Table(cells=frame().rename(names), source="rows")
    inputs = Inputs.fit(table, columns, np.arange(table.height))
    spec = {**old.network["spec"]}
    spec["inputs"] = [{**each, "columns": ["c1", "c2", "c3"]} for each in spec["inputs"]]
    task = (old.task[0], {**old.task[1], "column": "c4"}, old.task[2])
    network = {**old.network, "spec": spec}
    model = Model(replace(old, columns=columns, kinds=inputs.state(), network=network, task=task))
    expected = Model(old).predict(frame()[:5])["probability"].to_numpy()
    for width in (4, 3):
        path = tmp_path / f"{width}.csv"
        frame()[:5].select([*NAMES, "y"][:width]).write_csv(path, include_header=False)
        np.testing.assert_allclose(model.predict(path)["probability"].to_numpy(), expected, atol=1e-6)
    frame()[:1].select(NAMES).write_csv(tmp_path / "one.csv", include_header=False)
    assert model.predict(tmp_path / "one.csv").height == 1


def test_settings_that_say_nothing_are_refused(model: Model) -> None:
    for settings in ({"top": 0}, {"top": 1.5}, {"threshold": 2.0}, {"threshold": "x"}):
        with pytest.raises(RecipeError):
            model.predict(frame(), **settings)
    with pytest.raises(RecipeError, match="regress: it has no use for top"):
        Model(bundle("regress")).predict(frame("regress"), top=2)
    with pytest.raises(RecipeError, match="two classes"):
        Model(bundle("numbered")).predict(frame("numbered"), threshold=0.2)


def test_a_threshold_moves_the_second_class(model: Model) -> None:
    assert set(model.predict(frame(), threshold=0.0)["prediction"]) == {"dog"}
    assert set(model.predict(frame(), threshold=1.0)["prediction"]) == {"cat"}


@pytest.mark.parametrize("task", ["classify", "numbered", "regress", "tag"])
def test_evaluating_gives_every_metric_and_the_interval_of_the_first(task: str) -> None:
    facts = Model(bundle(task)).evaluate(frame(task))
    assert facts["rows"] == {"test": 60}
    assert facts["target"] == "y"
    assert facts["metric"]["low"] <= facts["metric"]["value"] <= facts["metric"]["high"]
    assert facts["metrics"][facts["metric"]["name"]] == facts["metric"]["value"]
    assert np.isfinite(facts["baseline"]["value"])
    assert facts["findings"] == []
    assert facts == Model(bundle(task)).evaluate(frame(task))


def test_evaluating_says_what_it_left_out_and_what_it_never_saw(model: Model) -> None:
    rows = frame().with_columns(
        y=pl.when(pl.int_range(60) == 0).then(None).when(pl.int_range(60) == 1)
        .then(pl.lit("bird")).otherwise(pl.col("y"))
    )  # fmt: skip
    facts = model.evaluate(rows)
    assert facts["rows"] == {"test": 59}
    assert len(facts["findings"]) == 2
    with pytest.raises(DataError, match="'y'"):
        model.evaluate(rows.drop("y"))
    with pytest.raises(DataError, match="no row with an answer"):
        model.evaluate(rows[:1])
