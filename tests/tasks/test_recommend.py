"""Histories, parts and the clock: nothing sees what comes after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from netwright import prepare as preparing
from netwright import request, training
from netwright.base.errors import BundleError, DataError, RecipeError
from netwright.data import ratings
from netwright.data.columns import Inputs
from netwright.data.kinds.item import FIRST, Item
from netwright.data.packed import gather
from netwright.serving.measure import together
from netwright.serving.restore import blank
from netwright.tasks import ranking
from netwright.tasks.network import build
from netwright.tasks.ranking import MOMENT, SEEN, WINDOWS, Clock
from netwright.tasks.recommend import PULLS, Recommend


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


def test_what_is_added_to_the_scores_is_what_ranks_best_on_validation_rows() -> None:
    made = prepared(clusters())
    task = made.task
    assert isinstance(task, Recommend)
    parts = training.parts(made)
    rows = parts["select"]
    task.study(rows.inputs, rows.target, seconds=10.0, memory=2**30)
    network = build("feedforward", {"members": 1, "depth": 1, "width": 16}, made.spec, task).eval()
    chosen = task.settle(network, rows.inputs, rows.target)
    assert set(chosen) == {"neighbours", "demand"}
    head: Any = network.head

    def score(mix: float, pull: float) -> float:
        head.mix.fill_(mix), head.pull.fill_(pull)
        given = gather(rows.inputs)
        with torch.inference_mode():
            ranked = ranking.rank(network(given).mean(0), rows.target.values)
        return float(task.metrics[0].reduce(pl.DataFrame({"rank": ranked.numpy()})))

    assert (float(head.mix), float(head.pull)) == (chosen["neighbours"].value, chosen["demand"].value)
    mix, pull = float(head.mix), float(head.pull)
    assert mix > 0.0, "clusters are what items say about each other"
    assert score(mix, pull) == max(score(mix, each) for each in PULLS) > score(0.0, 0.0)


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


def tick(clock: Clock, moment: float) -> int:
    return int(clock.at(np.array([moment]))[0])


def test_the_clock_counts_what_came_strictly_before() -> None:
    draw = np.random.default_rng(0)
    item, day = draw.integers(0, 5, 300), np.sort(draw.integers(0, 100, 300)).astype(np.float64)
    clock = Clock(item, day, 5)
    for moment in (0.0, 17.0, 50.0, 99.0, 400.0):
        place = tick(clock, moment)
        at = clock.tick_S[place]
        assert at <= moment or place == 0
        for window, days in enumerate(WINDOWS):
            naive = [int(((item == each) & (day < at) & (day >= at - days)).sum()) for each in range(5)]
            np.testing.assert_allclose(
                np.expm1(clock.heat_SWI[place, window].float().numpy()), naive, rtol=0.01
            )


def test_the_clock_reads_each_event_twice_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    count = np.bincount
    monkeypatch.setattr(
        ranking.np, "bincount", lambda x, minlength: counted.append(len(x)) or count(x, minlength=minlength)
    )
    assert len(Clock(np.arange(300) % 5, np.arange(300.0), 5).heat_SWI) > 200
    assert sum(counted) <= 2 * 300 * len(WINDOWS)


def test_a_later_event_changes_no_earlier_count() -> None:
    item, day = np.array([0, 1, 0, 1, 1]), np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    short, long = Clock(item[:4], day[:4], 2), Clock(item, day, 2)
    for moment in (1.0, 2.5, 3.0):
        each = [clock.heat_SWI[tick(clock, moment)] for clock in (short, long)]
        assert torch.equal(*each)


def test_once_all_is_chosen_validation_rows_are_counted_as_demand_and_test_rows_are_not() -> None:
    made = prepared(clusters(), split="time")
    training.part(made, made.split.train, learn=True)
    task, split, kind = made.task, made.split, made.inputs.kinds[0]
    network = build("feedforward", {"members": 1, "depth": 1, "width": 16}, made.spec, task).eval()
    chosen = task.take_in(network, made.decoded, split.select, made.inputs)
    cells = made.table.cells[np.sort(np.concatenate([split.train, split.select]))]
    known = cells.filter(pl.col("item").is_in(list(kind.items)))
    events = known["item"].to_list(), (known["time"] / 86_400).to_numpy()
    naive = Clock(np.array([kind.items.index(item) for item in events[0]]), events[1], len(kind.items))
    assert torch.equal(network.head.heat_SWI, naive.heat_SWI)
    assert 0 < chosen["counted"].value < len(split.select) + 1
    given = gather(task.examples(made.decoded, split.test, made.inputs, learn=False)[0])
    assert (given[MOMENT] == len(naive.tick_S) - 1).all(), "each test row sees all that came before the test"
    with torch.inference_mode():
        assert torch.isfinite(network(given)).all()


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
    "no item comes again": (
        lambda f: f.with_columns(item=pl.Series([f"m{n // 2}" for n in range(f.height)])),
        "3 training rows or more",
    ),
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


def test_rows_of_a_test_file_that_cannot_be_measured_are_left_out_and_said(tmp_path: Path) -> None:
    frame = clusters()
    fresh = {"user": "newcomer", "item": "m39", "rating": 3, "time": 1_700_000_000}
    rows = [
        {**fresh, "item": "m38"}, fresh, fresh, {**fresh, "user": None}, {**fresh, "time": None},
        {**fresh, "item": "unheard"}, frame.row(0, named=True),
    ]  # fmt: skip
    pl.DataFrame(rows, schema=frame.schema).write_csv(tmp_path / "later.csv")
    made = prepared(frame.filter(~pl.col("item").is_in(["m38"])), test=str(tmp_path / "later.csv"))
    measured = made.table.cells[made.split.test]["item"].to_list()
    assert measured == ["m38", "m39", "unheard"]
    said = {each.name: each.count for each in made.findings}
    assert (said["unusable"], said["unseen items"]) == (4, 2)


def test_rare_items_of_training_rows_are_counted() -> None:
    frame = clusters()
    once = frame.head(30).with_columns(item=pl.Series([f"rare{n}" for n in range(30)]))
    said = {each.name: each for each in prepared(pl.concat([frame, once]), split="time").findings}
    assert 0 < said["rare items"].count <= 30
    assert "short names can be guessed" in said["stored"].what


def test_times_of_new_rows_are_read_as_those_of_training() -> None:
    days = pl.from_epoch(pl.Series("time", clusters()["time"])).dt.strftime("%d/%m/%Y")
    kind = prepared(clusters().with_columns(days)).inputs.kinds[0]
    assert isinstance(kind, Item)
    again = Item.restore(*kind.state())
    for each in (kind, again):  # alone they would be the third and fourth of a month
        found = each.days(pl.DataFrame({"time": ["04/03/2020", "03/04/2020"]}))
        assert np.diff(found) == 30.0
    seconds = prepared(clusters()).inputs.kinds[0]
    assert isinstance(seconds, Item)
    assert np.diff(seconds.days(pl.DataFrame({"time": [0, 86_400]}))) == 1.0


def test_identities_that_a_gap_made_floats_are_the_same() -> None:
    whole = pl.Series([1, 2, 30])
    assert ratings.identities(whole.cast(pl.Float64)).to_list() == ratings.identities(whole).to_list()
    assert ratings.identities(pl.Series([1.5, None])).to_list() == ["1.5", None]


def test_low_ratings_are_taken_but_neither_learned_nor_measured() -> None:
    frame = clusters()
    plain, made = prepared(frame), prepared(frame, set={"task.least": 4})
    stars = made.table.cells["rating"].to_numpy()
    assert stars[made.split.test].min() == 4
    assert len(made.split.test) == (stars[plain.split.test] >= 4).sum()
    inputs, target = made.task.examples(made.decoded, made.split.train, made.inputs, learn=True)
    _, every = plain.task.examples(plain.decoded, plain.split.train, plain.inputs, learn=True)
    assert 0 < len(target) < len(every)
    low = [row for row in made.split.train if stars[row] < 4]
    history = inputs[SEEN].values.tolist()
    code = made.inputs.kinds[0].codes(made.table.frame(["item"], low))
    assert set(code[code > 0].tolist()) <= set(history)
    with pytest.raises(RecipeError, match="no column of ratings"):
        prepared(frame.drop("rating"), set={"task.least": 4})
    with pytest.raises(DataError, match="rated high enough"):
        prepared(frame, set={"task.least": 6})


def test_weights_of_rows_and_a_time_that_says_who_are_refused() -> None:
    with pytest.raises(RecipeError, match="no row of the table"):
        prepared(clusters(), weight="rating")
    with pytest.raises(DataError, match="column of users or items"):
        prepared(clusters(), time="item")


def test_rows_of_a_user_are_redrawn_together() -> None:
    made = prepared(clusters(), split="time")
    found = together(made.columns, made.table, made.split.test, pl.DataFrame({"rank": made.split.test}))
    assert found is not None
    assert found.to_list() == made.table.cells[made.split.test]["user"].to_list()


def test_the_linear_model_is_as_large_as_minutes_and_memory_hold() -> None:
    made = prepared(clusters())
    task = made.task
    assert isinstance(task, Recommend)
    training.part(made, made.split.train, learn=True)
    select = training.part(made, made.split.select)
    for limits in ({"seconds": 1e-6, "memory": 10**9}, {"seconds": 60.0, "memory": 2_000}):
        chosen = task.study(select.inputs, select.target, **limits)  # type: ignore[arg-type]
        assert 0 < chosen["task.linear"].value < task.outputs  # type: ignore[operator]
        assert task.weights_II is not None and len(task.weights_II) == chosen["task.linear"].value
    assert not task.study(select.inputs, select.target, seconds=60.0, memory=10**9)
    assert task.weights_II is not None and len(task.weights_II) == task.outputs


def test_histories_of_a_strange_file_whose_lengths_run_over_are_refused() -> None:
    facts, tensors = prepared(clusters()).inputs.kinds[0].state()
    users = torch.arange(5)
    lengths = torch.tensor([2**62] * 4 + [len(tensors["histories"])])  # the sum of four is 0
    with pytest.raises(BundleError, match="do not fit together"):
        Item.restore(facts, {**tensors, "users": users, "lengths": lengths})
    with pytest.raises(BundleError, match="no known way"):
        Item.restore({**facts, "calendar": {"form": "%Y", "size": 1.0}}, tensors)  # type: ignore[dict-item]


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


def test_ratings_in_words_are_passed_over_without_a_warning() -> None:
    made = prepared(clusters().with_columns(rating=pl.lit("good")))
    assert "no rating" in {each.name for each in made.findings}
