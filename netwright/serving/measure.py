"""How good answers are on rows whose truth is known."""

# K = members, B = rows, O = outputs

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from netwright.base.errors import DataError, did_you_mean
from netwright.base.schema import JSON, Column
from netwright.data.columns import Inputs
from netwright.data.packed import Packed
from netwright.data.table import Rows, Table
from netwright.objectives.intervals import interval
from netwright.tasks.task import AbstractTask, Rival


@dataclass(frozen=True, kw_only=True)
class Answered:
    """Rows that can be measured.

    Attributes:
        rows: Row numbers of the table.
        findings: What is to be said about the other rows, and about unseen labels.
    """

    rows: Rows
    findings: tuple[str, ...]


def answered(table: Table, task: AbstractTask, readable: Rows, inputs: Inputs) -> Answered:
    """The rows whose truth is known and that can be read.

    Raises:
        DataError: If a target column is not there, or no row is left.
    """
    names = list(task.columns)
    if not task.rowwise:
        rows, said = task.measurable(table, readable, inputs)
        if not len(rows):
            raise DataError(
                f"{table.source} has no row that can be measured.", hint="; ".join(each.what for each in said)
            )
        return Answered(rows=rows, findings=tuple(f"{each.what}: {each.done}." for each in said))
    lacking = [name for name in names if name not in table.columns]
    if lacking:
        raise DataError(
            f"{table.source} has no column '{lacking[0]}', which holds the answers.",
            hint=f"evaluating needs the answers, predict does not; {did_you_mean(lacking[0], table.columns)}",
        )
    cells = table.frame(names)
    target = task.encode(cells)
    known_B = ~cells.select(pl.all_horizontal(pl.all().is_null())).to_series().to_numpy()
    if target.is_floating_point():
        known_B &= ~torch.isnan(target.view(len(target), -1)).any(1).numpy()
    readable_B = np.zeros(table.height, dtype=np.bool_)
    readable_B[readable] = True
    rows = np.flatnonzero(known_B & readable_B).astype(np.int64)
    if not len(rows):
        raise DataError(
            f"{table.source} has no row with an answer in column '{names[0]}'.",
            hint="evaluating needs the answers; predict does not.",
        )
    kept = target[torch.from_numpy(rows)]
    return Answered(rows=rows, findings=_findings(known_B, readable_B, kept))


def measure(
    task: AbstractTask,
    observed: Tensor,
    target: Packed,
    rival: Rival,
    *,
    seed: int,
    grouped: Callable[[pl.DataFrame], pl.Series | None],
) -> dict[str, JSON]:
    """The headline with its 95 % interval, every metric, and the simplest rival on these rows.

    Args:
        task: The fitted task.
        observed: What `tasks.network.final` gives.
        target: Targets of the same examples, as the task makes them.
        rival: What the simplest answers make of them.
        seed: For the bootstrap.
        grouped: From statistics to the group of each example, or to None.
    """
    statistics = task.statistics(observed, target)
    headline = task.metrics[0]
    low, high = interval(statistics, headline, seed=seed, groups=grouped(statistics))
    values = {each.name: float(each.reduce(statistics)) for each in task.metrics}
    blind = float(headline.reduce(rival.statistics))
    value = values[headline.name]
    return {
        "metric": {"name": headline.name, "value": value, "low": float(low), "high": float(high)},
        "metrics": values,
        "baseline": {"name": rival.name, "value": blind},
    }


def together(columns: Sequence[Column], table: Table, rows: Rows, statistics: pl.DataFrame) -> pl.Series | None:
    """Which of these examples are not independent: blocks of a task's own, rows of a group or of a user."""
    if "block" in statistics.columns:
        return statistics["block"]
    names = [each.name for each in columns if each.role in ("group", "user") and each.name in table.columns]
    return table.column(names[0], rows) if names else None


def _findings(
    known_B: npt.NDArray[np.bool_], readable_B: npt.NDArray[np.bool_], target: Tensor
) -> tuple[str, ...]:
    unseen = 0 if target.is_floating_point() else int((target < 0).sum())
    said = (
        (int((~known_B).sum()), "rows without an answer were left out."),
        (int((known_B & ~readable_B).sum()), "rows that cannot be read were left out."),
        (unseen, "rows have an answer that training did not have: they count as errors."),
    )
    return tuple(f"{count:,} {words}" for count, words in said if count)
