"""Intervals and calibration against SciPy, against naive code, and against what they promise."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from scipy import optimize, special, stats

from netwright.base.errors import RecipeError
from netwright.objectives import intervals
from netwright.objectives.metrics import CLASSIFY, REGRESS

REFERENCE = json.loads((Path(__file__).parents[1] / "references" / "objectives.json").read_text())
ACCURACY = CLASSIFY[0]
BALANCED = CLASSIFY[1]
MAE = next(each for each in REGRESS if each.name == "mae")


def right_or_wrong(rows: int, share: float, seed: int = 0) -> pl.DataFrame:
    right = np.random.default_rng(seed).random(rows) < share
    return pl.DataFrame({"truth": np.zeros(rows, dtype=int), "prediction": 1 - right.astype(int)})


@pytest.mark.parametrize(("right", "rows", "low", "high"), REFERENCE["wilson"])
def test_wilson_is_scipys(right: int, rows: int, low: float, high: float) -> None:
    # SciPy's z has 15 digits too; the rest is rounding
    assert intervals.wilson(right, rows) == pytest.approx((low, high), abs=1e-12)


def test_the_bootstrap_is_scipys_up_to_the_noise_of_its_draws() -> None:
    draw = np.random.default_rng(1)
    error = draw.normal(0, 1, 300)
    frame = pl.DataFrame({"truth": np.zeros(300), "prediction": error})
    theirs = stats.bootstrap(
        (np.abs(error),), np.mean, n_resamples=1000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    found = intervals.bootstrap(frame, MAE, seed=0)
    # the standard error of a 2.5 % point of 1,000 draws is 0.07 standard deviations of the mean (0.035)
    assert found == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_the_bootstrap_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(100):
        low, high = intervals.bootstrap(right_or_wrong(200, 0.8, seed), ACCURACY, seed=seed, draws=100)
        held += low <= 0.8 <= high
    # 95 of 100 expected; 88 or fewer has a chance of 1 in 200 and the seeds are fixed
    assert held >= 89


def test_the_bootstrap_of_whole_groups_is_wider_where_rows_repeat() -> None:
    few = right_or_wrong(40, 0.7)
    frame = pl.concat([few] * 25)
    groups = pl.Series(list(range(40)) * 25)
    low, high = intervals.bootstrap(frame, ACCURACY, seed=0, groups=groups)
    alone_low, alone_high = intervals.bootstrap(few, ACCURACY, seed=0)
    rows_low, rows_high = intervals.bootstrap(frame, ACCURACY, seed=0)
    # 25 copies say no more than one: the same spread, up to the noise of the draws
    assert high - low == pytest.approx(alone_high - alone_low, rel=0.15)
    assert rows_high - rows_low < 0.3 * (high - low)


def test_redrawn_groups_are_whole() -> None:
    groups = pl.Series(["a", "b", "a", None, "c", "c", "c"])
    redraw = intervals._redraw_groups(groups)
    generator = np.random.default_rng(0)
    for _ in range(50):
        counts = np.bincount(redraw(generator), minlength=7)
        assert counts[0] == counts[2]
        assert counts[4] == counts[5] == counts[6]
        assert counts[[0, 1, 3, 4]].sum() == 4


def test_the_same_seed_gives_the_same_interval() -> None:
    frame = right_or_wrong(100, 0.7)
    first = intervals.bootstrap(frame, BALANCED, seed=5)
    assert first == intervals.bootstrap(frame, BALANCED, seed=5)
    assert first != intervals.bootstrap(frame, BALANCED, seed=6)


def test_columns_of_text_do_not_disturb_the_bootstrap() -> None:
    frame = right_or_wrong(100, 0.7)
    named = frame.with_columns(name=pl.Series(["x"] * 100))
    assert intervals.bootstrap(named, ACCURACY, seed=5) == intervals.bootstrap(frame, ACCURACY, seed=5)


def test_no_rows_have_no_interval() -> None:
    empty = right_or_wrong(0, 0.5)
    assert all(math.isnan(each) for each in intervals.bootstrap(empty, ACCURACY, seed=0))
    assert all(math.isnan(each) for each in intervals.interval(empty, ACCURACY, seed=0))
    grouped = intervals.bootstrap(empty, ACCURACY, seed=0, groups=pl.Series([], dtype=pl.String))
    assert all(math.isnan(each) for each in grouped)


def test_few_rows_without_a_mistake_are_no_proof_of_perfection() -> None:
    low, high = intervals.interval(right_or_wrong(20, 2.0), ACCURACY, seed=0)
    assert (low < 0.9, high) == (True, 1.0)


def test_a_difference_on_the_same_rows_is_surer_than_two_intervals() -> None:
    first = right_or_wrong(2000, 0.8)
    worse = first["prediction"].to_numpy().copy()
    worse[:30] = 1
    second = first.with_columns(prediction=pl.Series(worse))
    low, high = intervals.bootstrap_difference(first, second, ACCURACY, seed=0)
    gap = ACCURACY.reduce(first) - ACCURACY.reduce(second)
    assert 0 < low < gap < high
    assert high - low < 0.5 * np.subtract(*intervals.bootstrap(first, ACCURACY, seed=0)[::-1])


def test_many_rows_are_redrawn_less_often() -> None:
    assert intervals._affordable(1000, 16_000) == 1000
    assert intervals._affordable(1000, 100_000) == 500
    assert intervals._affordable(1000, 10**7) == intervals.FEWEST_DRAWS


def test_the_conformal_quantile_is_the_rank_of_the_paper() -> None:
    residuals = np.arange(1.0, 20.0)  # 19 rows: ceil(20 * 0.9) = 18
    assert intervals.conformal_quantile(np.random.default_rng(0).permutation(residuals), 0.9) == 18.0
    assert intervals.conformal_quantile(np.arange(1.0, 10.0), 0.9) == 9.0
    assert intervals.conformal_quantile(-residuals, 0.5) == 10.0


def test_the_conformal_quantile_of_too_few_rows_promises_nothing() -> None:
    assert intervals.conformal_quantile(np.arange(8.0), 0.9) == math.inf
    assert intervals.conformal_quantile([], 0.5) == math.inf
    assert intervals.conformal_quantile([1.0, math.nan], 0.5) == 1.0


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, math.nan])
def test_a_coverage_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(RecipeError, match="coverage cannot be"):
        intervals.conformal_quantile([1.0], share)


def test_conformal_intervals_cover_new_rows_as_promised() -> None:
    draw = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        width = intervals.conformal_quantile(draw.exponential(size=50), 0.9)
        shares.append(intervals.coverage(-np.full(100, width), np.full(100, width), draw.exponential(size=100)))
    # at least 0.9 and at most 0.9 + 1/51 on average; 0.005 is two standard errors of the mean of 300
    assert 0.9 - 0.005 <= np.mean(shares) <= 0.9 + 1 / 51 + 0.005


def test_coverage_counts_ends_as_inside_and_leaves_out_unknown_rows() -> None:
    assert intervals.coverage([0, 0, 0, math.nan], [1, 1, 1, 1], [0, 1, 2, 0]) == pytest.approx(2 / 3)
    assert math.isnan(intervals.coverage([], [], []))


def draws(rows: int, classes: int, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are `temperature` times too large for the labels drawn from them."""
    draw = np.random.default_rng(2)
    logits = 2.0 * draw.normal(size=(rows, classes))
    labels = (logits + draw.gumbel(size=(rows, classes))).argmax(1)
    return torch.from_numpy(temperature * logits), torch.from_numpy(labels)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    found = intervals.fit_temperature(*draws(20_000, 5, temperature))
    assert found == pytest.approx(temperature, rel=0.03)  # three standard errors at 20,000 rows


