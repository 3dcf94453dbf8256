"""What comes next in one or many series, several steps ahead at once."""

# K = members, W = windows, H = steps ahead, L = steps back, N = moments, F = series

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.base.errors import BundleError, DataError, RecipeError
from netwright.base.schema import JSON, Shape
from netwright.data.kinds.channels import Channels
from netwright.data.kinds.known import Known
from netwright.data.packed import Packed
from netwright.objectives import forecasts, intervals, metrics
from netwright.tasks.settings import make
from netwright.tasks.task import AbstractTask, Claim, Rival

if TYPE_CHECKING:
    import polars as pl

    from netwright.data.columns import Inputs
    from netwright.data.table import Rows, Table

MOST_WINDOWS = 200_000
"""Windows that are learned from, evenly spaced where there are more."""
LONGEST_PERIOD = 1_000


class Forecast(AbstractTask):
    """The next H values of each series, relative to its last one; one network for all series.

    A window belongs to the part that its H values lie in; it looks back into earlier parts.
    """

    name = "forecast"
    rowwise = False
    least_squares = True

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What `--set task.NAME=VALUE` may change."""

        horizon: int = 24
        """Steps ahead, >= 1."""
        coverage: float = 0.9
        """Share of values that lie in the interval, 0.5-0.999."""
        metric: str = ""
        """The headline metric; empty: mse."""

        def __post_init__(self) -> None:
            """Checks the settings.

            Raises:
                RecipeError: If one is out of range.
            """
            if not 1 <= self.horizon <= 100_000:
                raise RecipeError(f"the horizon is {self.horizon}.", hint="give 1 step or more.")
            if not 0.5 <= self.coverage <= 0.999:
                raise RecipeError(f"task.coverage is {self.coverage}.", hint="give 0.5 to 0.999.")

    def __init__(self, settings: Any, columns: Sequence[str] = ()) -> None:
        self.settings = settings
        self.columns = tuple(columns)
        self.outputs = settings.horizon
        self.period = 1
        self.half_width: list[float] | None = None

    @classmethod
    def claims(cls, target: pl.DataFrame, shape: Shape) -> Claim | None:
        """Series in order of time."""
        return Claim(strength=90, why="numbers in order of time") if shape == "series" else None

    @classmethod
    def fit(cls, target: pl.DataFrame, settings: Mapping[str, JSON]) -> Self:
        """An empty task: the series come in `bind`."""
        return cls(make(cls.Settings, settings, "task"))

    def bind(self, inputs: Inputs) -> None:
        """Takes over the names of the series; what is known ahead is seen as long before as after."""
        series, known = _kinds(inputs)
        self.columns = series.columns
        if known:
            known.before, known.ahead = min(series.back, self.settings.horizon), self.settings.horizon

    def fits(self, inputs: Inputs) -> bool:
        """Whether these are its series, and what is known ahead reaches as far as it does."""
        series, known = _kinds(inputs)
        return self.columns == series.columns and (known is None or known.ahead == self.outputs)

    @property
    def metrics(self) -> Sequence[metrics.Metric]:
        """Mean squared error first."""
        return metrics.lead_by(forecasts.FORECAST, self.settings.metric or "mse")

    def examples(
        self, table: Table, rows: Rows, inputs: Inputs, *, learn: bool
    ) -> tuple[Mapping[str, Packed], Packed]:
        """Windows of L values of each series, and (W, 2, H) what follows them and what came a period before.

        Raises:
            DataError: If the part is shorter than the horizon.
        """
        kind, horizon = _kinds(inputs)[0], self.settings.horizon
        if not len(rows):
            nothing = torch.zeros(0, 2).long()
            empty = {each.key: Packed(torch.zeros(0, each.shape[1]), nothing) for each in inputs.fields()}
            return empty, Packed(torch.zeros(0, 2, 1))
        first, last = int(rows[0]), int(rows[-1]) + 1
        x_NF = kind.encode(table.frame(kind.columns, np.arange(last))).values
        if learn:
            self.period = period(x_NF.numpy())
        begin = max(first, kind.back, self.period)
        count = last - horizon + 1 - begin
        if count < 1:
            raise DataError(
                f"a part of {len(rows):,} moments holds no window of {kind.back:,} back and {horizon:,} ahead.",
                hint="give a longer series, a shorter --horizon, or other parts with --test and --validation.",
            )
        stride = -(-count * x_NF.shape[1] // MOST_WINDOWS) if learn else 1
        at_W = torch.arange(begin, begin + count, stride)
        flat = x_NF.T.reshape(-1)
        origin_W = _origins(x_NF.shape[1], x_NF.shape[1], last, at_W)
        ahead_H = torch.arange(horizon)
        before_H = ahead_H - self.period * (ahead_H // self.period + 1)
        now_W1 = flat[origin_W - 1].unsqueeze(1)
        parts = [flat[origin_W.unsqueeze(1) + steps_H] - now_W1 for steps_H in (ahead_H, before_H)]
        return self.windows(table, inputs, last, at_W), Packed(torch.stack(parts, dim=1))

    def windows(self, table: Table, inputs: Inputs, end: int, at_W: Tensor) -> Mapping[str, Packed]:
        """For each series the windows whose forecasts begin at these moments: what was, what is known.

        Args:
            table: Series in order of time.
            inputs: The fitted kinds.
            end: Moments of the table that may be read.
            at_W: The moments, ascending.
        """
        series = len(self.columns)
        found = {}
        for kind, block in zip(inputs.kinds, inputs.columns, strict=True):
            names = [column.name for column in block]
            x_NSD = kind.encode(table.frame(names, np.arange(end))).values
            x_NSD = x_NSD.unsqueeze(2) if x_NSD.dim() == 2 else x_NSD
            field = kind.field()
            before = field.shape[0] - (self.settings.horizon if field.key == Known.name else 0)
            origin_W = _origins(series, x_NSD.shape[1], end, at_W)
            spans = torch.stack([origin_W - before, torch.full_like(origin_W, field.shape[0])], dim=1)
            found[field.key] = Packed(x_NSD.transpose(0, 1).flatten(0, 1), spans)
        return found

    def encode(self, target: pl.DataFrame) -> Tensor:
        """Nothing: a series is its own target."""
        return torch.zeros(target.height)

    def loss(self, output_KBO: Tensor, target: Tensor) -> Tensor:
        """Mean squared error over the steps of each member, averaged over members: (B,)."""
        return (output_KBO - target[:, 0]).square().mean(-1).mean(0)

    def watch(self, output_KBO: Tensor, target: Tensor) -> dict[str, float]:
        """Mean squared error of the members' mean, and the headline."""
        loss = (output_KBO.mean(0) - target[:, 0]).square().mean().item()
        return {"loss": loss, "score": self.metrics[0].reduce(self.statistics(output_KBO, Packed(target)))}

    def calibrate(self, output_KBO: Tensor, target: Tensor) -> Self:
        """The task with the interval's half width for each step ahead."""
        task = type(self)(self.settings, self.columns)
        task.period = self.period
        residual_WH = (output_KBO.mean(0) - target[:, 0]).abs().double().numpy()
        if len(residual_WH) >= 10:
            coverage = self.settings.coverage
            task.half_width = [float(intervals.conformal_quantile(each, coverage)) for each in residual_WH.T]
        return task

    def answer(
        self,
        output_KBO: Tensor,
        *,
        top: int | None = None,
        threshold: float | None = None,
        probabilities: bool = True,
    ) -> pl.DataFrame:
        """Change to each step ahead, in units of the series' spread: columns `step:1`, `step:2`, …"""
        import polars as pl

        values = output_KBO.mean(0).double().numpy()
        return pl.DataFrame({f"step:{step + 1}": values[:, step] for step in range(values.shape[1])})

    def statistics(self, output_KBO: Tensor, target: Packed) -> pl.DataFrame:
        """Columns `squared` and `absolute`, means over the steps, and `block`: windows that overlap."""
        import polars as pl

        error_WH = (output_KBO.mean(0) - target.values[:, 0]).double()
        windows = max(1, len(error_WH) // max(1, len(self.columns)))
        columns = {
            "squared": error_WH.square().mean(1).numpy(),
            "absolute": error_WH.abs().mean(1).numpy(),
            "block": np.arange(len(error_WH)) % windows // self.settings.horizon,
        }
        return pl.DataFrame(columns)

    def rivals(
        self, train: Packed, target: Packed, seen: Mapping[str, Packed], inputs: Inputs
    ) -> Iterator[Rival]:
        """The value one period before."""
        words = "the value one step before" if self.period == 1 else f"the value {self.period} steps before"
        yield Rival("seasonal naive", words, self.statistics(target.values[:, 1].unsqueeze(0), target))

    def ahead(self, output_KBO: Tensor, last_F: Any, inputs: Inputs) -> pl.DataFrame:
        """One line a series and step: `series`, `step`, `prediction`, `low`, `high`.

        Args:
            output_KBO: Outputs for the last window of each series, in their order.
            last_F: Their last values, scaled.
            inputs: The fitted series.
        """
        import polars as pl

        kind, _ = _kinds(inputs)
        middle_HF = (output_KBO.mean(0).double().numpy() + np.asarray(last_F)[:, None]).T
        half_H = np.full(len(middle_HF), np.nan) if self.half_width is None else np.array(self.half_width)
        ends = [kind.original(middle_HF + sign * half_H[:, None]).T.ravel() for sign in (0.0, -1.0, 1.0)]
        ends[0] = kind.original(middle_HF).T.ravel()
        steps = len(middle_HF)
        columns = {
            "series": np.repeat(np.array(kind.columns), steps).tolist(),
            "step": np.tile(np.arange(1, steps + 1), len(kind.columns)),
            **dict(zip(("prediction", "low", "high"), ends, strict=True)),
        }
        return pl.DataFrame(columns)

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Settings, series, period and interval widths."""
        facts = {
            "settings": asdict(self.settings),
            "columns": list(self.columns),
            "period": self.period,
            "half_width": self.half_width,
        }
        return facts, {}

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted task again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            task = cls(make(cls.Settings, facts["settings"], "task"), [str(name) for name in facts["columns"]])
            task.period = int(facts["period"])
            width = facts["half_width"]
            task.half_width = None if width is None else [float(each) for each in width]
        except (KeyError, TypeError, ValueError, RecipeError) as error:
            raise BundleError(f"the model's task cannot be read: {error}.") from error
        if task.half_width is not None and len(task.half_width) != task.outputs:
            raise BundleError("the model's intervals do not fit its horizon.")
        return task


def period(x_NF: npt.NDArray[Any]) -> int:
    """Steps after which the series resemble themselves most, or 1 if they do not."""
    longest = min(LONGEST_PERIOD, len(x_NF) // 3)
    if longest < 3:
        return 1
    moves = np.diff(x_NF.astype(np.float64), axis=0)
    moves -= moves.mean(0)
    size = 1 << (2 * len(moves) - 1).bit_length()
    power = np.abs(np.fft.rfft(moves, size, axis=0)) ** 2
    alike = np.fft.irfft(power, axis=0)[: longest + 1].sum(1)
    alike = alike / max(alike[0], 1e-12)
    inner = np.arange(2, longest)
    peaks = inner[(alike[inner] > alike[inner - 1]) & (alike[inner] >= alike[inner + 1]) & (alike[inner] > 0.1)]
    return int(peaks[np.argmax(alike[peaks])]) if len(peaks) else 1


def _origins(series: int, lines: int, end: int, at_W: Tensor) -> Tensor:
    """(series * W,) where the moments stand in lines of `end` moments: one line a series, or one for all."""
    line_S = torch.arange(series) if lines > 1 else torch.zeros(series, dtype=torch.int64)
    return (line_S[:, None] * end + at_W).flatten()


def _kinds(inputs: Inputs) -> tuple[Channels, Known | None]:
    kinds = {kind.name: kind for kind in inputs.kinds}
    series, known = kinds.pop(Channels.name, None), kinds.pop(Known.name, None)
    if not isinstance(series, Channels) or not isinstance(known, Known | None) or kinds:
        raise RecipeError(
            "a forecast needs series, and beside them what is known ahead alone.",
            hint="drop the other columns, or name them with --known.",
        )
    return series, known
