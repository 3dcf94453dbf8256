"""Answers for new rows, through the very same kinds, network and head that learned."""

# K = members, B = rows, O = outputs

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from netwright.base.errors import DataError, RecipeError
from netwright.base.schema import JSON, Recipe
from netwright.data import timelines
from netwright.data.columns import cells, decode
from netwright.data.kinds import MEDIA
from netwright.data.kinds.channels import Channels
from netwright.data.kinds.item import Item
from netwright.data.kinds.known import Known
from netwright.data.kinds.text import Text
from netwright.data.packed import gather
from netwright.data.table import ReadOptions, Rows, Table
from netwright.serving import bundle as bundles
from netwright.serving.bundle import Bundle
from netwright.serving.measure import answered, measure, together
from netwright.serving.plain import from_plain
from netwright.serving.restore import blank, restore
from netwright.serving.rows import as_table
from netwright.serving.suggest import suggest
from netwright.serving.writing import Sampling, write
from netwright.tasks.forecast import Forecast
from netwright.tasks.generate import Generate
from netwright.tasks.network import AT_ONCE, final, of_one_length

if TYPE_CHECKING:
    import polars as pl

NUMBERS_AT_ONCE = 4_000_000
"""Numbers that enter a network at once: what it makes of a batch of photos has to fit in memory."""