@pytest.mark.parametrize("members", [1, 4])
def test_the_temperature_is_scipys(members: int) -> None:
    logits, labels = draws(400, 3, 2.0)
    noise = np.random.default_rng(3).normal(size=(members, 400, 3))
    all_logits = logits.numpy()[None] + noise

    def loss(temperature: float) -> float:
        p = special.softmax(all_logits / temperature, axis=-1).mean(0)
        prior = 0.5 * math.log(temperature) ** 2 / 400
        return float(-np.log(p[np.arange(400), labels.numpy()]).mean()) + prior

    theirs = optimize.minimize_scalar(loss, bounds=(0.05, 20.0), method="bounded").x
    found = intervals.fit_temperature(torch.from_numpy(all_logits), labels)
    assert found == pytest.approx(theirs, rel=2e-3)  # the search ends at 1e-3 in log T


def test_two_dimensions_are_one_member() -> None:
    logits, labels = draws(200, 3, 2.0)
    assert intervals.fit_temperature(logits, labels) == intervals.fit_temperature(logits[None], labels)


def test_rows_of_unknown_class_do_not_move_the_temperature() -> None:
    logits, labels = draws(200, 3, 2.0)
    more = torch.cat([logits, 50 * torch.ones(3, 3, dtype=torch.float64)])
    unknown = torch.cat([labels, -torch.ones(3, dtype=torch.int64)])
    assert intervals.fit_temperature(more, unknown) == intervals.fit_temperature(logits, labels)
    assert intervals.fit_temperature(logits[:0], labels[:0]) == 1.0


