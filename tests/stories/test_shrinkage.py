"""What was learned is kept as far as validation rows show that it is more than chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from netwright import build
from netwright.base.errors import DataError


def table(kind: str, signal: float, rows: int = 300) -> pl.DataFrame:
    """Six numbers, and an answer that follows the first two as far as `signal` says."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=(rows, 6))
    y = signal * (x[:, 0] - x[:, 1]) + draw.normal(size=rows)
    cells: dict[str, Any] = {f"c{place}": column for place, column in enumerate(x.T)}
    return pl.DataFrame({**cells, "y": y if kind == "number" else np.where(y > 0.4, "yes", "no")})


def kept_of(run: Any) -> float:
    """How much of what was learned was kept."""
    found = [each for each in run.card["choices"] if each["name"] == "found.held"]
    assert all(each["by"] == "measured" for each in found)
    return float(found[0]["value"]) if found else 1.0


@pytest.mark.parametrize("kind", ["number", "class"])
def test_an_answer_that_depends_on_nothing_is_answered_as_if_there_were_no_inputs(kind: str) -> None:
    frame = table(kind, 0.0)
    run = build.fit(frame, target="y", minutes=0.1, seed=0)
    assert kept_of(run) <= 0.3
    assert (kept_of(run) == 0.0) == run.card["verdict"].startswith("Nothing that was learned held")
    answers = run.model.predict(frame.drop("y"), probabilities=kind == "class")
    if kind == "number":
        spread = float(answers["prediction"].to_numpy().std())
        assert spread <= 0.15 * float(frame["y"].to_numpy().std())
    else:
        share = float((frame["y"] == "yes").mean())
        found = answers["probability:yes"].to_numpy()
        assert abs(found.mean() - share) < 0.1
        assert found.std() < 0.1


@pytest.mark.parametrize("kind", ["number", "class"])
def test_an_answer_that_follows_inputs_is_kept(kind: str) -> None:
    run = build.fit(table(kind, 3.0), target="y", minutes=0.1, seed=0)
    assert kept_of(run) >= 0.8
    assert run.card["metric"]["value"] > 0.8


def test_what_is_too_little_for_folds_is_learned_from_by_one_network() -> None:
    from netwright import Regressor

    x, y = np.random.default_rng(0).normal(size=(100, 4)), np.zeros(100)
    y[5] = 1.0  # constant in the rows that some fold learns from
    assert not Regressor(minutes=0.1).fit(x, y).card_.get("folds")
    with pytest.raises(DataError, match="constant"):
        Regressor(minutes=0.1, folds=8).fit(x, y)


def test_a_table_of_few_rows_is_learned_from_in_folds_by_an_estimator() -> None:
    from netwright import Classifier

    frame = table("class", 3.0)
    x, y = frame.drop("y").to_pandas(), frame["y"].to_numpy()
    by_default = Classifier(minutes=0.2).fit(x, y)
    assert by_default.card_["folds"] == 8
    assert by_default.card_["rows"]["test"] == len(x)
    assert by_default.card_["metric"]["value"] > 0.8
    alone = Classifier(minutes=0.2, set={"network.shortcut": True}).fit(x, y)
    assert not alone.card_.get("folds")
    few = Classifier(minutes=0.2).fit(x[:50], y[:50])
    assert not few.card_.get("folds")
