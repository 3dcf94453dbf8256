"""Whole runs on texts, clips, signals and running text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
import torch

from netwright import build
from netwright.base.errors import NetwrightError
from netwright.cli.main import run
from netwright.serving.predict import load

GOOD, BAD = ("lovely", "great", "splendid", "charming"), ("awful", "boring", "terrible", "dreadful")
FILLER = (
    "the",
    "film",
    "had",
    "a",
    "cast",
    "and",
    "some",
    "music",
    "we",
    "saw",
    "on",
    "rainy",
    "evening",
    "in",
    "town",
)
SEQUENCE_FAMILIES = ("feedforward", "convolutional", "recurrent", "transformer")


def reviews(rows: int = 320) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    texts, labels = [], []
    for row in range(rows):
        words = draw.choice(FILLER, draw.integers(6, 14)).tolist()
        words.insert(int(draw.integers(0, len(words))), str(draw.choice(GOOD if row % 2 else BAD)))
        texts.append(" ".join(words))
        labels.append("good" if row % 2 else "bad")
    return pl.DataFrame({"review": texts, "label": labels})


@pytest.mark.parametrize("family", SEQUENCE_FAMILIES)
def test_texts_are_classified_by_every_family(family: str) -> None:
    found = build.fit(reviews(), network=family, set={"learning.epochs": 12}, minutes=2)
    assert found.card["metric"]["value"] > 0.8
    answers = found.model.predict({"review": "a lovely evening"})
    assert answers["prediction"][0] == "good"
    assert "cut" in found.model.predict({"review": "lovely " * 900})["note"][0]
    assert found.model.predict({"review": ""})["note"][0]


def test_texts_beside_numbers_use_both() -> None:
    frame = reviews(400)
    draw = np.random.default_rng(1)
    number = draw.normal(size=400)
    label = [("hot" if n > 0 else "cold") + each for n, each in zip(number, frame["label"], strict=True)]
    mixed = frame.with_columns(pl.Series("number", number.round(3)), pl.Series("label", label))
    found = build.fit(mixed, set={"learning.epochs": 12}, minutes=2)
    assert found.card["metric"]["value"] > 0.7, "either alone can reach 0.5"


def tone(path: Path, pitch: float, seconds: float, rate: int = 8_000, **how: Any) -> None:
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(int(pitch * 7 + seconds * 100)).normal(size=len(time))
    wave = 0.4 * np.sin(2 * np.pi * pitch * time) + 0.05 * noise
    soundfile.write(path, np.stack([wave, wave], 1) if how.pop("stereo", False) else wave, rate, **how)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Low and high tones of many lengths and forms."""
    draw = np.random.default_rng(0)
    for label, low, high in (("low", 200, 500), ("high", 900, 1_600)):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for number in range(40):
            path = tmp_path / "clips" / label / f"{number:02}.wav"
            how: dict[str, Any] = {}
            if number % 8 == 1:
                how = {"rate": 44_100, "stereo": True}
            elif number % 8 == 2:
                how = {"subtype": "PCM_U8"}
            tone(path, draw.uniform(low, high), draw.uniform(0.2, 0.6), **how)
    return tmp_path / "clips"


@pytest.mark.parametrize("family", SEQUENCE_FAMILIES)
def test_clips_are_classified_by_every_family(family: str, clips: Path) -> None:
    found = build.fit(clips, network=family, set={"learning.epochs": 25}, minutes=2)
    assert found.card["metric"]["value"] > 0.8
    tone(clips.parent / "new.flac", 1_300, 0.4, rate=16_000)
    assert found.model.predict(clips.parent / "new.flac")["prediction"][0] == "high"


def test_few_bad_clips_are_left_out_and_named(clips: Path) -> None:
    (clips / "low" / "broken.wav").write_bytes((clips / "low" / "00.wav").read_bytes()[:30])
    soundfile.write(clips / "high" / "empty.wav", np.zeros(0), 8_000)
    (clips / "high" / "text.wav").write_text("this is no sound")
    found = [each for each in build.check(clips) if each.name == "unreadable clips"]
    assert [each.count for each in found] == [3]
    assert all(name in found[0].what for name in ("broken.wav", "empty.wav", "text.wav"))


def test_a_silent_clip_and_one_of_another_rate_are_read(clips: Path) -> None:
    soundfile.write(clips / "low" / "silent.wav", np.zeros(4_000), 96_000)
    found = build.fit(clips, network="convolutional", set={"learning.epochs": 1}, minutes=2)
    assert not found.model.predict(clips / "low" / "silent.wav")["note"][0]


