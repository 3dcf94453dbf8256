"""Training on more than the memory allowed: as good as in memory, within the bound, resumed bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from netwright import build, larger, training
from netwright.base.errors import DataError, NetwrightError
from netwright.base.schema import Event
from netwright.cli.main import run
from netwright.data.readers import parquet, pieces, tables
from netwright.data.rest import Sample
from netwright.prepare import prepare
from netwright.request import Request

QUICK = {"learning.epochs": 4}
SMALL = "50MB"


@pytest.fixture
def all_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files take more than is allowed, and samples of them are small."""
    monkeypatch.setattr(tables, "TIMES", 10**6)
    monkeypatch.setattr(parquet, "TIMES", 10**6)
    for module in (pieces, parquet):
        monkeypatch.setattr(module, "sample_of", _a_fifth)


def _a_fifth(rows: int, row_bytes: float, memory: int) -> Sample:
    return Sample(5)


def table(rows: int = 4_000, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    a, b, c = draw.normal(size=(3, rows)).round(5)
    color = draw.choice(["red", "green", "blue"], rows)
    kind = np.where(a * b + 0.5 * c + (color == "red") > 0.3, "yes", "no")
    return pl.DataFrame({"a": a, "b": b, "c": c, "color": color.tolist(), "kind": kind.tolist()})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {k: v for k, v in load_file(folder / "model.safetensors").items() if not k.startswith("json")}


def written(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    return path


@pytest.mark.usefixtures("all_is_large")
@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_the_rest_is_encoded_as_it_would_be_in_memory(tmp_path: Path, name: str) -> None:
    path = written(table(), tmp_path / name)
    made = prepare(path, Request(memory=SMALL, target=("kind",)))
    assert made.stored is not None
    assert made.table.rest is not None
    assert made.table.height + made.table.rest.rows == 4_000
    held = np.concatenate([made.split.select, made.split.calibrate, made.split.test])
    assert made.rows_to_learn == 4_000 - len(np.unique(held)) == made.spec.examples
    cells = pl.concat([made.table.frame(made.table.columns, made.split.train), *made.table.rest.read()])
    whole = type(made.table)(cells=cells, source="whole")
    inputs, target = made.task.examples(whole, np.arange(cells.height), made.inputs, learn=True)
    every = torch.arange(cells.height)
    assert inputs.keys() == made.stored.inputs.keys()
    assert all(torch.equal(made.stored.inputs[key].take(every), inputs[key].values) for key in inputs)
    assert torch.equal(made.stored.target.take(every), target.values)


@pytest.mark.usefixtures("all_is_large")
def test_a_large_table_is_learned_from_as_well_as_in_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(table(), tmp_path / "data.csv")
    tests = written(table(2_000, seed=1), tmp_path / "new.csv")
    values = {}
    for name, memory in (("pieces", ["--memory", SMALL]), ("memory", [])):
        if not memory:
            tables.TIMES = 0
        asked = ["train", str(path), "--target", "kind", "--out", str(tmp_path / name), "--json", *memory]
        assert run([*asked, "--set", "learning.epochs=6"]) == 0
        card = json.loads(capsys.readouterr().out)
        assert run(["evaluate", str(tmp_path / name), str(tests), "--json"]) == 0
        values[name] = json.loads(capsys.readouterr().out)["metric"]["value"]
        said = [each for each in card["findings"] if each["name"] == "larger than memory"]
        assert len(said) == (1 if memory else 0)
        assert card["rows"]["train"] > (3_000 if memory else 2_000)
    assert values["pieces"] > values["memory"] - 0.02
    assert values["pieces"] > 0.9
    assert not [each.name for each in tmp_path.rglob("*") if "scratch" in each.name]


@pytest.mark.usefixtures("all_is_large")
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(table(), tmp_path / "data.csv")
    asked: dict[str, Any] = {"target": "kind", "memory": SMALL, "set": {"learning.epochs": 6}}
    build.train(path, out=tmp_path / "whole", **asked)

    class Stopped(Exception):
        pass

    def stop(event: Event) -> None:
        if event.type == "evaluate" and event.step >= 20:
            raise Stopped

    monkeypatch.setattr("netwright.learning.checkpoint.Saver.offer", lambda saver, now: saver.save(now()))
    with pytest.raises(Stopped):
        build.train(path, out=tmp_path / "cut", listen=stop, **asked)
    assert (tmp_path / "cut" / "checkpoint").exists()
    build.resume(tmp_path / "cut")
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.usefixtures("all_is_large")
def test_rows_that_cannot_be_learned_from_are_left_out_and_counted(tmp_path: Path) -> None:
    frame = table()
    kind = frame["kind"].to_list()
    kind[1_000:1_100] = [None] * 100
    copies = frame.with_columns(kind=pl.Series(kind))
    path = written(pl.concat([copies, copies.head(700)]), tmp_path / "data.csv")
    made = prepare(path, Request(memory=SMALL, target=("kind",)))
    said = next(each for each in made.findings if each.name == "rows left out")
    assert "have no target" in said.what
    assert made.stored is not None
    assert made.table.rest is not None
    assert len(made.stored.target) == len(made.split.train) + made.table.rest.rows - said.count
    # what stands among the rows that are measured on is nowhere learned from
    measured = np.concatenate([made.split.test, made.split.select, made.split.calibrate])
    held = made.table.frame(made.table.columns, np.unique(measured)).unique()
    rest = pl.concat(list(made.table.rest.read()))
    equal = rest.join(held, on=held.columns, how="semi", nulls_equal=True).height
    assert equal > 20
    assert f"{equal:,} equal a row that is measured on" in said.what


@pytest.mark.usefixtures("all_is_large")
def test_a_class_that_the_sample_lacks_is_left_out_and_said(tmp_path: Path) -> None:
    frame = table()
    sampled = prepare(
        written(frame, tmp_path / "a.csv"), Request(memory=SMALL, target=("kind",)), store=False
    ).table.cells
    keys = set(sampled["a"].to_list())
    rare = next(i for i, cell in enumerate(frame["a"].to_list()) if str(cell) not in keys)
    kind = frame["kind"].to_list()
    kind[rare] = "maybe"
    path = written(frame.with_columns(kind=pl.Series(kind)), tmp_path / "b.csv")
    made = prepare(path, Request(memory=SMALL, target=("kind",)))
    said = next(each for each in made.findings if each.name == "rows left out")
    assert "1 have a class that the sample does not" in said.what


@pytest.mark.usefixtures("all_is_large")
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"split": "group", "group": "color"}, "--split group"),
        ({"split": "time", "time": "c"}, "--split time"),
        ({"weight": "c"}, "--weight c"),
        ({"test": "last:0.2"}, "--test last:0.2"),
        ({"validation": "color=red"}, "--validation color=red"),
        ({"horizon": 3}, "a forecast"),
        ({"task": "recommend"}, "--task recommend"),
    ],
)
def test_what_needs_all_rows_at_once_is_refused_before_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], said: str
) -> None:
    path = written(table(), tmp_path / "data.csv")
    monkeypatch.setattr(tables, "sampled", lambda *_: pytest.fail("it was read"))
    with pytest.raises(NetwrightError, match=f"{said} needs all its rows at once") as error:
        build.train(path, out=tmp_path / "run", memory=SMALL, **asked)
    assert "--memory" in error.value.hint
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("all_is_large")
def test_a_column_that_names_the_parts_is_refused(tmp_path: Path) -> None:
    frame = table().with_columns(split=pl.Series((["train"] * 3 + ["test"]) * 1_000))
    with pytest.raises(DataError, match="'split' that names the parts needs all"):
        prepare(written(frame, tmp_path / "data.csv"), Request(memory=SMALL, target=("kind",)))


