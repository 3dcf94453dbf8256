"""Ratings to recommendations, from the command line and from Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from netwright import build
from netwright.base.errors import DataError
from netwright.cli.main import run
from netwright.prepare import prepare
from netwright.request import make
from netwright.serving.predict import load


def ratings(users: int = 100) -> list[tuple[str, str, str, str]]:
    """Users keep to one of five clusters of items."""
    draw = np.random.default_rng(0)
    rows = []
    for user in range(users):
        day, cluster = float(draw.integers(0, 60)), int(draw.integers(0, 5))
        for item in draw.choice(10, int(draw.integers(6, 10)), replace=False).tolist():
            stars, when = str(draw.integers(1, 6)), str(int(1.6e9 + 86_400 * day))
            rows.append((f"u{user}", f"m{10 * cluster + item}", stars, when))
            day += float(draw.random()) * 3
    return rows


@pytest.fixture
def ratings_dat(tmp_path: Path) -> Path:
    path = tmp_path / "ratings.dat"
    path.write_text("".join("::".join(row) + "\n" for row in ratings()), encoding="utf-8")
    return path


def test_from_ratings_to_recommendations(
    ratings_dat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    more = ["--set", "learning.epochs=15", "--json", "--quiet"]
    assert run(["train", str(ratings_dat), "--out", str(out), *more]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["task"] == "recommend"
    assert card["metric"]["name"] == "ndcg@10"
    assert card["metric"]["low"] > 2 * card["baseline"]["value"]
    assert card["baseline"]["name"] == "popular"
    report = (out / "report.md").read_text(encoding="utf-8")
    assert "EASE" in report and "7 days before" in report

    users = tmp_path / "users.csv"
    users.write_text("user\nu1\nnobody\nu2\n", encoding="utf-8")
    assert run(["predict", str(out), str(users), "--top", "5"]) == 0
    lines = pl.read_csv(capsys.readouterr().out.encode())
    assert lines.columns == ["user", "rank", "prediction", "probability", "note"]
    assert lines["user"].to_list() == ["u1"] * 5 + ["nobody"] * 5 + ["u2"] * 5
    assert lines["rank"].to_list() == [1, 2, 3, 4, 5] * 3
    notes = lines.group_by("user", maintain_order=True).agg(pl.col("note").first())["note"].to_list()
    assert [bool(note) for note in notes] == [False, True, False]
    mine = {row[1] for row in ratings() if row[0] == "u1"}
    cluster = {f"m{10 * (int(next(iter(mine))[1:]) // 10) + place}" for place in range(10)}
    first = lines.filter(pl.col("user") == "u1")["prediction"][0]
    assert first in cluster

    later = tmp_path / "later.dat"
    left = sorted(cluster - mine)[:1]
    later.write_text("".join(f"u1::{item}::4::1700000000\n" for item in left), encoding="utf-8")
    assert run(["evaluate", str(out), str(later), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metric"]["value"] > 0.2
    with later.open("a", encoding="utf-8") as stream:
        stream.write(f"u1::{left[0]}::4::1700000001\nu1::unheard::4::1700000002\n")
    assert run(["evaluate", str(out), str(later), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"]["test"] == 2
    assert [words.split()[0] for words in found["findings"]] == ["1", "1"]


@pytest.mark.parametrize("family", ["convolutional", "recurrent", "transformer"])
def test_every_family_recommends(family: str) -> None:
    frame = pl.DataFrame(ratings(60), schema=["userId", "movieId", "rating", "timestamp"], orient="row")
    found = build.fit(frame, network=family, set={"learning.epochs": 6}, minutes=2)
    assert found.card["metric"]["value"] > found.card["baseline"]["value"]
    given = pl.DataFrame({"userId": ["new", "new"], "movieId": ["m3", "m5"]})
    answers = found.model.predict(given, top=3)
    assert answers.height == 3
    assert not {"m3", "m5"} & set(answers["prediction"])
    assert answers["note"][0] == ""
    stranger = pl.DataFrame({"userId": ["new", "new"], "movieId": ["m3", "unheard"]})
    assert "1 of the items given" in found.model.predict(stranger, top=3)["note"][0]


def test_implicit_interactions_and_a_split_by_time(tmp_path: Path) -> None:
    cells = [(user, item, when) for user, item, _, when in ratings()]
    frame = pl.DataFrame(cells, schema=["uid", "item", "time"], orient="row")
    out = tmp_path / "run"
    found = build.train(frame, split="time", set={"learning.epochs": 5}, minutes=1, out=out)
    assert found.card["metric"]["value"] is not None
    model = load(out / "model.safetensors")
    same = found.model.predict({"uid": "u1"}), model.predict({"uid": "u1"})
    assert same[0].equals(same[1])
    with pytest.raises(DataError, match="which user"):
        model.predict({"who": "u1"})


def test_a_recipe_gives_the_same_network_again(ratings_dat: Path, tmp_path: Path) -> None:
    first = build.train(ratings_dat, set={"learning.epochs": 3}, out=tmp_path / "a")
    again = build.train(ratings_dat, recipe=tmp_path / "a", out=tmp_path / "b")
    assert first.card["metric"] == again.card["metric"]


def test_the_number_itself_is_a_regression(ratings_dat: Path) -> None:
    found = build.fit(ratings_dat, task="regress", target="rating", set={"learning.epochs": 1}, minutes=0.5)
    assert found.card["task"] == "regress"


@pytest.mark.parametrize("form", ["column", "files"])
def test_parts_that_the_source_names_are_kept(form: str, tmp_path: Path) -> None:
    frame = pl.DataFrame(ratings(40), schema=["user", "item", "rating", "time"], orient="row")
    draw = np.random.default_rng(1)
    frame = frame.with_columns(pl.Series("split", np.where(draw.random(frame.height) < 0.2, "test", "train")))
    wanted = set(frame.filter(pl.col("split") == "test").select("user", "item").iter_rows())
    folder = tmp_path / "ratings"
    folder.mkdir()
    if form == "column":
        frame.write_csv(folder / "ratings.csv")
    else:
        for part in ("train", "test"):
            frame.filter(pl.col("split") == part).drop("split").write_csv(folder / f"{part}.csv")
    prepared = prepare(folder, make({}))
    table, split = prepared.table, prepared.split
    assert set(table.frame(["user", "item"], split.test).iter_rows()) == wanted
    assert len(split.train) + len(split.select) + len(split.test) >= frame.height


def test_a_user_who_took_everything_keeps_a_line() -> None:
    frame = pl.DataFrame(ratings(40), schema=["user", "item", "rating", "time"], orient="row")
    found = build.fit(frame, set={"learning.epochs": 1}, minutes=2)
    items = found.model.inputs.kinds[0].items
    lines = found.model.predict(
        {"user": ["u1"] * len(items), "item": list(items), "time": [1.7e9] * len(items)}
    )
    assert lines.rows() == [("u1", None, None, None, "has taken every item that is known")]
