"""A picture that cannot be read costs its own line and no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from netwright.base.errors import DataError
from netwright.base.schema import Column, InputSpec, Recipe
from netwright.data.columns import Inputs
from netwright.data.table import ReadOptions, Table
from netwright.serving.bundle import Bundle, from_bytes, to_bytes
from netwright.serving.plain import to_plain
from netwright.serving.predict import Model
from netwright.tasks import TASKS
from netwright.tasks.network import build

SETTINGS = {"size": [8, 8], "channels": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve grey pictures, dark ones and light ones."""
    for index in range(12):
        pixels = np.full((8, 8), 20 * index, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index:02}.png")
    return tmp_path


@pytest.fixture
def model(folder: Path) -> Model:
    """A model of those pictures, through its bytes."""
    paths = [str(path) for path in sorted(folder.glob("*.png"))]
    cells = pl.DataFrame({"photo": paths, "y": ["dark"] * 6 + ["light"] * 6})
    table = Table(cells=cells, source="photos", root=folder)
    columns = (
        Column(name="photo", kind="image", role="input", why="", settings=SETTINGS),
        Column(name="y", kind="category", role="target", why=""),
    )
    inputs = Inputs.fit(table, columns, np.arange(12))
    task = TASKS["classify"].fit(table.frame(["y"]), {})
    spec = InputSpec(inputs=inputs.fields(), outputs=2, task="classify", examples=12)
    config = {"depth": 1, "width": 8, "members": 1, "embedding": "none"}
    torch.manual_seed(0)
    network = build("feedforward", config, spec, task)
    bundle = Bundle(
        recipe=to_plain(Recipe(version="0.1.0", seed=0, choices={})),
        columns=columns,
        kinds=inputs.state(),
        task=("classify", *task.state()),
        network={"name": "feedforward", "config": config, "spec": to_plain(spec)},
        card={},
        options=to_plain(ReadOptions(allow_outside=True)),
        weights=network.state_dict(),
    )
    return Model(from_bytes(to_bytes(bundle), "m"))


def table_of(folder: Path, *names: str | None) -> Path:
    """A table beside the pictures that names some of them."""
    path = folder / "table.csv"
    pl.DataFrame({"photo": list(names)}, schema={"photo": pl.String}).write_csv(path)
    return path


def test_a_picture_that_cannot_be_read_has_an_empty_prediction_and_a_note(model: Model, folder: Path) -> None:
    (folder / "broken.png").write_bytes((folder / "03.png").read_bytes()[:40])
    whole = model.predict(table_of(folder, "00.png", "03.png", "11.png"))
    path = table_of(folder, "00.png", "broken.png", "03.png", "gone.png", "11.png")
    answers = model.predict(path, probabilities=True)
    assert answers.height == 5
    assert answers["prediction"].is_null().to_list() == [False, True, False, True, False]
    assert [bool(note) for note in answers["note"]] == [False, True, False, True, False]
    assert answers["probability"].drop_nulls().to_list() == pytest.approx(
        whole["probability"].to_list(), abs=1e-5
    )


def test_where_no_picture_can_be_read_all_predictions_are_empty(model: Model, folder: Path) -> None:
    answers = model.predict(table_of(folder, "a.png", "b.png"))
    assert answers["prediction"].null_count() == 2
    assert answers.columns == ["prediction", "probability", "note"]


def test_one_picture_or_a_folder_is_taken_under_the_name_the_model_knows(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = model.predict(folder)
    assert every.height == 12
    assert model.predict(folder / "05.png").equals(every[5:6])
    monkeypatch.chdir(folder)
    assert model.predict({"photo": "05.png"}).equals(every[5:6])


def test_a_model_file_cannot_allow_paths_out_of_the_folder(model: Model, folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    path = table_of(inner, "../00.png")
    with pytest.raises(DataError, match="outside"):
        model.predict(path)


def test_evaluating_leaves_out_what_cannot_be_read(model: Model, folder: Path) -> None:
    path = folder / "truth.csv"
    pl.DataFrame({"photo": ["00.png", "gone.png"], "y": ["dark", "light"]}).write_csv(path)
    facts = model.evaluate(path)
    assert facts["rows"] == {"test": 1}
    assert len(facts["findings"]) == 1