@pytest.mark.parametrize("family", SEQUENCE_FAMILIES)
def test_signals_are_classified_by_every_family(family: str) -> None:
    draw = np.random.default_rng(0)
    signals, labels = [], []
    for row in range(240):
        steps = np.arange(int(draw.integers(24, 48)))
        rises = row % 2 == 0
        signals.append(((1 if rises else -1) * 0.1 * steps + 0.3 * draw.normal(size=len(steps))).tolist())
        labels.append("rising" if rises else "falling")
    frame = pl.DataFrame({"signal": signals, "label": labels})
    found = build.fit(frame, network=family, set={"learning.epochs": 15}, minutes=2)
    assert found.card["metric"]["value"] > 0.9


VERSE = "The cat sat on the mat. A dog ran to the park! Who saw the bird in the tree? "


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Sentences that come again and again in another order."""
    draw = np.random.default_rng(0)
    sentences = [each + " " for each in ("The cat sat on the mat.", "A dog ran home!", "Who saw the bird?")]
    path = tmp_path / "verse.txt"
    path.write_text("".join(draw.choice(sentences, 700)))
    return path


@pytest.mark.parametrize("family", ("convolutional", "recurrent", "transformer"))
def test_a_running_text_is_learned_and_written(family: str, text: Path) -> None:
    found = build.fit(text, network=family, set={"learning.epochs": 2}, minutes=2)
    card = found.card
    assert card["task"] == "generate"
    assert card["metric"]["name"] == "perplexity"
    assert card["metric"]["value"] < 0.5 * card["baselines"]["blind"]["value"]
    first, again = ("".join(found.model.generate("The cat", length=60, seed=3)) for _ in range(2))
    others = {"".join(found.model.generate("The cat", length=60, seed=seed)) for seed in range(4, 12)}
    assert first == again
    assert len(others) > 1, "what follows a sentence is open"
    assert len(first) == 60
    assert set(first) <= set(text.read_text())


def test_generate_on_the_command_line(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    asked = ["train", str(text), "--out", str(out), "--quiet", "--network", "transformer"]
    assert run([*asked, "--set", "learning.epochs=0.5", "--set", "network.depth=1"]) == 0
    capsys.readouterr()
    assert run(["generate", str(out), "--prompt", "Who", "--length", "30", "--temperature", "0"]) == 0
    assert len(capsys.readouterr().out) == 31
    assert run(["evaluate", str(out), str(text), "--json"]) == 0
    assert '"perplexity"' in capsys.readouterr().out
    assert run(["predict", str(out), str(text)]) == 2
    assert "generate" in capsys.readouterr().err
    assert run(["generate", str(out), "--top-p", "0"]) == 2
    assert "top-p" in capsys.readouterr().err


def test_a_language_model_survives_its_file(text: Path, tmp_path: Path) -> None:
    found = build.fit(text, network="recurrent", set={"learning.epochs": 0.2}, minutes=2)
    found.model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert "".join(again.generate("A dog", length=40)) == "".join(found.model.generate("A dog", length=40))


def test_a_text_that_is_too_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "line.txt").write_text("just one line\n")
    with pytest.raises(NetwrightError, match="characters"):
        build.check(tmp_path / "line.txt")


def test_every_token_of_a_part_is_predicted_once_with_half_a_window_before_it(text: Path) -> None:
    from netwright.prepare import prepare
    from netwright.request import Request

    prepared = prepare(text, Request())
    rows = prepared.split.test
    inputs, target = prepared.task.examples(prepared.decoded, rows, prepared.inputs, learn=False)
    whole = text.read_text()
    tail = whole[60 * int(rows[0]) :]
    tokenizer = prepared.inputs.kinds[0].tokenizer  # type: ignore[attr-defined]
    flat = target.values[target.values > 0]
    assert tokenizer.decode(flat.tolist()) == tail
    codes = next(iter(inputs.values()))
    assert target.spans is not None and codes.spans is not None
    for row in range(len(target)):
        seen = codes.take(torch.tensor([row]))[0][: int(codes.lengths()[row])]
        wanted = target.take(torch.tensor([row]))[0][: int(target.lengths()[row])]
        counted = torch.nonzero(wanted > 0).flatten()
        assert int(counted[0]) >= 64
        assert torch.equal(seen[1:][wanted[:-1] > 0], wanted[:-1][wanted[:-1] > 0])
