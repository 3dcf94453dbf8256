"""Whole runs on series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from netwright import build
from netwright.base.errors import DataError
from netwright.cli.main import run


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
