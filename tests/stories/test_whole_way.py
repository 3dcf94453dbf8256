"""Whole runs on small data: to a network that predicts, resumed, repeated, left alone by test rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from netwright import build
from netwright.base.errors import LearningError, NetwrightError
from netwright.base.files import Lock
from netwright.base.schema import Event
from netwright.cli.main import run
from netwright.serving.predict import load

QUICK = {"learning.epochs": 3}


def table(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    a, b = draw.normal(size=(2, rows)).round(4)
    color = draw.choice(["red", "green", "blue"], rows)
    kind = np.where(a * b + (color == "red") > 0.3, "yes", "no")
    return pl.DataFrame({"a": a, "b": b, "color": color.tolist(), "kind": kind.tolist()})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {k: v for k, v in load_file(folder / "model.safetensors").items() if not k.startswith("json")}


def same(first: Path, second: Path) -> bool:
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_table_becomes_a_network_that_predicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table().write_csv(tmp_path / "data.csv")
    out = tmp_path / "run"
    asked = ["train", str(tmp_path / "data.csv"), "--target", "kind", "--out", str(out), "--json"]
    assert run([*asked, "--set", "learning.epochs=20"]) == 0
    names = {"recipe.json", "events.jsonl", "card.json", "report.md", "learning.svg", "model.safetensors"}
    assert names <= {path.name for path in out.iterdir()}
    assert '"task": "classify"' in capsys.readouterr().out
    assert run(["predict", str(out), str(tmp_path / "data.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("prediction,probability")
    assert len(lines) == 401
    assert run(["evaluate", str(out), str(tmp_path / "data.csv"), "--json"]) == 0
    assert run(["show", str(out)]) == 0
    assert run(["check", str(tmp_path / "data.csv"), "--target", "kind"]) == 0


def test_a_number_gets_an_interval(tmp_path: Path) -> None:
    frame = table(600).with_columns((pl.col("a") * 3 + pl.col("b")).alias("price"))
    made = build.train(frame, target="price", minutes=1, out=tmp_path / "run", set={"learning.epochs": 30})
    answers = made.model.predict(frame.head(5))
    assert answers.columns == ["prediction", "low", "high", "note"]
    assert made.card["metric"]["name"] == "r2"
    assert made.card["metric"]["value"] > 0.8


def test_labels_split_at_a_semicolon_become_tags() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 2))
    tags = [";".join(n for n, v in zip("pq", row > 0, strict=True) if v) or None for row in x]
    frame = pl.DataFrame({"u": x[:, 0], "v": x[:, 1], "tags": tags})
    made = build.fit(frame, target="tags", task="tag", set={"learning.epochs": 30})
    assert made.card["task"] == "tag"
    assert made.card["metric"]["value"] > 0.8


def test_a_folder_of_photos_becomes_a_network(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name, shade in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(30):
            pixels = np.clip(draw.normal(shade, 20, (40, 50, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.jpg")
    made = build.train(tmp_path / "photos", out=tmp_path / "run", minutes=1, set={"learning.epochs": 4})
    assert made.card["metric"]["value"] == 1.0
    answers = load(tmp_path / "run" / "model.safetensors").predict(tmp_path / "photos" / "dark" / "0.jpg")
    assert answers["prediction"].to_list() == ["dark"]


class Killed(BaseException):
    """Ends a run at once, as a kill would: nothing of ours catches it."""


@pytest.mark.parametrize(("stop", "texts"), [(3, False), (11, False), (3, True)])
def test_a_killed_run_resumes_to_the_same_bits(
    stop: int, texts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwright.learning.checkpoint.Saver.offer", lambda s, now: s.save(now()))
    rows = table()
    if texts:  # words whose vectors rest where they are not read
        said = [f"thing {n % 37} of {n % 11} in {word}" for n, word in enumerate(rows["color"])]
        rows = rows.select("kind", said=pl.Series(said))
    rows.write_csv(tmp_path / "data.csv")
    asked: dict[str, Any] = {"target": "kind", "minutes": 1, "set": {"learning.epochs": 8}}
    build.train(tmp_path / "data.csv", out=tmp_path / "whole", **asked)
    seen = 0

    def kill(event: Event) -> None:
        nonlocal seen
        seen += event.type == "evaluate"
        if seen >= stop:
            raise Killed

    with pytest.raises(Killed):
        build.train(tmp_path / "data.csv", out=tmp_path / "killed", listen=kill, **asked)
    build.resume(tmp_path / "killed")
    assert same(tmp_path / "whole", tmp_path / "killed")


def test_a_recipe_repeats_a_run(tmp_path: Path) -> None:
    table().write_csv(tmp_path / "data.csv")
    asked: dict[str, Any] = {"target": "kind", "minutes": 0.05}
    build.train(tmp_path / "data.csv", out=tmp_path / "first", **asked)
    build.train(tmp_path / "data.csv", out=tmp_path / "again", recipe=tmp_path / "first", **asked)
    assert same(tmp_path / "first", tmp_path / "again")


def test_a_recipe_repeats_a_run_that_kept_the_linear_model(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 3)).round(3)
    y = (x @ [1.0, -2.0, 0.5] + 0.5 * draw.normal(size=400)).round(3)
    pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y}).write_csv(tmp_path / "data.csv")
    asked: dict[str, Any] = {"target": "y", "minutes": 0.05, "task": "regress"}
    short = {"learning.epochs": 0.1}
    first = build.train(tmp_path / "data.csv", out=tmp_path / "first", set=short, **asked)
    assert first.model.network.family.members == 1, "this story is about a line that needs no hidden layer"
    build.train(tmp_path / "data.csv", out=tmp_path / "again", recipe=tmp_path / "first", **asked)
    assert same(tmp_path / "first", tmp_path / "again")


def _changed(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """The test rows changed, fewer, and more."""
    other = frame.with_columns(pl.col("a") * -3, pl.lit("purple").alias("color"), pl.lit("no").alias("kind"))
    return [other, frame.head(7), pl.concat([frame, other])]


def test_rows_of_a_test_file_leave_every_weight_alone(tmp_path: Path) -> None:
    train, test = table(300), table(80, seed=1)
    made = [
        build.fit(train, target="kind", test=each, set=QUICK).model.to_bytes for each in [test, *_changed(test)]
    ]
    assert len({_fitted(model.__self__) for model in made}) == 1


def test_rows_named_test_by_a_column_leave_every_weight_alone() -> None:
    train, test = table(300), table(80, seed=1)
    found = set()
    for each in [test, *_changed(test)]:
        frame = pl.concat(
            [
                train.with_columns(pl.lit("train").alias("split")),
                each.with_columns(pl.lit("test").alias("split")),
            ]
        )
        found.add(_fitted(build.fit(frame, target="kind", set=QUICK).model))
    assert len(found) == 1


def test_a_changed_test_row_of_a_random_split_leaves_every_weight_alone(tmp_path: Path) -> None:
    frame = table(300)
    first = build.train(frame, target="kind", set=QUICK, out=tmp_path / "run")
    row = int(pl.read_parquet(tmp_path / "run" / "predictions.parquet")["row"][3]) - 1
    changed = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == row).then(99.0).otherwise(pl.col("a")).alias("a")
    )
    assert _fitted(first.model) == _fitted(build.fit(changed, target="kind", set=QUICK).model)


def _fitted(model: Any) -> str:
    """Everything fitted: kinds, classes, temperature and weights, as one text."""
    kinds = [(n, f, {k: v.tolist() for k, v in t.items()}) for n, f, t in model.inputs.state()]
    tensors = {k: v.tolist() for k, v in model.network.state_dict().items()}
    return repr((kinds, model.task.state(), tensors))


def test_a_run_folder_has_one_writer(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with Lock(tmp_path / "run"), pytest.raises(LearningError, match="being written by"):
        build.train(table(60), target="kind", set=QUICK, out=tmp_path / "run", force=True)


BAD = {
    "empty": "",
    "header only": "a,b,kind\n",
    "one row": "a,b,kind\n1,2,yes\n",
    "one class": "a,kind\n" + "".join(f"{i},yes\n" for i in range(50)),
    "ragged": "a,kind\n1,yes\n2\n3,no\n",
    "no target": "a,b\n" + "1,2\n" * 30,
    "target missing": "a,kind\n" + "".join(f"{i},\n" for i in range(50)),
    "duplicate names": "a,a,kind\n1,2,yes\n",
    "bytes": "a,kind\n1,\x00\x01\n",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_refused_without_a_trace(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text(BAD[name])
    assert run(["train", "bad.csv", "--target", "kind", "--minutes", "0.1"]) == 2
    said = capsys.readouterr().err
    assert "hint:" in said
    assert "Traceback" not in said
    assert not (tmp_path / "runs").exists()


def test_decorated_numbers_are_numbers() -> None:
    frame = pl.DataFrame(
        {
            "x": [f"{1000 + i:,}.5" for i in range(80)],
            "share": [f"{i} %" for i in range(80)],
            "y": ["u" if i < 40 else "v" for i in range(80)],
        }
    )
    made = build.fit(frame, target="y", set=QUICK, keep=("x", "share"))
    assert {c["name"]: c["kind"] for c in made.card["columns"]}["x"] == "number"
    assert {c["name"]: c["kind"] for c in made.card["columns"]}["share"] == "number"


def test_new_rows_that_lack_a_column_are_refused() -> None:
    model = build.fit(table(), target="kind", set=QUICK).model
    with pytest.raises(NetwrightError, match="color"):
        model.predict(table().drop("color"))