def test_the_temperature_stays_in_its_range_whatever_comes() -> None:
    labels = torch.arange(100) % 2
    sure = 1e4 * torch.nn.functional.one_hot(labels, 2).float()
    for logits in (sure, -sure, torch.zeros(100, 2), 1e-3 * sure):
        assert 0.05 <= intervals.fit_temperature(logits, labels) <= 20.0 + 1e-9


def test_few_rows_that_are_all_right_do_not_make_the_network_surer() -> None:
    labels = torch.arange(30) % 2
    logits = 8.0 * torch.nn.functional.one_hot(labels, 2).float()
    assert intervals.fit_temperature(logits, labels) > 0.8


def test_many_logits_are_thinned_and_give_nearly_the_same() -> None:
    logits, labels = draws(300_000, 10, 2.0)  # 3 million logits
    assert intervals.fit_temperature(logits, labels) == pytest.approx(2.0, rel=0.02)  # sampling noise


def test_the_calibration_error_is_that_of_naive_code() -> None:
    draw = np.random.default_rng(0)
    stated = draw.random(500)
    right = draw.random(500) < stated**2
    expected = 0.0
    for at in range(10):
        inside = (stated > at / 10) & (stated <= (at + 1) / 10)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - stated[inside].mean())
    found = intervals.expected_calibration_error(stated, right, bins=10)
    assert found == pytest.approx(expected, abs=1e-12)  # the same sums in another order


def test_the_calibration_error_of_perfect_and_of_wrong_certainty() -> None:
    assert intervals.expected_calibration_error([1.0, 1.0], [True, True]) == 0.0
    assert intervals.expected_calibration_error([1.0, 0.0], [False, True]) == 1.0
    assert math.isnan(intervals.expected_calibration_error([], []))


def test_temperatures_of_several_networks_are_those_of_each_alone() -> None:
    torch.manual_seed(0)
    logits_SKBC = torch.randn(4, 3, 60, 5) * torch.tensor([0.05, 1.0, 4.0, 60.0]).view(4, 1, 1, 1)
    target_SB = torch.randint(0, 5, (4, 60))
    logits_SKBC[1].scatter_add_(2, target_SB[1].expand(3, -1).unsqueeze(2), torch.full((3, 60, 1), 2.0))
    target_SB[2, 40:] = -1  # rows that are left out
    found_S, losses_S = intervals.fit_temperatures(logits_SKBC, target_SB)
    for network in range(4):
        known = target_SB[network] >= 0
        logits_KBC, target_B = logits_SKBC[network][:, known], target_SB[network][known]
        expected = intervals.fit_temperature(logits_KBC, target_B)
        assert float(found_S[network]) == pytest.approx(
            expected, rel=3e-3
        )  # both stop at 1e-3 in the logarithm
        p_BC = torch.softmax(logits_KBC / found_S[network], dim=-1).mean(0)
        loss = -p_BC.gather(1, target_B.unsqueeze(1)).log().mean()
        assert float(losses_S[network]) == pytest.approx(float(loss), abs=1e-5)
