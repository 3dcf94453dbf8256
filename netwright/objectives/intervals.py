"""How sure a number is: intervals of metrics and predictions; probabilities that mean what they say."""

# K = members, B = examples, C = classes, N = rows

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.base import seeds
from netwright.base.errors import RecipeError
from netwright.objectives.metrics import Metric

if TYPE_CHECKING:
    import polars as pl

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Interval = tuple[float, float]
NOTHING: Interval = (float("nan"), float("nan"))

MOST_REDRAWN = 50_000_000
"""Rows redrawn in all: above it there are fewer draws, down to `FEWEST_DRAWS`, so that a minute is enough."""
FEWEST_DRAWS = 200
TEMPERATURES = (0.05, 20.0)
"""Range of a fitted temperature."""
MOST_LOGITS = 2_000_000
"""Logits that a temperature is fitted to."""


def interval(
    statistics: pl.DataFrame, metric: Metric, *, seed: int, groups: pl.Series | None = None
) -> Interval:
    """The 95 % interval of a metric: Wilson's for plain shares of right rows, else the bootstrap's.

    The bootstrap knows no error that it did not see: 20 rows without a mistake would give "1 to 1".
    """
    if groups is None and metric.name in ("accuracy", "exact_match") and statistics.height:
        value = metric.reduce(statistics)
        return wilson(round(value * statistics.height), statistics.height)
    return bootstrap(statistics, metric, seed=seed, groups=groups)


def wilson(right: int, rows: int) -> Interval:
    """The 95 % score interval of a share.

    Args:
        right: Rows that count, 0 <= right <= rows.
        rows: Rows in all; with none the interval is NaN.

    Reference: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.
    """
    if rows <= 0:
        return NOTHING
    z = 1.959963984540054  # 97.5 % point of the normal distribution
    share = right / rows
    center = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)
    low = 0.0 if right == 0 else max(0.0, center - half)
    return low, 1.0 if right == rows else min(1.0, center + half)


def bootstrap(
    statistics: pl.DataFrame,
    metric: Metric,
    *,
    seed: int,
    draws: int = 1000,
    groups: pl.Series | None = None,
) -> Interval:
    """The 95 % percentile interval of a metric over redrawn examples.

    Args:
        statistics: One row an example.
        metric: What is measured.
        seed: Same seed, same interval.
        draws: How often the rows are redrawn; fewer above 50,000 rows.
        groups: Group of each row; whole groups are redrawn, because rows of one are not independent.

    Returns:
        Low and high, in the units of the metric. NaN where it cannot be measured in half of the draws.

    Reference: Efron 1979, https://doi.org/10.1214/aos/1176344552.
    """
    ready, height = _columns(statistics, metric), statistics.height
    redraw = _redraw_rows(height) if groups is None else _redraw_groups(groups)
    generator = seeds.generator(seed, "bootstrap")
    values = [metric.reduce(_Redrawn(ready, redraw(generator))) for _ in range(_affordable(draws, height))]
    return _percentiles(np.array(values))


def bootstrap_difference(
    first: pl.DataFrame,
    second: pl.DataFrame,
    metric: Metric,
    *,
    seed: int,
    groups: pl.Series | None = None,
) -> Interval:
    """The 95 % interval of metric(first) - metric(second) on the same examples, redrawn together.

    Far narrower than two intervals side by side: a hard row is hard for both.

    Args:
        first: Statistics of one model, one row an example.
        second: Statistics of the other on the same examples in the same order.
        metric: What is measured.
        seed: Same seed, same interval.
        groups: Group of each row, as in `bootstrap`.
    """
    ready, other, height = _columns(first, metric), _columns(second, metric), first.height
    redraw = _redraw_rows(height) if groups is None else _redraw_groups(groups)
    generator = seeds.generator(seed, "bootstrap")
    values = []
    for _ in range(_affordable(1000, 2 * height)):
        rows = redraw(generator)
        values.append(metric.reduce(_Redrawn(ready, rows)) - metric.reduce(_Redrawn(other, rows)))
    return _percentiles(np.array(values))


def _columns(statistics: pl.DataFrame, metric: Metric) -> dict[str, npt.NDArray[np.generic]]:
    """What the metric reads, as arrays: gathering whole frames a thousand times takes four times as long."""
    import polars.selectors as cs

    numbers = statistics.select(cs.numeric() | cs.boolean())
    wanted = [name for name in numbers.columns if not metric.reads or name.split(":")[0] in metric.reads]
    return {name: numbers[name].to_numpy() for name in wanted}


class _Values(NamedTuple):
    """A column of redrawn rows."""

    values: npt.NDArray[np.generic]

    def to_numpy(self) -> npt.NDArray[np.generic]:
        """(N,)."""
        return self.values


