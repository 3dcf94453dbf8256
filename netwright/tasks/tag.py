"""Any number of labels for each row."""

# K = members, B = examples, L = labels

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from netwright.base.errors import BundleError, DataError
from netwright.base.schema import JSON, Shape
from netwright.data.packed import Packed
from netwright.objectives import intervals, losses, metrics
from netwright.tasks.labels import as_labels
from netwright.tasks.settings import make
from netwright.tasks.task import AbstractTask, Claim

if TYPE_CHECKING:
    import polars as pl

SEPARATORS = (";", "|")
MAX_LABELS = 10_000


class Tag(AbstractTask):
    """Labels from several 0/1 columns, from one column of lists, or from one split at `;` or `|`."""

    name = "tag"
    blind_words = ("majority", "always the more frequent answer for each label")
    takes = ("top", "threshold", "probabilities")

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What `--set task.NAME=VALUE` may change."""

        threshold: float = 0.5
        """Probability from which a label is given, 0-1."""
        metric: str = ""
        """The headline metric; empty: f1."""

    def __init__(self, columns: Sequence[str], names: Sequence[str], separator: str, settings: Any) -> None:
        self.columns = tuple(columns)
        self.labels = tuple(names)
        self.separator = separator
        self.settings = settings
        self.outputs = len(self.labels)
        self.temperature = 1.0

    @classmethod
    def claims(cls, target: pl.DataFrame, shape: Shape) -> Claim | None:
        """Several 0/1 columns, a column of lists, or cells with `;` or `|` between words."""
        if shape != "rows":
            return None
        if target.width > 1:
            good = all(_is_binary(target[name]) for name in target.columns)
            why = f"{target.width} target columns of 0 and 1"
            return Claim(strength=90, why=why) if good else None
        cells = target.to_series()
        if cells.dtype.base_type() in _list_types():
            return Claim(strength=90, why="its cells are lists")
        separator = _separator(cells)
        if not separator:
            return None
        return Claim(strength=78, why=f"its cells are labels with '{separator}' between them")

    @classmethod
    def fit(cls, target: pl.DataFrame, settings: Mapping[str, JSON]) -> Self:
        """The labels of the training rows, those of fewer than 3 rows left out.

        Raises:
            DataError: If no label is left, or a 0/1 column has other values.
        """
        made = make(cls.Settings, settings, "task")
        if target.width > 1:
            wrong = [name for name in target.columns if not _is_binary(target[name])]
            if wrong:
                raise DataError(
                    f"target column '{wrong[0]}' has values other than 0 and 1.",
                    hint="several targets must be 0/1 columns; name one --target otherwise.",
                )
            return cls(target.columns, target.columns, "", made)
        cells = target.to_series()
        separator = "" if cells.dtype.base_type() in _list_types() else _separator(cells) or ";"
        counts = Counter(label for row in _split(cells, separator) for label in set(row))
        names = sorted(label for label, count in counts.items() if count >= 3)
        if not names:
            raise DataError(
                f"target column '{target.columns[0]}' has no label that 3 training rows share.",
                hint="check the separator (';' or '|'), or use --task classify.",
            )
        return cls(target.columns, names[:MAX_LABELS], separator, made)

    @property
    def metrics(self) -> Sequence[metrics.Metric]:
        """Micro F1 first."""
        return metrics.lead_by(metrics.TAG, self.settings.metric or "f1")

    def encode(self, target: pl.DataFrame) -> Tensor:
        """(N, L) float32 of 0 and 1; a row with no answer at all is NaN."""
        if len(self.columns) > 1:
            columns = [_as_binary(target[name]) for name in self.columns]
            return torch.from_numpy(np.stack(columns, axis=1))
        index = {label: code for code, label in enumerate(self.labels)}
        cells = target.to_series()
        encoded = np.zeros((len(cells), self.outputs), dtype=np.float32)
        encoded[cells.is_null().to_numpy()] = np.nan
        for row, names in enumerate(_split(cells, self.separator)):
            for code in (index[name] for name in names if name in index):
                encoded[row, code] = 1.0
        return torch.from_numpy(encoded)

    def loss(self, output_KBO: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy, mean over labels and members: (B,), nats."""
        members, examples, _ = output_KBO.shape
        each = losses.binary_cross_entropy(output_KBO.flatten(0, 1), target.repeat(members, 1))
        return each.view(members, examples).mean(0)

    def watch(self, output_KBO: Tensor, target: Tensor) -> dict[str, float]:
        """Binary cross-entropy of the members' mean probability, and the headline."""
        known = ~torch.isnan(target).any(1)
        output_KBO, target = output_KBO[:, known], target[known]
        p_BL = self._probabilities(output_KBO).clamp(1e-7, 1 - 1e-7)
        loss = torch.nn.functional.binary_cross_entropy(p_BL, target).item()
        return {"loss": loss, "score": self.metrics[0].reduce(self.statistics(output_KBO, Packed(target)))}

    def calibrate(self, output_KBO: Tensor, target: Tensor) -> Self:
        """The task with one temperature for all labels: each label against its absence."""
        known = ~torch.isnan(target).any(1)
        task = type(self)(self.columns, self.labels, self.separator, replace(self.settings))
        if int(known.sum()) >= 10:
            logits_KN = output_KBO[:, known].flatten(1)
            pair_KN2 = torch.stack([torch.zeros_like(logits_KN), logits_KN], dim=-1)
            truth_N = target[known].flatten().long()
            task.temperature = float(intervals.fit_temperature(pair_KN2, truth_N))
        return task

    def answer(
        self,
        output_KBO: Tensor,
        *,
        top: int | None = None,
        threshold: float | None = None,
        probabilities: bool = True,
    ) -> pl.DataFrame:
        """`prediction` (labels joined by the separator), `probability` of all of it, one a label."""
        import polars as pl

        p_BL = self._probabilities(output_KBO).cpu().numpy().astype(np.float64)
        chosen_BL = p_BL >= (self.settings.threshold if threshold is None else threshold)
        if top:
            cut_B = np.sort(p_BL, axis=1)[:, -min(top, self.outputs)]
            chosen_BL = p_BL >= cut_B[:, None]
        joiner = self.separator or ";"
        texts = [
            joiner.join(label for label, is_on in zip(self.labels, row, strict=True) if is_on)
            for row in chosen_BL.tolist()
        ]
        sure_B = np.where(chosen_BL, p_BL, 1.0 - p_BL).prod(axis=1)
        columns: dict[str, Any] = {"prediction": texts, "probability": sure_B}
        if probabilities:
            columns |= {f"probability:{name}": p_BL[:, i] for i, name in enumerate(self.labels)}
        return pl.DataFrame(columns)

    def statistics(self, output_KBO: Tensor, target: Packed) -> pl.DataFrame:
        """Columns `truth:LABEL`, `score:LABEL` and `prediction:LABEL` for each label."""
        import polars as pl

        p_BL = self._probabilities(output_KBO).cpu().numpy().astype(np.float64)
        truth_BL = target.values.cpu().numpy()
        columns: dict[str, Any] = {}
        for index, label in enumerate(self.labels):
            columns[f"truth:{label}"] = truth_BL[:, index].astype(np.float64)
            columns[f"score:{label}"] = p_BL[:, index]
            columns[f"prediction:{label}"] = (p_BL[:, index] >= self.settings.threshold).astype(np.int64)
        return pl.DataFrame(columns)

    def constant(self, target: Tensor) -> Tensor:
        """Log odds of each label's frequency."""
        known = ~torch.isnan(target).any(1)
        rate_L = target[known].mean(0).clamp(1e-4, 1 - 1e-4)
        return torch.logit(rate_L).view(1, 1, -1)

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Labels, settings and temperature."""
        facts = {
            "columns": list(self.columns),
            "labels": list(self.labels),
            "separator": self.separator,
            "settings": asdict(self.settings),
            "temperature": self.temperature,
        }
        return facts, {}

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted task again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            settings = make(cls.Settings, facts["settings"], "task")
            columns = [str(name) for name in facts["columns"]]
            names = [str(name) for name in facts["labels"]]
            task = cls(columns, names, str(facts["separator"]), settings)
            task.temperature = float(facts["temperature"])
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the model's task cannot be read: {error}.") from error
        return task

    def _probabilities(self, output_KBO: Tensor) -> Tensor:
        return torch.sigmoid(output_KBO.float() / self.temperature).mean(0)


def _list_types() -> tuple[Any, ...]:
    import polars as pl

    return (pl.List, pl.Array)


def _is_binary(cells: pl.Series) -> bool:
    words = {str(cell).strip().lower() for cell in cells.drop_nulls().unique().to_list()[:5]}
    return words <= {"0", "1", "0.0", "1.0", "true", "false"} and bool(words)


def _as_binary(cells: pl.Series) -> Any:
    def number(cell: object) -> float:
        word = str(cell).strip().lower()
        return float("nan") if cell is None else float(word in {"1", "1.0", "true"})

    return np.array([number(cell) for cell in cells.to_list()], dtype=np.float32)


def _separator(cells: pl.Series) -> str:
    """The separator that stands in a tenth of the cells or more between words that come again."""
    import polars as pl

    if cells.dtype != pl.String:
        return ""
    present = cells.drop_nulls()
    for separator in SEPARATORS:
        rows = _split(present.head(5000), separator)
        words = Counter(word for row in rows for word in row)
        several = sum(len(row) > 1 for row in rows)
        if rows and several >= 0.1 * len(rows) and len(words) <= 0.5 * sum(words.values()):
            return separator
    return ""


def _split(cells: pl.Series, separator: str) -> list[list[str]]:
    listed = cells.to_list()
    if not separator:
        return [as_labels(row) if row is not None else [] for row in listed]
    return [as_labels(str(row).split(separator)) if row is not None else [] for row in listed]
