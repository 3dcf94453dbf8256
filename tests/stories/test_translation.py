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
from netwright.data import pairing, readers, roles
from netwright.prepare import Prepared, prepare
from netwright.request import Request
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
    for name in ("new.txt", "new.en"):  # as lines, an empty one too
        (tmp_path / name).write_text("red dog sees blue cat\n\nsmall bird, likes: red tree\n")
        lines = found.model.predict(tmp_path / name)
        assert lines.height == 3 and lines["prediction"][0] == "ziet hond rood kat blauw"
    assert "empty" in lines["note"][1]
    (tmp_path / "table.txt").write_text("en\tnl\nred dog sees blue cat\tx\n")
    assert found.model.predict(tmp_path / "table.txt").height == 1
    for idle in ({"top": 2}, {"threshold": 0.5}, {"probabilities": True}):
        with pytest.raises(NetwrightError, match=f"no use for {next(iter(idle))}"):
            found.model.predict(new, **idle)
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


def prepared(frame: pl.DataFrame, **asked: object) -> Prepared:
    return prepare(frame, Request(**asked))  # type: ignore[arg-type]


def test_columns_beside_a_pair_say_what_they_say_or_are_left_out() -> None:
    frame, numbers = pairs(240), [str(row) for row in range(240)]
    plain = prepared(frame)
    parted = prepared(frame.with_columns(pl.Series("split", ["train"] * 180 + ["val"] * 20 + ["test"] * 40)))
    assert parted.task.name == "translate" and len(parted.split.test) == 40
    grouped = prepared(
        frame.with_columns(pl.Series("book", ["a", "b", "c", "d"] * 60)), group="book", split="group"
    )
    assert grouped.task.name == "translate" and grouped.split.rule == "group"
    for asked in ({}, {"target": ("nl",)}, {"task": "translate", "target": ("nl",)}):
        numbered = prepared(frame.with_columns(pl.Series("id", numbers)), **asked)
        said = {each.name: each.columns for each in numbered.findings}
        assert numbered.task.name == "translate" and said["unused columns"] == ("id",)
        assert numbered.inputs.names == plain.inputs.names
    when = frame.select(
        "en", pl.Series("when", [f"2024-01-01 00:{row // 60:02}:{row % 60:02}" for row in range(240)])
    )
    assert prepared(when, target=("when",)).task.name != "translate"
    files = frame.select(pl.Series("file", [f"my clips/number {row}.wav" for row in numbers]), "nl")
    assert pairing.arrange(readers.read(files), roles.Asked(target=("nl",)), None).shape == "rows"


def test_sources_without_spaces_are_not_cut() -> None:
    draw = np.random.default_rng(0)
    signs = [chr(0x4E00 + n) for n in range(400)]
    zh = ["".join(draw.choice(signs, int(draw.integers(20, 30)))) for _ in range(200)]
    found = prepared(pl.DataFrame({"zh": zh, "en": pairs(200)["en"]}))
    kind = found.inputs.kinds[0]
    assert not any(kind.notes(found.table.frame(["zh"])))
    assert found.choices["kind.zh.longest"].value == kind.field().shape[0] > 16


def test_words_that_mean_nothing_in_tables_are_words_in_sentences(tmp_path: Path) -> None:
    lines = ["null", "None.", "NA", "?", "", *pairs(60)["en"]]
    folder = aligned(tmp_path / "a", "\n".join(lines) + "\n", "\n".join(lines) + "\n")
    found = readers.read(folder)
    assert found.cells["en"].to_list() == [line or None for line in lines]
    (tmp_path / "metadata.csv").write_text("file_name,transcription,age\na.wav,null,NA\n")
    spoken = readers.read(tmp_path / "metadata.csv")
    assert spoken.cells.row(0) == ("a.wav", "null", None)


def test_a_given_test_part_is_measured_whole() -> None:
    frame = pairs(200)
    odd = pl.DataFrame({"en": ["word " * 3_000, None, "lonely"], "nl": ["boek", "leeg", None]})
    found = prepared(frame, target=("nl",), test=odd)
    assert found.split.test.tolist() == [200, 201]
    assert {each.name: each.count for each in found.findings}["half a pair"] == 1


def test_a_test_file_without_a_header_belongs_to_one_without(tmp_path: Path) -> None:
    lines = [f"He says {en}.\tHij zegt {nl}." for en, nl in pairs(150).iter_rows()]
    (tmp_path / "train.tsv").write_text("\n".join(lines[:120]))
    (tmp_path / "test.tsv").write_text("\n".join(lines[120:]))
    found = prepare(tmp_path / "train.tsv", Request(test=tmp_path / "test.tsv"))
    assert len(found.split.test) == 30 and found.table.cells.row(120) == tuple(lines[120].split("\t"))


def test_a_file_without_a_header_keeps_its_first_pair(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    lines = [f'He says "{en}".\tHij zegt "{nl}".' for en, nl in pairs(120).iter_rows()]
    path.write_text("\n".join(['"Go!\tGa!', *lines, '"Go," she said.\t"Ga," zei ze.']))
    prepared = prepare(path, Request())
    assert prepared.table.height == 122 and prepared.task.columns == ("c2",)
    assert (
        prepared.table.cells.row(0) == ('"Go!', "Ga!") and prepared.table.cells.row(121)[1] == '"Ga," zei ze.'
    )


def test_pairs_that_share_a_sentence_stay_together() -> None:
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


def test_one_text_and_nothing_beside_it(tmp_path: Path) -> None:
    with pytest.raises(NetwrightError, match="beam"):
        build.check(pairs(80), target="nl", set={"task.beam": 0})
    with pytest.raises(NetwrightError, match="feedforward"):
        build.fit(pairs(80), target="nl", network="feedforward", minutes=0.1)