class Model:
    """A trained network with everything around it: cells in, answers in the user's own words out.

    Args:
        bundle: The model as data.
        name: What to call it in a message.
        allow_outside: Whether media paths in a table may lead out of the table's folder. It is asked of
            the user each time: a file cannot grant it.

    Raises:
        BundleError: If the parts of the bundle do not fit together.
    """

    def __init__(self, bundle: Bundle, *, name: str = "the model", allow_outside: bool = False) -> None:
        restored = restore(bundle, name)
        self.card: Mapping[str, JSON] = bundle.card
        self.columns = bundle.columns
        self.task = restored.task
        self.inputs = restored.inputs
        self.spec = restored.spec
        self.network = restored.network
        self.recipe = from_plain(Recipe, bundle.recipe, "recipe")
        options = from_plain(ReadOptions, bundle.options, "options")
        self._options = replace(options, allow_outside=allow_outside, like=None)
        self._bundle = bundle
        each = sum(math.prod(field.shape) for field in self.spec.inputs)
        self._at_once = max(1, min(AT_ONCE, NUMBERS_AT_ONCE // each))

    def predict(
        self,
        rows: Any,
        *,
        top: int | None = None,
        threshold: float | None = None,
        probabilities: bool = False,
    ) -> pl.DataFrame:
        """One line a row, in the order of the rows.

        Args:
            rows: A path, a polars or pandas frame, a dict (one row, or columns), a list of dicts, or
                arrays. Columns that were not trained on are passed over.
            top: Classes or labels to name for each row, the likeliest first, >= 1.
            threshold: Probability from which the second of two classes, or a label, is given, 0-1.
            probabilities: Whether to give the probability of each class or label.

        Returns:
            `prediction`, then `probability` and `probability:CLASS`, or `low` and `high`, then `note`. A
            row that cannot be read has an empty prediction and a note.

        Raises:
            DataError: If a column is lacking or of another type, or nothing can be read.
            RecipeError: If a setting is out of range or says nothing to this task.
        """
        self._check_settings(top, threshold, probabilities)
        if isinstance(self.task, Generate):
            raise RecipeError("the model writes text.", hint="use netwright generate, or model.generate.")
        if isinstance(self.task, Forecast):
            return self._ahead(self.task, rows)
        kind = self.inputs.kinds[0]
        if isinstance(kind, Item):
            return suggest(self.network, kind, as_table(rows, self.columns, self._options), top)
        table, rows_read, notes = self._readable(self._table(rows))
        output_KBO = self._some_outputs(table, rows_read)
        answers = self.task.answer(output_KBO, top=top, threshold=threshold, probabilities=probabilities)
        return _in_place(answers, rows_read, notes)

    def evaluate(self, rows: Any) -> dict[str, JSON]:
        """How good the model is on rows whose answers are known.

        Args:
            rows: As for `predict`, with the target column.

        Returns:
            `task`, `target`, `network`, `rows`, `metric` (name, value, 95 % interval), `metrics`,
            `baseline` (the best constant answer for these very rows), `seed`, `version`, `findings`.

        Raises:
            DataError: If the target column is not there, or no row has an answer.
        """
        table, rows_read, _ = self._readable(self._table(rows))
        chosen = answered(table, self.task, rows_read, self.inputs)
        inputs, target = self.task.examples(table, chosen.rows, self.inputs, learn=False)
        rival = next(self.task.rivals(target, target, inputs, self.inputs))
        found = final(self.network, self.task, inputs, target)
        grouped = partial(together, self.columns, table, chosen.rows)
        measured = measure(self.task, found, target, rival, seed=self.recipe.seed, grouped=grouped)
        names = list(self.task.columns)
        return {
            "task": self.task.name,
            "target": names[0] if len(names) == 1 else names or None,
            "network": self._bundle.network["name"],
            "rows": {"test": len(chosen.rows)},
            **measured,
            "seed": self.recipe.seed,
            "version": self.recipe.version,
            "findings": list(chosen.findings),
        }

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """Gives pieces of text as they are written; the prompt is not repeated.

        Args:
            prompt: What the text goes on from.
            length: Tokens to write, >= 1.
            temperature: Below 1 the likely becomes likelier, >= 0; 0 takes the likeliest always.
            top_k: Only so many of the likeliest tokens are drawn from; 0: all.
            top_p: Only the likeliest tokens that together have this probability are drawn from, (0, 1].
            seed: Of the draws: the same seed, the same text.

        Raises:
            RecipeError: If the model does not write text, or a setting is out of range.
        """
        kind = self.inputs.kinds[0]
        if self.task.name != "generate" or not isinstance(kind, Text):
            raise RecipeError(f"the model's task is {self.task.name}: it writes no text.", hint="use predict.")
        if length < 1:
            raise RecipeError(f"the length is {length}.", hint="give 1 or more tokens.")
        how = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        return write(self.network, kind, prompt, length, how)

    def outputs(self, table: Table, rows: Rows | None = None) -> Tensor:
        """(K, B, O) outputs for rows of a table (all: None), a batch at a time.

        Raises:
            DataError: If a column is lacking or of another type.
        """
        chosen = np.arange(table.height, dtype=np.int64) if rows is None else rows
        if len(chosen) <= self._at_once:
            return self._batch(table, rows)
        starts = range(0, len(chosen), self._at_once)
        parts = [self._batch(table, chosen[start : start + self._at_once]) for start in starts]
        return torch.cat(of_one_length(parts), dim=1)

    def to_bytes(self) -> bytes:
        """The model as the bytes of its file."""
        return bundles.to_bytes(self._bundle)

    def save(self, path: str | Path) -> None:
        """Writes the model to a file.

        Raises:
            LearningError: If it cannot be written.
        """
        bundles.save(self._bundle, path)

    def _ahead(self, task: Forecast, rows: Any) -> pl.DataFrame:
        """What follows the last moment of a history; columns known ahead go on for the horizon."""
        series = self.inputs.kinds[0]
        assert isinstance(series, Channels)
        table = self._table(rows, task.outputs)
        known = any(isinstance(kind, Known) for kind in self.inputs.kinds)
        now = table.height - (task.outputs if known else 0)
        if now < series.back:
            raise DataError(
                f"{table.source} has {now:,} moments; the model looks {series.back:,} back.",
                hint="give a longer history.",
            )
        last_F = series.encode(table.frame(series.columns, np.array([now - 1]))).values[0]
        with torch.inference_mode():
            windows = task.windows(table, self.inputs, table.height, torch.tensor([now]))
            output_KFH: Tensor = self.network(gather(windows))
        return task.ahead(output_KFH, last_F.numpy(), self.inputs)

    def _batch(self, table: Table, rows: Rows | None) -> Tensor:
        packed = self.inputs.encode(table, rows)
        with torch.inference_mode():
            return self.task.respond(self.network, gather(packed))

    def _table(self, rows: Any, ahead: int = 0) -> Table:
        table = as_table(rows, self.columns, self._options)
        time = [column.name for column in self.columns if column.role == "time"]
        if isinstance(self.task, Forecast) and time:
            known = [column.name for column in self.columns if column.kind == Known.name]
            when = timelines.time_column(table, time[0]) or time[0]
            table = timelines.arrange(table, when, self.task.columns, (), known, ahead=ahead if known else 0)
        self.inputs.check_new(table)
        return table

    def _check_settings(self, top: int | None, threshold: float | None, probabilities: bool) -> None:
        if top is not None and (isinstance(top, bool) or not isinstance(top, int) or top < 1):
            raise RecipeError(f"top = {top!r} is no number of answers.", hint="give 1 or more.")
        if threshold is not None and not (isinstance(threshold, int | float) and 0.0 <= threshold <= 1.0):
            raise RecipeError(f"threshold = {threshold!r} is no probability.", hint="give 0 to 1.")
        name, outputs, takes = self.task.name, self.task.outputs, self.task.takes
        asked = {"top": top is not None, "threshold": threshold is not None, "probabilities": probabilities}
        idle = [setting for setting, given in asked.items() if given and setting not in takes]
        if idle:
            raise RecipeError(
                f"the model's task is {name}: it has no use for {' and '.join(idle)}.",
                hint=f"leave out all but {' and '.join(takes)}." if takes else "leave them out.",
            )
        if name == "classify" and threshold is not None and outputs != 2:
            raise RecipeError(
                f"a threshold divides two classes; the model has {outputs}.",
                hint="leave it out, or name the likeliest classes with --top.",
            )

    def _readable(self, table: Table) -> tuple[Table, Rows, list[str]]:
        """The table with its media decoded, rows that can be read, and what is to be said about each row."""
        decoded, bad = decode(table, self.columns)
        said_B: list[list[str]] = [[] for _ in range(table.height)]
        for name, reasons in bad.items():
            for row, reason in reasons.items():
                said_B[row].append(f"{name} is unreadable: {reason}")
        for kind, block in zip(self.inputs.kinds, self.inputs.columns, strict=True):
            seen = decoded if block[0].kind in MEDIA else table
            for row, note in enumerate(kind.notes(cells(seen, block, None))):
                if note:
                    said_B[row].append(note)
        rows = np.arange(table.height, dtype=np.int64)
        for reasons in bad.values():
            rows = np.setdiff1d(rows, list(reasons))
        return decoded, rows, ["; ".join(said) for said in said_B]

    def _some_outputs(self, table: Table, rows: Rows) -> Tensor:
        """Outputs for the rows; those of a blank row where there is none, to know the columns of an answer."""
        if not len(rows):
            with torch.inference_mode():
                return self.task.respond(self.network, blank(self.spec))
        return self.outputs(table, None if len(rows) == table.height else rows)


def load(path: str | Path, *, allow_outside: bool = False) -> Model:
    """The model of a file. The file may come from anybody: it is data, and checked as such.

    Args:
        path: A model.safetensors that netwright wrote.
        allow_outside: Whether media paths in a table may lead out of the table's folder.

    Raises:
        BundleError: If it is not there, or is not a whole model of this format.
    """
    return Model(bundles.load(path), name=str(path), allow_outside=allow_outside)


def _in_place(answers: pl.DataFrame, rows: Rows, notes: list[str]) -> pl.DataFrame:
    """The answers on the lines of their rows with the notes beside them, and nothing on other lines."""
    import polars as pl

    if len(rows) < len(notes):
        places: list[int | None] = [None] * len(notes)
        for place, row in enumerate(rows.tolist()):
            places[row] = place
        answers = answers.select(pl.all().gather(pl.Series(places, dtype=pl.UInt32)))
    return answers.hstack([pl.Series("note", notes, dtype=pl.String)])
