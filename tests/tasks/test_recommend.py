"""Histories, parts and the clock: nothing sees what comes after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from netwright import prepare as preparing
from netwright import request, training
from netwright.base.errors import DataError
from netwright.data.columns import Inputs
from netwright.data.kinds.item import FIRST, Item
from netwright.data.packed import gather
from netwright.serving.restore import blank
from netwright.tasks.network import build
from netwright.tasks.ranking import MOMENT, SEEN, WINDOWS, Clock
from netwright.tasks.recommend import Recommend


def clusters(users: int = 120, seed: int = 0) -> pl.DataFrame:
    """Each user takes items of one of four clusters, at moments of their own."""
    draw = np.random.default_rng(seed)
    rows: list[tuple[str, str, int, int]] = []
    for user in range(users):
        day = float(draw.integers(0, 60))
        cluster = int(draw.integers(0, 4))
        for item in draw.choice(10, int(draw.integers(2, 9)), replace=False).tolist():
            rows.append(
                (f"u{user}", f"m{10 * cluster + item}", int(draw.integers(1, 6)), int(1.6e9 + 86_400 * day))
            )
            day += float(draw.random()) * 3
    order = draw.permutation(len(rows))
    return pl.DataFrame(
        [rows[place] for place in order], schema=["user", "item", "rating", "time"], orient="row"
    )


def prepared(frame: pl.DataFrame, **settings: Any) -> preparing.Prepared:
    return preparing.prepare(frame, request.make(settings))


def test_the_last_of_each_user_is_tested_on_and_the_one_before_validates() -> None:
    made = prepared(clusters())
    cells = made.table.cells
    tested = set(made.split.test.tolist())
    held = set(made.split.select.tolist()) | set(made.split.calibrate.tolist())
    for _, rows in cells.with_row_index().group_by("user"):
        places = rows["index"].to_list()
        assert rows["time"].is_sorted()
        if len(places) < 3:
            assert not tested & set(places) and not held & set(places)
        else:
            assert tested & set(places) == {places[-1]}
            assert held & set(places) == {places[-2]}


def test_by_time_every_training_row_comes_before_every_test_row() -> None:
    made = prepared(clusters(), split="time")
    time = made.table.cells["time"].to_numpy()
    assert time[made.split.train].max() <= time[made.split.test].min()


def test_histories_hold_what_came_before_and_nothing_else() -> None:
    made = prepared(clusters())
    kind = made.inputs.kinds[0]
    inputs, target = made.task.examples(made.decoded, made.split.test, made.inputs, learn=False)
    cells = made.table.cells
    for place, row in enumerate(made.split.test.tolist()):
        user, item = cells["user"][row], cells["item"][row]
        earlier = [cells["item"][r] for r in range(row) if cells["user"][r] == user]
        known = [each for each in earlier if each in kind.items]
        seen = inputs[SEEN].take(torch.tensor([place]))[0]
        assert [kind.items[code - 2] for code in seen.tolist() if code >= 2] == known
        code = int(target.values[place])
        assert (kind.items[code] if code >= 0 else None) == (item if item in kind.items else None)


def test_what_comes_later_changes_no_earlier_score() -> None:
    frame = clusters()
    made = prepared(frame)
    task = made.task
    assert isinstance(task, Recommend)
    training.part(made, made.split.train, learn=True)
    network = build("feedforward", {"members": 1, "depth": 1, "width": 16}, made.spec, task).eval()
    row = made.split.test[:1]
    before = made.task.examples(made.decoded, row, made.inputs, learn=False)[0]
    late = made.table.cells.with_columns(
        item=pl.when(pl.int_range(pl.len()) > int(row[0])).then(pl.lit("m1")).otherwise(pl.col("item"))
    )
    from dataclasses import replace

    after = made.task.examples(replace(made.decoded, cells=late), row, made.inputs, learn=False)[0]
    with torch.inference_mode():
        assert torch.equal(network(gather(before)), network(gather(after)))


@pytest.mark.parametrize("family", ["feedforward", "convolutional", "recurrent", "transformer"])
def test_padding_and_company_change_nothing(family: str) -> None:
    made = prepared(clusters())
    training.part(made, made.split.train, learn=True)
    config = {"members": 1} if family == "feedforward" else {}
    network = build(family, config, made.spec, made.task).eval()
    inputs, _ = made.task.examples(made.decoded, made.split.test, made.inputs, learn=False)
    with torch.inference_mode():
        many = network(gather(inputs))
        each = [network(gather(inputs, torch.tensor([row]))) for row in range(8)]
    assert torch.allclose(many[:, :8], torch.cat(each, dim=1), atol=1e-4)  # sums of other order


def test_items_already_taken_come_last() -> None:
    made = prepared(clusters())
    training.part(made, made.split.train, learn=True)
    network = build("feedforward", {"members": 1}, made.spec, made.task).eval()
    inputs, _ = made.task.examples(made.decoded, made.split.test, made.inputs, learn=False)
    given = gather(inputs)
    scores = network(given).mean(0)
    for row, seen in enumerate(given[SEEN].tolist()):
        codes = [code - 2 for code in seen if code >= 2]
        others = [item for item in range(scores.shape[1]) if item not in codes]
        assert not codes or scores[row, codes].max() < scores[row, others].min()


def test_the_clock_counts_what_came_strictly_before() -> None:
    draw = np.random.default_rng(0)
    item, day = draw.integers(0, 5, 300), np.sort(draw.integers(0, 100, 300)).astype(np.float64)
    clock = Clock(item, day, 5)
    for moment in (0.0, 17.0, 50.0, 99.0, 400.0):
        tick = int(clock.at(np.array([moment]))[0])
        at = clock.tick_S[tick]
        assert at <= moment or tick == 0
        for window, days in enumerate(WINDOWS):
            naive = [int(((item == each) & (day < at) & (day >= at - days)).sum()) for each in range(5)]
            np.testing.assert_allclose(np.expm1(clock.heat_SWI[tick, window].float().numpy()), naive, rtol=0.01)


def test_a_later_event_changes_no_earlier_count() -> None:
    item, day = np.array([0, 1, 0, 1, 1]), np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    short, long = Clock(item[:4], day[:4], 2), Clock(item, day, 2)
    for moment in (1.0, 2.5, 3.0):
        each = [clock.heat_SWI[int(clock.at(np.array([moment]))[0])] for clock in (short, long)]
        assert torch.equal(*each)


def test_without_times_there_is_no_clock_and_it_is_said() -> None:
    made = prepared(clusters().drop("time"))
    inputs, _ = made.task.examples(made.decoded, made.split.train, made.inputs, learn=True)
    assert MOMENT not in inputs
    assert any(each.name == "no time" for each in made.findings)


def test_rare_items_and_users_are_not_stored() -> None:
    frame = clusters()
    once = pl.DataFrame(
        {"user": ["secret"], "item": ["rarity"], "rating": [5], "time": [1_600_000_000]}, schema=frame.schema
    )
    made = prepared(pl.concat([frame, once]))
    kind = made.inputs.kinds[0]
    assert "rarity" not in kind.items
    counts = made.table.cells[made.split.train]["item"].value_counts()
    assert set(kind.items) == set(counts.filter(pl.col("count") >= 3)["item"])


BAD = {
    "two items each": (
        lambda f: f.with_columns(user=pl.Series([f"u{n // 2}" for n in range(f.height)])),
        "3 inter",
    ),
    "one item": (lambda f: f.with_columns(item=pl.lit("m")), "one value only"),
    "one user": (lambda f: f.with_columns(user=pl.lit("u")).unique("item").head(30), "one value only"),
    "few rows": (lambda f: f.head(5), "different interactions"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_learned_from_is_refused(name: str) -> None:
    change, words = BAD[name]
    with pytest.raises(DataError, match=words):
        prepared(change(clusters()))


def test_oddities_are_said() -> None:
    frame = clusters().with_columns(pl.col("time").cast(pl.String), pl.col("rating").cast(pl.String))
    odd = frame.with_columns(
        time=pl.when(pl.int_range(pl.len()) < 4).then(None).otherwise(pl.col("time")),
        rating=pl.when(pl.int_range(pl.len()) == 9).then(pl.lit("900")).otherwise(pl.col("rating")),
        user=pl.when(pl.col("user") == "u3").then(pl.lit("3")).otherwise(pl.col("user")),
    )
    made = prepared(pl.concat([odd, odd.tail(7)]))
    said = {each.name: each for each in made.findings}
    assert {"no time", "odd ratings", "mixed", "duplicates", "ratings", "stored"} <= set(said)
    assert said["no time"].count == 4
    assert said["duplicates"].count == 7


def test_a_model_whose_names_and_outputs_differ_is_refused() -> None:
    made = prepared(clusters())
    inputs = Inputs.restore(made.columns, made.inputs.state())
    assert made.task.fits(inputs)
    kind = inputs.kinds[0]
    assert isinstance(kind, Item)
    kind.items = kind.items[:2]
    assert not made.task.fits(inputs)
    batch = made.task.trial(blank(made.spec))
    assert int(batch[SEEN].max()) == FIRST + made.task.outputs - 1
