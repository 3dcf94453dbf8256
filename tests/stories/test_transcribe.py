"""Clips of spoken strings to what is said in them, from the command line to new clips."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
import torch

from netwright import build, outcome, request
from netwright import prepare as preparing
from netwright.base.errors import NetwrightError, RecipeError
from netwright.base.schema import Choice, Recipe
from netwright.cli.main import run
from netwright.data.columns import Inputs
from netwright.data.packed import Packed, pack
from netwright.data.table import Table
from netwright.data.tokens import FIRST
from netwright.serving.predict import load
from netwright.tasks.transcribe import Transcribe

PITCHES = {"low": 300.0, "mid": 800.0, "high": 1_600.0, "top": 3_000.0}
RATE = 8_000
SMALL = {"network.width": 48, "network.embedding": 48, "network.depth": 1, "learning.threads": 1}


def spoken(words: list[str], draw: np.random.Generator) -> np.ndarray:
    """Tones of 100 to 200 ms with pauses between, in some noise."""
    parts = []
    for word in words:
        time = np.arange(int(draw.uniform(0.1, 0.2) * RATE)) / RATE
        parts.append(0.4 * np.sin(2 * np.pi * PITCHES[word] * draw.uniform(0.95, 1.05) * time))
        parts.append(np.zeros(int(draw.uniform(0.03, 0.1) * RATE)))
    wave = np.concatenate(parts)
    return wave + 0.02 * draw.normal(size=len(wave))


def write(folder: Path, count: int, seed: int = 0, column: str = "transcription") -> Path:
    """A folder of clips and their metadata.csv."""
    draw = np.random.default_rng(seed)
    (folder / "clips").mkdir(parents=True)
    rows = []
    for number in range(count):
        words = draw.choice(list(PITCHES), draw.integers(2, 6)).tolist()
        name = f"clips/{number:03}.wav"
        soundfile.write(folder / name, spoken(words, draw), RATE)
        rows.append((name, " ".join(words)))
    table(folder / "metadata.csv", rows, column)
    return folder


def table(path: Path, rows: list[tuple[str, str]], column: str = "transcription") -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("file_name", column), *rows])


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("tones") / "strings", 200)


@pytest.fixture(scope="module")
def learned(tones: Path) -> Any:
    out = tones.parent / "run"
    settings = [f"--set={name}={value}" for name, value in SMALL.items()]
    asked = ["train", str(tones), "--out", str(out), "--quiet", "--network", "recurrent", *settings]
    assert run([*asked, "--set", "learning.epochs=25", "--set", "learning.lr=0.01"]) == 0
    return out


def test_strings_of_tones_are_learned_and_new_ones_written_down(learned: Path, tmp_path: Path) -> None:
    card = json.loads((learned / "card.json").read_text())
    assert card["task"] == "transcribe"
    assert card["metric"]["name"] == "word_error_rate"
    assert card["metric"]["value"] < 0.2
    assert card["baselines"]["blind"]["value"] > 0.6
    assert "earned its place" in card["verdict"]
    assert "worst mistakes" in (learned / "report.md").read_text()
    assert {"truth", "prediction"} <= set(pl.read_parquet(learned / "predictions.parquet").columns)
    new = write(tmp_path / "new", 20, seed=5)
    model = load(learned / "model.safetensors")
    truth = pl.read_csv(new / "metadata.csv")["transcription"].to_list()
    answers = model.predict(new)
    assert answers.columns == ["prediction", "note"]
    right = sum(said == wanted for said, wanted in zip(answers["prediction"], truth, strict=True))
    assert right > 10
    assert model.predict(new / "clips")["prediction"].to_list() == answers["prediction"].to_list()
    assert model.predict(new / "clips" / "000.wav")["prediction"][0] == answers["prediction"][0]
    assert model.evaluate(new)["metric"]["value"] < 0.3


def test_a_table_with_other_columns_uses_the_clips_alone(tones: Path, tmp_path: Path) -> None:
    rows = (
        pl.read_csv(tones / "metadata.csv")
        .head(60)
        .with_columns(
            pl.Series("speaker", ["ann", "bob"] * 30),
            pl.Series("age", [20 + 7 * row % 31 for row in range(60)]),
        )
    )
    rows.write_csv(tones / "more.csv")
    said = build.check(tones / "more.csv")
    assert [each.columns for each in said if each.name == "unused columns"] == [("speaker", "age")]


def test_what_stands_beside_clips_decides_the_task(tones: Path) -> None:
    def task(name: str, cells: list[str], **settings: Any) -> str:
        names = pl.read_csv(tones / "metadata.csv")["file_name"].to_list()[: len(cells)]
        frame = pl.DataFrame({"clip": [str(tones / each) for each in names], name: cells})
        frame.write_csv(tones / "task.csv")
        from netwright.prepare import prepare
        from netwright.request import make

        return prepare(tones / "task.csv", make(settings)).task.name

    few, many = ["yes", "no"] * 50, [f"number {row} is {row + 1}" for row in range(100)]
    assert task("transcript", few) == "transcribe"
    assert task("label", few) == "classify"
    assert task("label", many) == "transcribe"
    assert task("label", [str(row / 7) for row in range(100)]) == "regress"
    assert task("what", many, target=("what",)) == "transcribe"


@pytest.mark.parametrize("family", ["convolutional", "recurrent", "transformer"])
def test_every_family_with_steps_can_and_a_run_is_the_same_again(family: str, tones: Path) -> None:
    settings = {"learning.epochs": 0.5, "network.depth": 1, "task.unit": "characters", "learning.threads": 1}
    first, again = (build.fit(tones, network=family, set=settings, minutes=2) for _ in range(2))
    assert first.card["metrics"] == again.card["metrics"]
    assert first.model.predict(tones / "clips" / "000.wav")["note"][0] == ""


def test_a_network_without_steps_says_why_not(tones: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", str(tones), "--network", "feedforward", "--out", str(tones.parent / "no")]) == 2
    assert "one a step" in capsys.readouterr().err


def test_bad_clips_and_bad_transcripts_are_said_and_hurt_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "bad", 80)
    rows = [tuple(row.split(",")) for row in (folder / "metadata.csv").read_text().split("\n")[1:-1]]
    clips = folder / "clips"
    soundfile.write(clips / "silent.wav", np.zeros(4_000), RATE)
    soundfile.write(clips / "rate.wav", spoken(["low"], np.random.default_rng(0)), 96_000)
    soundfile.write(clips / "eight.wav", spoken(["mid"], np.random.default_rng(0)), RATE, subtype="PCM_U8")
    (clips / "short.wav").write_bytes((clips / "000.wav").read_bytes()[:30])
    (clips / "flac.wav").write_bytes(b"this is text")
    rows += [("clips/silent.wav", "low mid"), ("clips/rate.wav", "low"), ("clips/eight.wav", "mid")]
    rows += [("clips/short.wav", "low"), ("clips/flac.wav", "low"), ("clips/gone.wav", "top")]
    rows += [("clips/001.wav", ""), ("clips/002.wav", "low mid " * 130_000), ("clips/003.wav", "low " * 300)]
    table(folder / "metadata.csv", rows * 1)  # type: ignore[arg-type]
    found = build.fit(folder, set={"learning.epochs": 1, **SMALL}, test="none", minutes=2)
    said = {each["name"]: each for each in found.card["findings"]}
    assert said["unreadable clips"]["count"] == 3
    assert said["no target"]["count"] == 1
    assert said["short clips"]["count"] >= 1
    answers = found.model.predict(folder)
    assert answers.height == len(rows)
    assert answers["note"].str.contains("unreadable").sum() == 3
    assert answers["prediction"].null_count() == 3


def test_only_bad_clips_and_empty_transcripts_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "none", 12)
    names = [f"clips/{number:03}.wav" for number in range(12)]
    table(folder / "metadata.csv", [(name, "") for name in names])
    with pytest.raises(NetwrightError, match="no value"):
        build.check(folder)
    table(folder / "metadata.csv", [(name.replace("clips", "lost"), "low mid") for name in names])
    with pytest.raises(NetwrightError, match="no such file"):
        build.check(folder)


def test_a_longer_clip_says_where_it_is_cut(learned: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", spoken(["low"] * 60, np.random.default_rng(0)), RATE)
    assert "is cut after" in load(learned / "model.safetensors").predict(tmp_path / "long.wav")["note"][0]


def test_settings_out_of_range_are_named(learned: Path, tones: Path) -> None:
    for setting in ({"task.beam": 0}, {"task.stride": 9}, {"task.unit": "letters"}):
        with pytest.raises(NetwrightError, match=next(iter(setting))):
            build.check(tones, set=setting)
    with pytest.raises(NetwrightError, match="top"):
        load(learned / "model.safetensors").predict(tones / "clips", top=2)


def test_padding_and_neighbours_change_nothing(learned: Path, tones: Path) -> None:
    model = load(learned / "model.safetensors")
    table_, rows, _ = model._readable(model._table(tones))
    inputs, target = model.task.examples(table_, rows[:6], model.inputs, learn=False)
    key, packed = next(iter(inputs.items()))
    x, length = packed.take(torch.arange(6)), packed.lengths()
    code = target.take(torch.arange(6))
    longer = torch.cat([x, torch.full_like(x[:, :24], 7.0)], dim=1)
    pair = [model.network({key: each, key + ":length": length}) for each in (x, longer)]
    steps = pair[0].shape[2]
    torch.testing.assert_close(pair[0], pair[1][:, :, :steps], atol=1e-5, rtol=1e-4)
    losses = [model.task.loss(each, code) for each in pair]
    torch.testing.assert_close(*losses, atol=1e-5, rtol=1e-5)
    alone = model.network({key: x[2:3, : int(length[2])], key + ":length": length[2:3]})
    torch.testing.assert_close(model.task.loss(alone, code[2:3])[0], losses[0][2], atol=1e-5, rtol=1e-4)


def test_parts_may_be_folders(tmp_path: Path) -> None:
    for part, count in (("train", 40), ("test", 10)):
        write(tmp_path / "parts" / part, count, seed=count)
    found = build.fit(tmp_path / "parts", set={"learning.epochs": 0.5, **SMALL}, minutes=2)
    assert found.card["task"] == "transcribe"
    assert found.card["rows"]["test"] == 10
    rows = [
        (f"{part}/{name}", said)
        for part in ("train", "test")
        for name, said in pl.read_csv(tmp_path / "parts" / part / "metadata.csv").iter_rows()
    ]
    for part in ("train", "test"):
        (tmp_path / "parts" / part / "metadata.csv").unlink()
    table(tmp_path / "parts" / "metadata.csv", rows)
    again = build.fit(tmp_path / "parts", set={"learning.epochs": 0.5, **SMALL}, minutes=2)
    assert again.card["metrics"] == found.card["metrics"]


def test_a_recipe_with_settings_by_hand_gives_the_same_network(tones: Path, tmp_path: Path) -> None:
    small = {"learning.epochs": 0.5, "task.unit": "characters", "task.stride": 2, "task.beam": 2, **SMALL}
    first = build.train(tones, out=tmp_path / "first", set=small, minutes=2)
    again = build.train(tones, out=tmp_path / "again", recipe=tmp_path / "first", minutes=2)
    assert again.model.spec == first.model.spec
    assert again.model.spec.stride == 2
    assert again.model.task.settings == first.model.task.settings
    assert again.card["metrics"] == first.card["metrics"]


def test_a_recipe_of_other_clips_says_how_transcripts_are_cut(tones: Path, tmp_path: Path) -> None:
    asked = request.make({"minutes": 2})
    plain = preparing.prepare(tones, asked)
    older = {name: Choice(value=choice.value, why=choice.why) for name, choice in plain.choices.items()}
    older |= {"task.unit": Choice(value="characters", why="it was so there")}
    assert plain.choices["task.unit"].value == "words"
    facts = asdict(Recipe(version="0", seed=0, choices=older))
    (tmp_path / "recipe.json").write_text(json.dumps(facts))
    made, _ = build._prepared(tones, replace(asked, recipe=tmp_path), outcome.no_folder())
    assert isinstance(made.task, Transcribe)
    assert (made.task.settings.unit, made.task.tokenizer.how) == ("characters", "characters")
    facts["choices"]["task.beam"] = {"value": -3, "why": "", "by": "derived"}
    (tmp_path / "recipe.json").write_text(json.dumps(facts))
    with pytest.raises(RecipeError, match="beam"):
        build._prepared(tones, replace(asked, recipe=tmp_path), outcome.no_folder())


def test_one_long_transcript_does_not_make_all_as_long(tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Transcribe.fit(pl.DataFrame({"said": ["high low", "low"] * 30}), {})
    said = [[FIRST] * count for count in (1, 30_000, 2)]
    texts = [" ".join(["high"] * len(each)) for each in said]
    truth = replace(pack([torch.tensor(each) for each in said], torch.zeros(0, dtype=torch.int64)), texts=texts)
    monkeypatch.setattr(Packed, "take", lambda *_: pytest.fail("it was padded"))
    found = task.statistics(torch.full((1, 3, 4), FIRST), truth)
    assert found["words"].to_list() == [1, 30_000, 2]
    assert len(list(task.rivals(truth, truth, {}, Inputs((), ())))) == 2


def test_the_truth_is_what_the_user_wrote_and_case_is_ignored_where_it_is_not_learned() -> None:
    task = Transcribe.fit(pl.DataFrame({"said": ["Ann ran", "ran", "an"] * 30}), {"unit": "characters"})
    truth = task._codes(pl.DataFrame({"said": ["Ann ran", "Zoë ran", "ran"]})).some(torch.tensor([0, 1]))
    said = torch.nn.utils.rnn.pad_sequence(list(truth.each()), batch_first=True)
    found = task.statistics(said.unsqueeze(0), truth)
    assert found["truth"].to_list() == ["Ann ran", "Zoë ran"]
    assert found["prediction"][0] == "ann ran"
    assert found["word_edits"].to_list() == [0, 1]


def test_clips_with_whole_numbers_beside_them_are_not_transcribed(tones: Path) -> None:
    cells = pl.DataFrame(
        {"file": [f"{row}.wav" for row in range(30)], "level": [str(row % 20) for row in range(30)]}
    )
    table = Table(cells=cells, source="clips", kinds={"file": "audio"})
    assert Transcribe.claims_in(cells.select("level"), table) is None
