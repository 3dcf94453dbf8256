"""Whole runs on series."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import netwright
from netwright import build, linear, request, shrinkage, trainees, training
from netwright import prepare as preparing
from netwright.base.errors import DataError, RecipeError
from netwright.cli.main import run
from netwright.learning.closed import CALM
from netwright.learning.trainee import Settings
from netwright.tasks.network import Network, outputs
from netwright.tasks.network import build as build_network


def series(rows: int = 600, noise: float = 0.1) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    time = np.arange(rows)
    day = np.sin(2 * np.pi * time / 24)
    return pl.DataFrame(
        {
            "date": pl.Series(np.datetime64("2024-01-01T00", "us") + time * np.timedelta64(1, "h")),
            "load": 5 + 2 * day + 0.01 * time + noise * draw.normal(size=rows),
            "heat": 100 - 30 * day + 3 * noise * draw.normal(size=rows),
        }
    )


@pytest.mark.parametrize("family", ["auto", "convolutional", "recurrent", "transformer"])
def test_a_wide_table_is_forecast_by_every_family(family: str) -> None:
    found = build.fit(
        series(), horizon=12, network=family, minutes=2, set={"learning.epochs": 3, "kind.load.back": 48}
    )
    card = found.card
    assert (card["task"], card["metric"]["name"]) == ("forecast", "mse")
    assert set(card["target"]) == {"load", "heat"}
    ahead = found.model.predict(series())
    assert ahead.columns == ["series", "step", "prediction", "low", "high"]
    assert ahead.height == 24
    assert (ahead["low"] <= ahead["prediction"]).all() and (ahead["prediction"] <= ahead["high"]).all()


def test_what_auto_picks_beats_the_value_a_day_before() -> None:
    found = build.fit(series(900, noise=0.3), horizon=12, minutes=2, set={"learning.epochs": 5})
    baselines = found.card["baselines"]
    assert "24" in baselines["blind"]["words"]
    assert found.card["metric"]["value"] < baselines["blind"]["value"]
    assert found.card["metric"]["value"] <= baselines["linear"]["value"] * 1.1
    truth = series(924, noise=0.0).filter(pl.col("date") >= series(900)["date"][-1])["heat"][1:13]
    ahead = found.model.predict(series(900, noise=0.3)).filter(pl.col("series") == "heat")
    assert np.abs(ahead["prediction"].to_numpy() - truth.to_numpy()).mean() < 6


def test_what_was_learned_by_chance_is_taken_back_to_the_linear_forecast() -> None:
    made = preparing.prepare(series(noise=2.0), request.make({"horizon": 12, "minutes": 2.0}))
    parts = training.parts(made)
    solved = linear.train(made, parts, seed=0, minutes=1)
    assert solved is not None
    settings = Settings(lr=0.02, epochs=20.0, ema=0.0)
    config = {"depth": 1, "width": 32, "members": 2, "shortcut": True}
    job = training.Job(network="feedforward", config=config, settings=settings, seed=0)
    deep = training.train_one(job, made, parts, lambda event: None, start=solved)
    rows = parts["calibrate"]

    def error(network: Network, share: float = 1.0) -> float:
        leaned = copy.deepcopy(network)
        leaned.lean(solved.network, share)
        return float(made.task.watch(outputs(leaned, rows.inputs), rows.target.values)["loss"])

    losses = {share: error(deep.network, share) for share in (0.0, 0.5, 1.0)}
    assert losses[0.0] == pytest.approx(error(solved.network))
    assert losses[0.5] <= (losses[0.0] + losses[1.0]) / 2  # squared error is convex
    kept, choice = shrinkage.towards_linear(deep, solved, made, parts)
    assert error(kept.network) <= min(losses.values()) + 1e-6
    assert losses[1.0] > losses[0.0], "twenty passes over noise learn it by heart"
    assert 0.0 <= float(choice["learned"].value) < 1.0  # type: ignore[arg-type]


def test_once_all_is_chosen_the_linear_forecast_is_solved_with_validation_rows() -> None:
    made = preparing.prepare(series(noise=1.0), request.make({"horizon": 12, "minutes": 2.0}))
    parts = training.parts(made)
    solved = linear.train(made, parts, seed=0, minutes=1)
    assert solved is not None
    network = build_network("feedforward", {"depth": 1, "width": 8, "shortcut": True}, made.spec, made.task)
    deep = dataclasses.replace(solved, network=network.eval())
    rows, period = parts["calibrate"].inputs, made.task.period  # type: ignore[attr-defined]

    def answers() -> list[torch.Tensor]:
        return [outputs(each.network, rows).mean(0) for each in (solved, deep)]

    before = answers()
    told = linear.solve_with_validation(solved, deep, made)
    after = answers()
    assert told["solved"].value == "with validation rows"
    assert made.task.period == period  # type: ignore[attr-defined]
    torch.testing.assert_close(after[1] - before[1], after[0] - before[0], atol=1e-4, rtol=1e-3)
    whole = training.part(made, np.arange(made.split.test[0]), learn=True)
    wide, answer = whole.inputs["channels"].take(torch.arange(len(whole.target))), whole.target.values[:, 0]
    x = (wide[:, :, 0] - wide[:, -1:, 0]).double().numpy()[:, :-1]  # each value beside the last one
    weight = 1.0 / (np.pad(x, ((0, 0), (0, 1))).std(1, keepdims=True) + CALM)
    penalty = float(solved.ended["ridge"]) ** 0.5 * np.eye(x.shape[1])  # type: ignore[arg-type]
    goal = np.concatenate([answer.double().numpy() * weight, np.zeros((x.shape[1], answer.shape[1]))])
    wanted, *_ = np.linalg.lstsq(np.concatenate([x * weight, penalty]), goal, rcond=None)
    found = outputs(solved.network, whole.inputs).mean(0).numpy()
    np.testing.assert_allclose(found, x @ wanted, atol=1e-2)


def test_a_run_says_that_validation_rows_were_learned_from_at_its_end() -> None:
    card = build.fit(series(), horizon=12, minutes=2, set={"learning.epochs": 1}).card
    said = [each for each in card["choices"] if each["name"] == "found.solved"]
    assert len(said) == 1 and "validation score" in said[0]["why"]


@pytest.mark.parametrize("family", ["convolutional", "recurrent", "transformer"])
def test_every_family_begins_as_the_linear_forecast(family: str) -> None:
    made = preparing.prepare(series(), request.make({"horizon": 12, "minutes": 2.0}))
    rows = training.parts(made)["select"]
    solved = linear.train(made, training.parts(made), seed=0, minutes=1)
    assert solved is not None
    network = build_network(family, {}, made.spec, made.task).eval()
    far, near = outputs(network, rows.inputs), outputs(solved.network, rows.inputs)
    assert not torch.allclose(far, near, atol=1e-2)
    network.lean(solved.network, 0.0)
    torch.testing.assert_close(outputs(network, rows.inputs), near, atol=1e-4, rtol=1e-4)


def test_where_answers_take_long_evenly_fewer_windows_are_measured_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, heard = trainees.NetworkTrainee.timed, []
    monkeypatch.setattr(trainees.NetworkTrainee, "timed", lambda self: (1.0, plain(self)[1]))
    monkeypatch.setattr(training, "FEWEST", 7)
    asked = {"horizon": 12, "network": "convolutional", "set": {"kind.load.back": 48}}
    found = build.fit(series(), minutes=0.05, listen=heard.append, **asked)
    said = [event.data for event in heard if event.type == "finding" and event.data["name"] == "test rows"]
    assert len(said) == 1 and "7 of them, evenly spaced" in str(said[0]["done"])
    assert any(each["name"] == "test rows" for each in found.card["findings"])
    heard.clear()
    again = build.fit(series(), minutes=0.05, listen=heard.append, **{**asked, "set": {"learning.epochs": 1}})
    assert not any(each["name"] == "test rows" for each in again.card["findings"]), "no clock, no rows left out"


def test_a_test_row_changes_nothing_that_is_fitted() -> None:
    plain = series()
    other = plain.with_columns(
        pl.when(pl.int_range(pl.len()) >= 590).then(99.0).otherwise("load").alias("load")
    )
    asked = {"horizon": 12, "minutes": 2, "set": {"learning.epochs": 2}}
    first, second = (build.fit(each, **asked).model for each in (plain, other))
    a, b = first.network.state_dict(), second.network.state_dict()
    assert all(bool((a[name] == b[name]).all()) for name in a)


def test_long_tables_gaps_and_order_are_mended_and_said() -> None:
    wide = series(300)
    long = pl.concat(
        [wide.select("date", pl.lit(n).alias("unique_id"), pl.col(n).alias("y")) for n in ("load", "heat")]
    )
    found = build.fit(long.rename({"date": "ds"}), horizon=6, minutes=2, set={"learning.epochs": 1})
    assert found.card["target"] == ["load", "heat"]
    shuffled = wide.sample(fraction=1.0, shuffle=True, seed=0)
    assert any(each.name == "order" for each in build.check(shuffled, horizon=6))
    gappy = pl.concat([wide[:100], wide[110:]])
    assert any("10 moments" in each.what for each in build.check(gappy, horizon=6))


def test_what_cannot_be_forecast_is_refused() -> None:
    with pytest.raises(DataError, match="says when"):
        build.check(series().drop("date"), horizon=6)
    with pytest.raises(DataError, match="horizon"):
        build.fit(series(60), horizon=50)
    twice = pl.concat([series(50), series(50)])
    with pytest.raises(DataError, match="several rows"):
        build.check(twice, horizon=6)


def test_forecast_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    series().write_csv(tmp_path / "load.csv")
    out = str(tmp_path / "run")
    asked = ["train", str(tmp_path / "load.csv"), "--horizon", "6", "--target", "load", "--out", out, "--json"]
    assert run([*asked, "--set", "learning.epochs=2"]) == 0
    assert '"forecast"' in capsys.readouterr().out
    assert run(["predict", out, str(tmp_path / "load.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "series,step,prediction,low,high"
    assert len(lines) == 7
    assert run(["evaluate", out, str(tmp_path / "load.csv"), "--json"]) == 0
    assert '"mse"' in capsys.readouterr().out
    series(40).write_csv(tmp_path / "short.csv")
    assert run(["predict", out, str(tmp_path / "short.csv")]) == 2
    assert "moments" in capsys.readouterr().err


def driven(rows: int = 400, ahead: int = 0) -> pl.DataFrame:
    """A load that follows the heat and the days off at once; of the last rows it is not known yet."""
    draw = np.random.default_rng(1)
    heat, off = draw.normal(size=rows).round(2), draw.random(rows) < 0.2
    load = 5 + 2 * heat + 3 * off + 0.1 * draw.normal(size=rows)
    load[rows - ahead :] = np.nan
    time = np.datetime64("2024-01-01T00", "us") + np.arange(rows) * np.timedelta64(1, "h")
    columns = {"date": pl.Series(time), "load": load, "heat": heat, "off": np.where(off, "yes", "no")}
    return pl.DataFrame(columns).with_columns(pl.col("load").fill_nan(None))


KNOWN = {"target": "load", "horizon": 4, "known": ("heat", "off"), "minutes": 2}
QUICK = {"learning.epochs": 2, "kind.load.back": 8}


def test_what_is_known_ahead_is_used() -> None:
    found = build.fit(driven(), **KNOWN, set=QUICK)
    assert found.card["target"] == ["load"]
    assert found.card["baselines"]["linear"]["value"] < 0.1 * found.card["baselines"]["blind"]["value"]
    assert found.card["metric"]["value"] < 0.1
    again = found.model.predict(driven(rows=400, ahead=4))
    truth = driven()["load"][-4:].to_numpy()
    assert np.abs(again["prediction"].to_numpy() - truth).max() < 1.0
    other = driven(ahead=4).with_columns(heat=pl.col("heat") + pl.int_range(pl.len()).ge(396).cast(pl.Float64))
    assert (found.model.predict(other)["prediction"] - again["prediction"] > 1.0).all()
    assert found.model.evaluate(driven())["metric"]["value"] < 0.1


@pytest.mark.parametrize("family", ["convolutional", "recurrent", "transformer"])
def test_every_family_takes_what_is_known_ahead(family: str) -> None:
    found = build.fit(driven(200), **KNOWN, network=family, set={**QUICK, "network.width": 16})
    same, other = (
        found.model.predict(driven(200, ahead=4).with_columns(heat=pl.col("heat") + shift))
        for shift in (0.0, 3.0)
    )
    assert same.height == 4
    assert (same["prediction"] != other["prediction"]).all()


def test_prices_of_each_series_of_a_long_table_are_its_own() -> None:
    wide = driven(200)
    apart = wide.with_columns(heat=pl.col("heat").reverse(), load=5 + 2 * pl.col("heat").reverse())
    long = pl.concat(
        [each.with_columns(unique_id=pl.lit(name)) for name, each in (("a", wide), ("b", apart))]
    ).select("date", "unique_id", pl.col("load").alias("y"), "heat")
    asked = {"horizon": 4, "known": "heat", "minutes": 2}
    model = build.fit(long, **asked, set={"learning.epochs": 2, "kind.a.back": 8, "kind.b.back": 8}).model
    later = pl.col("date") > wide["date"][159]
    parted = preparing.prepare(long.filter(~later), request.make({**asked, "test": long.filter(later)}))
    assert len(parted.split.test) == 40
    pairs = zip(wide["heat"], apart["heat"], strict=True)
    assert parted.table.cells["heat"].to_list() == [list(each) for each in pairs]
    late = pl.col("date") > wide["date"][-5]
    plain = model.predict(long.with_columns(y=pl.when(late).then(None).otherwise("y")))
    assert plain["series"].to_list() == ["a"] * 4 + ["b"] * 4
    dearer = pl.when(late & (pl.col("unique_id") == "b")).then(pl.col("heat") + 1).otherwise("heat")
    other = model.predict(long.with_columns(heat=dearer, y=pl.when(late).then(None).otherwise("y")))
    moved = (other["prediction"] - plain["prediction"]).to_numpy()
    assert (moved[:4] == 0).all() and (moved[4:] > 1).all()


def test_rows_that_are_still_to_come_are_not_learned_from() -> None:
    asked = {**KNOWN, "set": QUICK}
    first, second = build.fit(driven(400)[:396], **asked), build.fit(driven(400, ahead=4), **asked)
    assert first.card["metric"] == second.card["metric"]
    assert any("4 moments come after" in each["what"] for each in second.card["findings"])


def test_what_is_not_known_ahead_is_said() -> None:
    model = build.fit(driven(200), **KNOWN, set=QUICK).model
    with pytest.raises(DataError, match=r"needs heat, off of 4 moments after the last value.* has 0"):
        model.predict(driven(200))
    with pytest.raises(DataError, match="has 3"):
        model.predict(driven(200, ahead=4)[:-1])
    some = driven(200, ahead=4).with_columns(off=pl.when(pl.int_range(pl.len()) < 198).then("off"))
    with pytest.raises(DataError, match=r"'off'.* empty in 2 of the 4 moments.* 3 after the last value"):
        model.predict(some)
    with pytest.raises(DataError, match="no column 'heat'"):
        model.predict(driven(200, ahead=4).drop("heat"))
    with pytest.raises(DataError, match="held numbers"):
        model.predict(driven(200, ahead=4).with_columns(heat=pl.lit("warm")))
    for known, words in (("heta", "did you mean 'heat'"), ("load", "both --known and --target")):
        with pytest.raises(DataError) as caught:
            build.check(driven(), **{**KNOWN, "known": known})
        assert words in str(caught.value)
    with pytest.raises(DataError, match="1 to 100 can be used"):
        names = pl.Series([f"day {row}" for row in range(400)])
        build.check(driven().with_columns(off=names), **KNOWN)
    some = driven().with_columns(heat=pl.when(pl.int_range(pl.len()) != 7).then("heat"))
    assert any("1 values that are known" in each.what for each in build.check(some, **KNOWN))
    with pytest.raises(RecipeError, match="cannot be of kind 'text'"):
        build.check(driven(), **KNOWN, kinds={"off": "text"})
    with pytest.raises(RecipeError, match="forecasts alone"):
        build.check({"text": ["words"] * 50, "label": [0, 1] * 25}, known="text", task="classify")


def test_a_run_with_known_columns_is_repeated_and_goes_on(tmp_path: Path) -> None:
    source, again = tmp_path / "load.csv", tmp_path / "again"
    driven(200).write_csv(source)
    asked = ["train", str(source), "--horizon", "4", "--target", "load", "--known", "heat,off", "--quiet"]
    by_hand = ["--set", "learning.epochs=2", "--set", "kind.load.back=8", "--kind", "off=category"]
    assert run([*asked, *by_hand, "--out", str(tmp_path / "first")]) == 0
    assert run([*asked, *by_hand, "--recipe", str(tmp_path / "first"), "--out", str(again)]) == 0
    first, second = (netwright.load(tmp_path / name / "model.safetensors") for name in ("first", "again"))
    weights = zip(first.network.state_dict().values(), second.network.state_dict().values(), strict=True)
    assert all(bool((one == other).all()) for one, other in weights)
    assert first.card["columns"] == second.card["columns"]
