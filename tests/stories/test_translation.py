"""Whole runs on pairs of texts, from the command line and from Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from netwright import build
from netwright.base.errors import DataError, NetwrightError
from netwright.cli.main import run
from netwright.data import readers
from netwright.serving.predict import load

WORDS = dict(
    zip(
        ["dog", "cat", "bird", "fish", "tree", "house", "red", "blue", "small", "big", "runs", "sees", "likes"],
        [
            "hond",
            "kat",
            "vogel",
            "vis",
            "boom",
            "huis",
            "rood",
            "blauw",
            "klein",
            "groot",
            "rent",
            "ziet",
            "mag",
        ],
        strict=True,
    )
)
SMALL = {"learning.batch": 16, "learning.threads": 1, "network.depth": 1, "network.width": 64}


def pairs(rows: int = 400) -> pl.DataFrame:
    """Four words to four, in the other order of verb and noun."""
    draw = np.random.default_rng(0)
    nouns, marks, verbs = list(WORDS)[:6], list(WORDS)[6:10], list(WORDS)[10:]
    lines: dict[str, str] = {}
    while len(lines) < rows:
        said = [str(draw.choice(each)) for each in (marks, nouns, verbs, marks, nouns)]
        first, second, verb, third, fourth = said
        lines[" ".join(said)] = " ".join(WORDS[each] for each in (verb, second, first, fourth, third))
    return pl.DataFrame({"en": list(lines), "nl": list(lines.values())})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    pairs().write_csv(path, separator="\t")
    return path


@pytest.mark.parametrize(("family", "epochs"), [("transformer", 10), ("recurrent", 25)])
def test_a_small_language_is_learned(family: str, epochs: int, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    asked = ["train", str(table), "--out", str(out), "--quiet", "--network", family, "--minutes", "3"]
    settings = {**SMALL, "learning.epochs": epochs, "learning.lr": 0.01, "network.dropout": 0.05}
    assert (
        run([*asked, *(word for name, value in settings.items() for word in ("--set", f"{name}={value}"))]) == 0
    )
    card = json.loads((out / "card.json").read_text())
    assert card["task"] == "translate" and card["target"] == ["nl"]
    assert card["metric"]["name"] == "bleu"
    assert card["metric"]["value"] > 60
    assert card["baseline"]["name"] == "copy"
    assert card["validation"]["name"] == "perplexity"
    assert "The worst mistakes" in (out / "report.md").read_text()
    kept = pl.read_parquet(out / "predictions.parquet")
    assert {"row", "reference", "prediction"} <= set(kept.columns)


def test_a_model_answers_new_sentences(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, new = tmp_path / "run", tmp_path / "new.csv"
    found = build.train(table, out=str(out), set={**SMALL, "learning.epochs": 10}, minutes=3)
    new.write_text("en\nred dog sees blue cat\n\nbig fish likes small tree\n")
    assert run(["predict", str(out), str(new)]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("ziet hond rood kat blauw")
    assert run(["evaluate", str(out), str(table), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["baseline"]["name"] == "copy"
    again = load(out / "model.safetensors")
    asked = {"en": ["red dog sees blue cat", "small bird runs big house", "tree"]}
    assert again.predict(asked).equals(found.model.predict(asked))
    assert "cut after" in again.predict({"en": "red dog " * 50_000})["note"][0]
    assert "empty" in again.predict({"en": ""})["note"][0]


def aligned(folder: Path, train: str, other: str, **more: str) -> Path:
    folder.mkdir()
    for name, content in {"train.en": train, "train.nl": other, **more}.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


def test_files_with_as_many_lines_are_pairs(tmp_path: Path) -> None:
    frame = pairs(60)
    en, nl = ("\n".join(frame[name]) + "\n" for name in ("en", "nl"))
    folder = aligned(tmp_path / "a", en, nl, dev_en=en, dev_nl=nl, test_en=en, test_nl=nl)
    found = readers.read(folder)
    assert found.shape == "pairs" and found.columns == ["en", "nl"]
    assert {name: len(rows) for name, rows in found.given.items()} == dict.fromkeys(
        ("train", "validation", "test"), 60
    )
    assert found.cells.head(60).equals(frame)


def test_records_of_translations_are_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.ndjson"
    lines = [json.dumps({"id": n, "translation": row}) for n, row in enumerate(pairs(60).to_dicts())]
    path.write_text("\n".join(lines))
    found = readers.read(path)
    assert found.shape == "pairs" and found.roles == {"nl": "target"}
    assert found.cells.equals(pairs(60))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"train.en": "a b\nc d\n", "train.nl": "e f\n"}, "2 lines and .* has 1"),
        ({"train.en": "a b\n", "train.nl": "\n"}, "empty"),
        ({"train.en": "a b\n", "train.nl": "c d\n", "test.nl": "c d\n"}, "ends in '.en'"),
        ({"train.en": "a b\n", "train.nl": "c\x00d\n"}, "not a text file"),
        ({"train.en": "a b\n", "train.nl": "c d\n"}, "too few"),
    ],
)
def test_pairs_that_are_none_are_refused_in_words(files: dict[str, str], words: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=words):
        build.check(tmp_path)


def task_of(frame: pl.DataFrame, tmp_path: Path, **asked: object) -> str:
    from netwright.prepare import prepare
    from netwright.request import Request

    frame.write_csv(tmp_path / "table.csv")
    return prepare(tmp_path / "table.csv", Request(**asked)).task.name  # type: ignore[arg-type]


def test_what_is_a_pair_is_told_by_names_or_the_target(tmp_path: Path) -> None:
    frame = pairs(120)
    assert task_of(frame, tmp_path) == "translate"
    assert task_of(frame.rename({"en": "english", "nl": "dutch"}), tmp_path) == "translate"
    assert (
        task_of(frame.rename({"en": "question", "nl": "answer"}), tmp_path, target=("answer",)) == "translate"
    )
    assert task_of(frame, tmp_path, target=("en",)) == "translate"
    few = frame.with_columns(pl.Series("nl", ["a good one", "a bad one"] * 60))
    assert task_of(few, tmp_path, target=("nl",)) == "classify"
    with pytest.raises(NetwrightError, match="which column"):
        task_of(frame.rename({"en": "this", "nl": "that one"}), tmp_path)


def test_a_file_without_a_header_keeps_its_first_pair(tmp_path: Path) -> None:
    from netwright.prepare import prepare
    from netwright.request import Request

    path = tmp_path / "lines.txt"
    lines = [f'He says "{en}".\tHij zegt "{nl}".' for en, nl in pairs(120).iter_rows()]
    path.write_text("\n".join(['"Go!\tGa!', *lines, '"Go," she said.\t"Ga," zei ze.']))
    prepared = prepare(path, Request())
    assert prepared.table.height == 122 and prepared.task.columns == ("c2",)


def test_pairs_that_share_a_sentence_stay_together() -> None:
    from netwright.prepare import prepare
    from netwright.request import Request

    frame = pairs(300)
    twice = frame.head(150).with_columns(pl.Series("nl", frame["nl"].tail(150)))
    prepared = prepare(pl.concat([frame, twice]), Request(target=("nl",)))
    parts = [
        {side: set(prepared.table.column(side, rows)) for side in ("en", "nl")}
        for rows in (prepared.split.train, prepared.split.select, prepared.split.test)
    ]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert not any(parts[first][side] & parts[second][side] for side in ("en", "nl"))


def test_a_part_of_many_test_rows_is_measured_and_said_and_no_row_waits_to_calibrate() -> None:
    from netwright.prepare import prepare
    from netwright.request import Request

    whole = prepare(pairs(1_200), Request(target=("nl",)))
    some = prepare(pairs(1_200), Request(target=("nl",), minutes=0.05))
    assert len(whole.split.test) > 200 and not any(each.name == "test rows" for each in whole.findings)
    assert len(some.split.test) == 200 and set(some.split.test) < set(whole.split.test)
    said = {each.name: each for each in some.findings}["test rows"]
    assert "200" in said.done and said.count == len(whole.split.test) - 200
    assert not len(some.split.calibrate) and len(some.split.select) == len(whole.split.select) >= 200


def test_half_a_pair_and_a_book_are_left_out(tmp_path: Path) -> None:
    frame = pairs(200)
    odd = pl.DataFrame(
        {"en": ["lonely words here", None, "word " * 200_000], "nl": [None, "alleen hier", "boek"]}
    )
    pl.concat([frame, odd]).write_csv(tmp_path / "odd.csv")
    found = {each.name: each.count for each in build.check(tmp_path / "odd.csv")}
    assert found["half a pair"] == 2 and found["long pair"] == 1


def test_one_text_and_nothing_beside_it() -> None:
    frame = pairs(80).with_columns(pl.Series("extra", list(range(80))))
    with pytest.raises(NetwrightError, match="one text"):
        build.check(frame, target="nl", task="translate")
    with pytest.raises(NetwrightError, match="beam"):
        build.check(pairs(80), target="nl", set={"task.beam": 0})
    with pytest.raises(NetwrightError, match="feedforward"):
        build.fit(pairs(80), target="nl", network="feedforward", minutes=0.1)