@pytest.mark.usefixtures("all_is_large")
def test_a_damaged_row_far_on_leaves_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(table(), tmp_path / "data.csv")
    rows = path.read_text().splitlines()
    rows[3_500] = rows[3_500] + ",more"
    path.write_text("\n".join(rows))
    assert run(["train", str(path), "--memory", SMALL, "--out", str(tmp_path / "run")]) == 2
    assert "line 3501" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def pictures(folder: Path, each: int = 60) -> Path:
    draw = np.random.default_rng(0)
    for name, shade in (("dark", 40), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            noise = draw.normal(shade, 30, (16, 16, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(folder / name / f"{i}.png")
    return folder


def test_pictures_are_decoded_once_into_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pictures(tmp_path / "pictures")
    (folder / "dark" / "3.png").write_bytes(b"\x89PNG no picture")
    whole = prepare(folder, Request())
    monkeypatch.setattr(larger, "COPIES", 10**6)
    monkeypatch.setattr(larger, "SHARE", 10**9)
    monkeypatch.setattr(larger, "sample_of", _a_fifth)
    made = prepare(folder, Request(memory=SMALL))
    assert made.stored is not None
    assert made.table.rest is not None
    assert made.table.height + made.table.rest.rows == 120
    key = "image:image"
    assert made.spec.inputs[0].shape == whole.spec.inputs[0].shape == (3, 16, 16)
    held = len(np.unique(np.concatenate([made.split.select, made.split.calibrate, made.split.test])))
    assert len(made.stored.target) == 119 - held
    pixels = made.stored.inputs[key].take(torch.arange(119 - held))
    label = made.stored.target.take(torch.arange(119 - held))
    assert pixels.dtype == torch.uint8
    assert ((pixels.float().mean((1, 2, 3)) > 120).long() == label).all()
    parts = training.parts(made)
    feed = training.feed(made, parts["train"], 0)
    batch = feed.take(feed.order(0, 16)[0], 0)
    assert batch.inputs[key].shape == (16, 3, 16, 16)
    assert build.fit(folder, memory=SMALL, set=QUICK).card["rows"]["train"] == 119 - held


SUBPROCESS = """
import json, sys
import torch, polars
def high(): return [int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM')][0] * 1024
idle = high()
from netwright import build
made = build.train(sys.argv[1], target='kind', memory='300MB', out=sys.argv[2], minutes=0.4)
print(json.dumps({'above': high() - idle, 'rows': made.card['rows'], 'value': made.card['metric']['value']}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only there a process tells its peak")
def test_the_peak_stays_under_the_bound(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(150_000, 40)).astype(np.float32)
    frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(40)})
    frame = frame.with_columns(kind=pl.Series(np.where(x[:, 0] + x[:, 1] > 0, "yes", "no")))
    frame.write_csv(tmp_path / "data.csv", float_precision=6)
    command = [sys.executable, "-c", SUBPROCESS, str(tmp_path / "data.csv"), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"]["train"] > 100_000
    assert found["value"] > 0.9
    assert found["above"] < 300e6
