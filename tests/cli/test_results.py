"""What goes to stdout and into files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import polars as pl
import pytest

from netwright.base.errors import LearningError, RecipeError
from netwright.cli import demo, results


def test_a_cell_that_a_spreadsheet_would_compute_gets_an_apostrophe() -> None:
    words = ["=1+1", "+A1", "-B", "@x", "\tx", "rose", "-1", "+3.5", None, "a=b"]
    said = results.csv(pl.DataFrame({"prediction": words, "probability": [-0.5] * len(words)}))
    cells = pl.read_csv(io.StringIO(said), infer_schema=False)["prediction"].to_list()
    assert cells == ["'=1+1", "'+A1", "'-B", "'@x", "'\tx", "rose", "-1", "+3.5", None, "a=b"]
    assert "'-0.5" not in said


@pytest.mark.parametrize("suffix", list(results.WRITERS))
def test_predictions_are_written_as_the_suffix_says(suffix: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"prediction": ["a", None], "probability": [0.5, None], "note": ["", "unreadable"]})
    path = tmp_path / f"answers{suffix}"
    results.check_suffix(path)
    results.save(frame, path)
    readers = {".csv": pl.read_csv, ".parquet": pl.read_parquet}
    again = readers.get(suffix, pl.read_ndjson)(path)
    assert again.equals(frame) or again["prediction"].to_list() == ["a", None]


def test_a_suffix_that_nobody_writes_is_refused_beforehand(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"\.xls"):
        results.check_suffix(tmp_path / "answers.xls")
    with pytest.raises(RecipeError, match="nowhere"):
        results.check_suffix(tmp_path / "nowhere" / "answers.csv")


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "answers.csv").mkdir()
    with pytest.raises(LearningError, match=r"answers\.csv"):
        results.save(pl.DataFrame({"prediction": ["a"]}), tmp_path / "answers.csv")


def test_json_has_no_numbers_that_are_not_finite() -> None:
    assert json.loads(results.as_json({"a": float("nan"), "b": [float("inf"), 1.0]})) == {
        "a": None,
        "b": [None, 1.0],
    }


def test_the_demo_draws_its_pictures_above_their_answers() -> None:
    import numpy as np

    pictures = np.stack([np.zeros((2, 3), np.uint8), np.full((2, 3), 255, np.uint8)])
    answers = pl.DataFrame({"prediction": [0, 1], "probability": [0.5, 1.0]})
    assert demo.drawn(pictures, answers) == [
        "         ██████",
        "         ██████",
        "0, 50.0%   1, 100.0%",
    ]