class _Redrawn:
    """Rows of columns, as metrics read them: to make a frame of polars takes longer than most metrics."""

    def __init__(self, columns: dict[str, npt.NDArray[np.generic]], rows: Ints) -> None:
        self.columns, self.height = list(columns), len(rows)
        self._columns, self._rows = columns, rows

    def __getitem__(self, name: str) -> _Values:
        return _Values(self._columns[name][self._rows])


def _affordable(draws: int, rows: int) -> int:
    return max(min(draws, FEWEST_DRAWS), min(draws, MOST_REDRAWN // max(rows, 1))) if rows else 0


def _redraw_rows(rows: int) -> Callable[[np.random.Generator], Ints]:
    return lambda generator: generator.integers(0, rows, rows)


def _redraw_groups(groups: pl.Series) -> Callable[[np.random.Generator], Ints]:
    codes = groups.rank("dense").fill_null(0).to_numpy().astype(np.int64)  # rows without one: a group
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    sizes = np.diff(starts, append=len(codes))

    def redraw(generator: np.random.Generator) -> Ints:
        drawn = generator.integers(0, len(starts), len(starts))
        size = sizes[drawn]
        before = np.cumsum(size) - size
        inside = np.arange(size.sum()) - np.repeat(before, size)
        rows: Ints = order[np.repeat(starts[drawn], size) + inside]
        return rows

    return redraw


def _percentiles(values: Floats) -> Interval:
    finite = values[np.isfinite(values)]
    if len(finite) == 0 or 2 * len(finite) < len(values):
        return NOTHING
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def conformal_quantile(residuals: npt.ArrayLike, coverage: float) -> float:
    """Half width of an interval that holds a new residual with probability >= `coverage`.

    Args:
        residuals: Sizes of the errors |truth - prediction| on N rows that nothing was fitted on; not
            finite ones are left out.
        coverage: Asked share, in (0, 1).

    Returns:
        The ceil((N + 1) * coverage)-th smallest, in units of the residuals; infinity where N is too small
        to promise that much (9 rows are needed for 90 %).

    Raises:
        RecipeError: If coverage is not in (0, 1).

    Reference: Lei et al. 2018, https://arxiv.org/abs/1604.04173, algorithm 2.
    """
    if not 0.0 < coverage < 1.0:
        raise RecipeError(
            f"coverage cannot be {coverage:g}.", hint="give a share above 0 and below 1, such as 0.9."
        )
    sizes = np.abs(np.asarray(residuals, dtype=np.float64))
    sizes = sizes[np.isfinite(sizes)]
    # rounded first: (9 + 1) * 0.9 is 9.000000000000002 for some coverages, and must not become 10
    rank = math.ceil(round((len(sizes) + 1) * coverage, 9))
    if rank > len(sizes):
        return math.inf
    return float(np.partition(sizes, rank - 1)[rank - 1])


def coverage(low: npt.ArrayLike, high: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Share of rows whose truth lies in [low, high]; NaN if no row has all three."""
    lows, highs, truths = (np.asarray(each, dtype=np.float64) for each in (low, high, truth))
    known = ~(np.isnan(lows) | np.isnan(highs) | np.isnan(truths))
    inside = (lows[known] <= truths[known]) & (truths[known] <= highs[known])
    return float(inside.mean()) if inside.size else float("nan")


def fit_temperature(logits: Tensor, target: Tensor, *, most: int = MOST_LOGITS) -> float:
    """The temperature T that makes mean over members of softmax(logits / T) fit the target best.

    A weak prior (log T is standard normal, the weight of one row) keeps T away from the ends where the
    rows are few and all right.

    Args:
        logits: (K, B, C) of K members, or (B, C).
        target: Class index, (B,) int64; rows with -1 (unknown) are left out.
        most: Logits that are looked at: where there are more, rows are thinned evenly.

    Returns:
        T in [0.05, 20]; 1 if there is no row. Above 1: the network was too sure of itself.

    Reference: Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 4.2.
    """
    logits_KBC = (logits.unsqueeze(0) if logits.dim() == 2 else logits).detach().float()
    known_B = target >= 0
    logits_KBC, target_B = logits_KBC[:, known_B], target[known_B]
    every = math.ceil(logits_KBC.numel() / most)
    if every == 0:
        return 1.0
    logits_KBC, target_B = logits_KBC[:, ::every], target_B[::every]

    true_KB1 = logits_KBC.gather(2, target_B.expand(len(logits_KBC), -1).unsqueeze(2))
    # classes first: sums over a short last axis do not vectorise (5 times slower for two classes)
    behind_CKB = (logits_KBC - true_KB1).permute(2, 0, 1).contiguous()

    def loss(log_temperature: float) -> float:
        log_p_KB = -torch.logsumexp(behind_CKB * math.exp(-log_temperature), dim=0)
        log_p_B = torch.logsumexp(log_p_KB, dim=0) - math.log(len(log_p_KB))
        return float(-log_p_B.double().mean()) + 0.5 * log_temperature**2 / len(target_B)

    return math.exp(_minimum(loss, math.log(TEMPERATURES[0]), math.log(TEMPERATURES[1])))


def fit_temperatures(logits_SKBC: Tensor, target_SB: Tensor) -> tuple[Tensor, Tensor]:
    """`fit_temperature` of several networks at once, each on rows of its own.

    Args:
        logits_SKBC: Of K members of S networks.
        target_SB: Class index, int64; rows with -1 (unknown) are left out.

    Returns:
        (S,) float64 temperatures, to 1e-3, and (S,) float64 mean losses with them, nats; NaN without a row.
    """
    logits_SKBC, known_SB = logits_SKBC.detach().float(), (target_SB >= 0).double()
    networks, members = logits_SKBC.shape[:2]
    rows_S = known_SB.sum(1)
    place_SKB1 = target_SB.clamp(min=0).unsqueeze(1).expand(-1, members, -1).unsqueeze(3)
    behind_CSKB = (logits_SKBC - logits_SKBC.gather(3, place_SKB1)).permute(3, 0, 1, 2).contiguous()

    def plain_S(log_S: Tensor) -> Tensor:
        """Mean losses, for as many temperatures of each network as there are, (..., S)."""
        cold = (-log_S).exp().float().unsqueeze(-1).unsqueeze(-1)
        log_p_SKB = -torch.logsumexp(
            behind_CSKB.view(-1, *[1] * (log_S.dim() - 1), *behind_CSKB.shape[1:]) * cold, 0
        )
        log_p_SB = torch.logsumexp(log_p_SKB, dim=-2) - math.log(members)
        return -(log_p_SB.double() * known_SB).sum(-1) / rows_S

    def loss_S(log_S: Tensor) -> Tensor:
        return plain_S(log_S) + 0.5 * log_S.square() / rows_S.clamp(min=1)

    first, last = (math.log(end) for end in TEMPERATURES)
    grid_G = torch.linspace(first, last, 13, dtype=torch.float64)
    best_S = loss_S(grid_G.unsqueeze(1).expand(-1, networks)).argmin(0)
    low_S, high_S = grid_G[(best_S - 1).clamp(min=0)], grid_G[(best_S + 1).clamp(max=len(grid_G) - 1)]
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    left_S, right_S = high_S - golden * (high_S - low_S), low_S + golden * (high_S - low_S)
    at_left_S, at_right_S = loss_S(left_S), loss_S(right_S)
    while float((high_S - low_S).max()) > 1e-3:
        lower_S = at_left_S <= at_right_S
        low_S, high_S = torch.where(lower_S, low_S, left_S), torch.where(lower_S, right_S, high_S)
        step_S = golden * (high_S - low_S)
        new_S = torch.where(lower_S, high_S - step_S, low_S + step_S)
        at_new_S = loss_S(new_S)
        left_S, right_S = torch.where(lower_S, new_S, right_S), torch.where(lower_S, left_S, new_S)
        at_left_S, at_right_S = (
            torch.where(lower_S, at_new_S, at_right_S),
            torch.where(lower_S, at_left_S, at_new_S),
        )
    middle_S = (low_S + high_S) / 2.0
    return middle_S.exp(), plain_S(middle_S)


def _minimum(loss: Callable[[float], float], low: float, high: float) -> float:
    """Where the loss is least in [low, high]: a coarse grid, then golden sections to 1e-3."""
    grid = np.linspace(low, high, 13).tolist()
    best = int(np.argmin([loss(each) for each in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-3:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = loss(right)
    return (low + high) / 2.0


def expected_calibration_error(confidence: npt.ArrayLike, right: npt.ArrayLike, *, bins: int = 15) -> float:
    """How far stated probabilities are from what happens, averaged over rows; 0 is perfect.

    Args:
        confidence: Probability given to the prediction, (N,) in [0, 1].
        right: Whether the prediction was right, (N,).
        bins: Number of equally wide bins.

    Returns:
        Mean over bins, weighted by rows, of |share right - mean confidence|; NaN without rows.

    Reference: Guo et al. 2017, https://arxiv.org/abs/1706.04599, equation 3.
    """
    stated = np.asarray(confidence, dtype=np.float64)
    happened = np.asarray(right, dtype=np.float64)
    if stated.size == 0:
        return float("nan")
    bin_N = np.clip(np.ceil(stated * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(bin_N, weights=happened - stated, minlength=bins)
    return float(np.abs(gaps).sum() / stated.size)
