"""The commands one after another on a tiny table, in this process."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from netwright.base.schema import Event
from netwright.cli import progress, results
from netwright.cli.main import run

HEIGHT = 200


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with flowers.csv and what `netwright train` made of it."""
    folder = tmp_path_factory.mktemp("flowers")
    draws = np.random.default_rng(0)
    length, width = draws.normal(size=(2, HEIGHT)).round(3)
    kind = np.where(length + width > 0, "rose", "=tulip")
    frame = pl.DataFrame({"length": length, "width": width, "kind": kind})
    frame.write_csv(folder / "flowers.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said = io.StringIO()
        patch.setattr(sys, "stdout", said)
        flags = ["--target", "kind", "--set", "learning.epochs=2", "--set", "network.members=2", "--json"]
        assert run(["train", "flowers.csv", *flags]) == 0
    (folder / "said.json").write_text(said.getvalue())
    return folder


@pytest.fixture
def there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def test_train_prints_one_json_object_and_leaves_a_run(there: Path) -> None:
    lines = (there / "said.json").read_text().splitlines()
    assert len(lines) == 1
    said = json.loads(lines[0])
    assert tuple(said) == results.KEYS
    assert said["rows"] == {"train": 128, "validation": 32, "test": 40}
    assert said["run"] == "runs/flowers"
    assert Path(said["model"]).is_file()
    assert set(said["metric"]) == {"name", "value", "low", "high"}


def test_an_out_that_is_there_is_refused(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "flowers.csv", "--target", "kind", "--out", "runs/flowers"]) == 2
    assert "--force" in capsys.readouterr().err


def test_predict_keeps_the_order_and_guards_the_cells(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", "runs/flowers", "flowers.csv", "--probabilities"]) == 0
    answers = pl.read_csv(io.StringIO(capsys.readouterr().out))
    assert answers.height == HEIGHT
    assert answers.columns == [
        "prediction", "probability", "probability:=tulip", "probability:rose", "note",
    ]  # fmt: skip
    assert set(answers["prediction"]) == {"'=tulip", "rose"}


def test_predict_reads_csv_from_stdin(
    there: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stdin:
        buffer = io.BytesIO(b"length,width\n2.0,2.0\n-2.0,-2.0\n")

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert run(["predict", "runs/flowers/model.safetensors", "-"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    Stdin.buffer = io.BytesIO(b"")
    assert run(["predict", "runs/flowers", "-"]) == 2


def test_predict_writes_a_file_and_prints_nothing(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", "runs/flowers", "flowers.csv", "--out", "answers.parquet", "--top", "2"]) == 0
    assert capsys.readouterr().out == ""
    assert pl.read_parquet(there / "answers.parquet").height == HEIGHT


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--out", "answers.xls"], ".xls"),
        (["--top", "0"], "top"),
        (["--threshold", "2"], "threshold"),
    ],
)
def test_predict_refuses_what_makes_no_sense(
    there: Path, flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", "runs/flowers", "flowers.csv", *flags]) == 2
    assert words in capsys.readouterr().err


def test_evaluate_measures_in_words_and_in_json(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "runs/flowers", "flowers.csv"]) == 0
    assert "on 200 rows" in capsys.readouterr().out
    assert run(["evaluate", "runs/flowers", "flowers.csv", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said) <= set(results.KEYS)
    assert said["rows"] == {"test": HEIGHT}


def test_check_says_what_it_finds(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "flowers.csv", "--target", "kind"]) == 0
    assert capsys.readouterr().out.strip()


def test_check_reads_the_data_as_train_would(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "flowers.csv", "--target", "kind", "--drop", "nothing"]) == 2
    assert "no column 'nothing' (--drop)" in capsys.readouterr().err
    assert run(["check", "flowers.csv", "--task", "regress", "--target", "kind", "--kind", "width=text"]) == 2
    capsys.readouterr()
    for flag in ("--target", "--keep"):
        assert run(["check", "flowers.csv", flag, "kind", "--drop", "kind"]) == 2
        assert f"both {flag} and --drop" in capsys.readouterr().err
    assert run(["check", "flowers.csv", "--target", "kind", "--drop", "width", "--test", "last:0.1"]) == 0


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("kind.lenght.rate=1", "no column 'lenght'"),
        ("kind.length.rate=1", "of kind number, which has no setting 'rate'"),
        ("data.rows=1", "no setting is called 'data.rows'"),
    ],
)
@pytest.mark.parametrize("command", ["train", "check"])
def test_a_setting_that_nothing_reads_is_refused(
    there: Path, capsys: pytest.CaptureFixture[str], command: str, setting: str, words: str
) -> None:
    assert run([command, "flowers.csv", "--target", "kind", "--set", setting]) == 2
    said = capsys.readouterr().err
    assert words in said and "hint:" in said


def test_an_interrupted_run_leaves_a_model_and_goes_on(
    there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = progress.Listener.__call__

    def stops(self: progress.Listener, event: Event) -> None:
        told(self, event)
        if event.type == "evaluate":
            monkeypatch.setattr(progress.Listener, "__call__", told)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(progress.Listener, "__call__", stops)
    flags = ["--target", "kind", "--set", "learning.epochs=3", "--set", "network.members=2"]
    assert run(["train", "flowers.csv", *flags, "--out", "stopped"]) == 143
    said = capsys.readouterr()
    assert "not measured on test rows" in said.out
    assert "netwright train --resume stopped" in said.err
    assert run(["predict", "stopped", "flowers.csv"]) == 0
    assert run(["train", "--resume", "stopped", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["limited_by"] != "interrupted"


def test_show_lists_the_runs(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("runs/flowers  classify kind: ")


def test_show_draws_how_a_run_learned(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "runs/flowers"]) == 0
    said = capsys.readouterr().out
    assert "on 40 test rows" in said
    assert "training loss" in said


def test_show_prints_a_model_with_its_reasons(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "runs/flowers/model.safetensors"]) == 0
    assert "network.members = 2  (set by hand)" in capsys.readouterr().out


def test_show_without_runs_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["show"]) == 0
    assert "netwright train" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["{", "[]", '{"metric": 1}'])
def test_show_refuses_a_card_that_is_none(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "events.jsonl").write_text("")
    (tmp_path / "card.json").write_text(content)
    assert run(["show", str(tmp_path)]) == 2
    assert "card.json" in capsys.readouterr().err


def test_a_run_that_has_not_ended_is_shown_with_the_way_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "events.jsonl").write_text("")
    assert run(["show", str(tmp_path)]) == 0
    assert f"netwright train --resume {tmp_path}" in capsys.readouterr().out
