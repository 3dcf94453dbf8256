"""Answers for new rows, through the very same kinds, network and head that learned."""

# K = members, B = rows, O = outputs

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.base.errors import RecipeError
from netwright.base.schema import JSON, Recipe
from netwright.data.kinds import KINDS, MEDIA
from netwright.data.table import ReadOptions, Rows, Table
from netwright.serving import bundle as bundles
from netwright.serving.bundle import Bundle
from netwright.serving.measure import answered, measure
from netwright.serving.plain import from_plain
from netwright.serving.restore import restore
from netwright.serving.rows import as_table
from netwright.tasks.network import AT_ONCE

if TYPE_CHECKING:
    import polars as pl


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

    def __init__(
        self, bundle: Bundle, *, name: str = "the model", allow_outside: bool = False
    ) -> None:
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
        table = self._table(rows)
        readable_B, note_B = self._readable(table)
        answers = self.task.answer(
            self.outputs(table), top=top, threshold=threshold, probabilities=probabilities
        )
        return _with_notes(answers, readable_B, note_B)

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
        table = self._table(rows)
        chosen = answered(table, self.task, self._readable(table)[0])
        measured = measure(self.task, self.outputs(table, chosen.rows), chosen.target, self.recipe.seed)
        names = list(self.task.columns)
        return {
            "task": self.task.name,
            "target": names[0] if len(names) == 1 else names,
            "network": self._bundle.network["name"],
            "rows": {"test": len(chosen.rows)},
            **measured,
            "seed": self.recipe.seed,
            "version": self.recipe.version,
            "findings": list(chosen.findings),
        }

    def outputs(self, table: Table, rows: Rows | None = None) -> Tensor:
        """(K, B, O) outputs for rows of a table (all: None), a batch at a time.

        Raises:
            DataError: If a column is lacking or of another type.
        """
        chosen = np.arange(table.height, dtype=np.int64) if rows is None else rows
        if len(chosen) <= AT_ONCE:
            return self._batch(table, rows)
        parts = [
            self._batch(table, chosen[start : start + AT_ONCE])
            for start in range(0, len(chosen), AT_ONCE)
        ]
        return torch.cat(parts, dim=1)

    def to_bytes(self) -> bytes:
        """The model as the bytes of its file."""
        return bundles.to_bytes(self._bundle)

    def save(self, path: str | Path) -> None:
        """Writes the model to a file.

        Raises:
            LearningError: If it cannot be written.
        """
        bundles.save(self._bundle, path)

    def _batch(self, table: Table, rows: Rows | None) -> Tensor:
        packed = self.inputs.encode(table, rows)
        with torch.inference_mode():
            output_KBO: Tensor = self.network({key: each.values for key, each in packed.items()})
        return output_KBO

    def _table(self, rows: Any) -> Table:
        table = as_table(rows, self.columns, self._options)
        self.inputs.check_new(table)
        return table

    def _check_settings(self, top: int | None, threshold: float | None, probabilities: bool) -> None:
        if top is not None and (isinstance(top, bool) or not isinstance(top, int) or top < 1):
            raise RecipeError(f"top = {top!r} is no number of answers.", hint="give 1 or more.")
        if threshold is not None and not (
            isinstance(threshold, int | float) and 0.0 <= threshold <= 1.0
        ):
            raise RecipeError(f"threshold = {threshold!r} is no probability.", hint="give 0 to 1.")
        name, outputs = self.task.name, self.task.outputs
        if name == "regress" and (top is not None or threshold is not None or probabilities):
            raise RecipeError(
                "the model predicts a number: it has no classes, and so no top, threshold or probabilities.",
                hint="leave them out; low and high say how sure it is.",
            )
        if name == "classify" and threshold is not None and outputs != 2:
            raise RecipeError(
                f"a threshold divides two classes; the model has {outputs}.",
                hint="leave it out, or name the likeliest classes with --top.",
            )

    def _readable(self, table: Table) -> tuple[npt.NDArray[np.bool_], list[str]]:
        """Which rows can be read, and what is to be said about each."""
        note_B = self.inputs.notes(table, None)
        readable_B = np.ones(table.height, dtype=np.bool_)
        for column in self.columns:
            if column.role == "input" and column.kind in MEDIA:
                bad_B = ~self._can_be_read(table, column)
                for row in np.flatnonzero(bad_B):
                    note_B[row] = note_B[row] or f"{column.name} cannot be read"
                readable_B &= ~bad_B
        return readable_B, note_B


def load(path: str | Path, *, allow_outside: bool = False) -> Model:
    """The model of a file. The file may come from anybody: it is data, and checked as such.

    Args:
        path: A model.safetensors that netwright wrote.
        allow_outside: Whether media paths in a table may lead out of the table's folder.

    Raises:
        BundleError: If it is not there, or is not a whole model of this format.
    """
    return Model(bundles.load(path), name=str(path), allow_outside=allow_outside)


def _with_notes(
    answers: pl.DataFrame, readable_B: npt.NDArray[np.bool_], note_B: list[str]
) -> pl.DataFrame:
    """The answers with the notes beside them, and nothing where a row could not be read."""
    import polars as pl

    if not readable_B.all():
        mask = pl.Series(readable_B)
        answers = answers.select(pl.when(mask).then(pl.all()).otherwise(None).name.keep())
    return answers.hstack([pl.Series("note", note_B, dtype=pl.String)])
