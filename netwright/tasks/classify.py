"""One of several classes for each row."""

# K = members, B = examples, C = classes

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from netwright.base.errors import BundleError, DataError
from netwright.base.schema import JSON, Shape
from netwright.data.packed import Packed
from netwright.objectives import intervals, losses, metrics
from netwright.tasks import labels
from netwright.tasks.settings import make
from netwright.tasks.task import AbstractTask, Claim

if TYPE_CHECKING:
    import polars as pl

MAX_CLASSES = 10_000
IMBALANCED = 0.8
"""Share of the largest class above which accuracy says little and balanced accuracy leads."""

GLANCE = 400_000
"""Logits that a look at the validation rows fits a temperature to: it is fitted thirty times a run."""


class Classify(AbstractTask):
    """Classes in the user's own words; probabilities calibrated by one temperature.

    Reference: Guo et al. 2017, https://arxiv.org/abs/1706.04599 (temperature scaling).
    """

    name = "classify"
    blind_words = ("majority", "always the most frequent class")
    takes = ("top", "threshold", "probabilities")

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What `--set task.NAME=VALUE` may change."""

        label_smoothing: float = 0.0
        """Share of the target given to all classes alike, 0-0.5."""
        class_weight: Literal["none", "balanced"] | None = None
        """Whether rare classes count more in the loss; unset: balanced where balanced accuracy leads."""
        merge_labels: bool = True
        """Whether labels that differ only in case, spaces or a trailing full stop are one class."""
        metric: str = ""
        """The headline metric; empty: accuracy, or balanced accuracy above 80 % of one class."""

    def __init__(self, columns: Sequence[str], classes: labels.Classes, settings: Any) -> None:
        self.columns = tuple(columns)
        self.classes = classes
        self.settings = settings
        self.outputs = len(classes.words)
        self.temperature = 1.0
        self.weights_C = self._class_weights()

    @classmethod
    def claims(cls, target: pl.DataFrame, shape: Shape) -> Claim | None:
        """A category, or a number with so few whole values that they are names."""
        if shape != "rows" or target.width != 1:
            return None
        reason = labels.looks_like_classes(target.to_series())
        return Claim(strength=reason[0], why=reason[1]) if reason else None

    @classmethod
    def fit(cls, target: pl.DataFrame, settings: Mapping[str, JSON]) -> Self:
        """Classes of the training rows.

        Raises:
            DataError: If there is one class only, no class, or over 10,000 of them.
        """
        made = make(cls.Settings, settings, "task")
        classes = labels.fit(target.to_series(), merge=made.merge_labels)
        name = target.columns[0]
        if len(classes.words) < 2:
            only = f"only the class {classes.words[0]!r}" if classes.words else "no class at all"
            raise DataError(
                f"target column '{name}' has {only} in the training rows.",
                hint="a classifier needs rows of at least two classes; choose another --target.",
            )
        if len(classes.words) > MAX_CLASSES:
            raise DataError(
                f"target column '{name}' has {len(classes.words):,} different values.",
                hint="choose another --target, or --task regress if it is a number.",
            )
        task = cls([name], classes, made)
        task.findings = classes.findings(name)
        return task

    @property
    def metrics(self) -> Sequence[metrics.Metric]:
        """Accuracy first, or balanced accuracy where one class has over 80 % of the training rows."""
        share = max(self.classes.counts) / max(1, sum(self.classes.counts))
        default = "balanced_accuracy" if share > IMBALANCED else "accuracy"
        known = [each for each in metrics.CLASSIFY if self.outputs == 2 or not each.binary_only]
        return metrics.lead_by(known, self.settings.metric or default)

    def encode(self, target: pl.DataFrame) -> Tensor:
        """(N,) int64 class codes; -1 where the label is missing or was not seen in training."""
        return torch.from_numpy(self.classes.encode(target.to_series()))

    def loss(self, output_KBO: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of each member against the class, averaged over members: (B,), nats."""
        members, examples, classes = output_KBO.shape
        each = losses.cross_entropy(
            output_KBO.reshape(members * examples, classes),
            target.repeat(members),
            smoothing=self.settings.label_smoothing,
            class_weights=None if self.weights_C is None else self.weights_C.to(target.device),
        )
        return each.view(members, examples).mean(0)

    def watch(self, output_KBO: Tensor, target: Tensor) -> dict[str, float]:
        """Log loss after the best temperature, and the headline.

        Overconfidence is mended by calibration afterwards, so it must not stop learning early
        (Berta et al. 2025, https://arxiv.org/abs/2501.19195).
        """
        known = target >= 0
        output_KBO, target = output_KBO[:, known], target[known]
        temperature = intervals.fit_temperature(output_KBO, target, most=GLANCE)
        log_p_BC = self._log_probabilities(output_KBO, temperature)
        loss = -log_p_BC.gather(1, target.unsqueeze(1)).mean().item()
        score = self.metrics[0].reduce(self._statistics(log_p_BC, target))
        return {"loss": loss, "score": score}

    def refit(self, target: pl.DataFrame) -> Self:
        """The same classes, as frequent as they are in these rows."""
        codes = self.classes.encode(target.to_series())
        counts = np.bincount(codes[codes >= 0], minlength=self.outputs)
        classes = replace(self.classes, counts=tuple(counts.tolist()))
        wanted = "balanced" if self.weights_C is not None else "none"
        settings = replace(self.settings, metric=self.metrics[0].name, class_weight=wanted)
        return type(self)(self.columns, classes, settings)

    def losses(self, output_SKBO: Tensor, target_SB: Tensor) -> Tensor:
        """(S,) log losses after the best temperature of each network."""
        return intervals.fit_temperatures(output_SKBO, target_SB)[1]

    def calibrate(self, output_KBO: Tensor, target: Tensor) -> Self:
        """The task with the temperature that makes these rows most likely."""
        known = target >= 0
        task = self._copy()
        if int(known.sum()) >= 10:
            task.temperature = float(intervals.fit_temperature(output_KBO[:, known], target[known]))
        return task

    def answer(
        self,
        output_KBO: Tensor,
        *,
        top: int | None = None,
        threshold: float | None = None,
        probabilities: bool = True,
    ) -> pl.DataFrame:
        """`prediction`, `probability`, and `probability:CLASS` for each class.

        With `top`, `prediction:2`… and `probability:2`… name the next best classes; with `threshold`
        (two classes) the second class is predicted from that probability on.
        """
        import polars as pl

        p_BC = self._log_probabilities(output_KBO, self.temperature).exp().cpu().numpy()
        code_B = self._decide(p_BC, threshold)
        rows = np.arange(len(p_BC))
        columns: dict[str, Any] = {
            "prediction": self.classes.decode(code_B),
            "probability": p_BC[rows, code_B].astype(np.float64),
        }
        if top:
            order_BC = np.argsort(-p_BC, axis=1, kind="stable")
            for rank in range(1, min(top, self.outputs)):
                columns[f"prediction:{rank + 1}"] = self.classes.decode(order_BC[:, rank])
                columns[f"probability:{rank + 1}"] = p_BC[rows, order_BC[:, rank]].astype(np.float64)
        elif probabilities:
            for code, word in enumerate(self.classes.words):
                columns[f"probability:{word}"] = p_BC[:, code].astype(np.float64)
        return pl.DataFrame(columns)

    def statistics(self, output_KBO: Tensor, target: Packed) -> pl.DataFrame:
        """Columns `truth` and `prediction` (codes, truth -1 if unseen), `log_loss`, `p_positive`."""
        return self._statistics(self._log_probabilities(output_KBO, self.temperature), target.values)

    def constant(self, target: Tensor) -> Tensor:
        """Log of the class frequencies."""
        counts_C = torch.bincount(target[target >= 0], minlength=self.outputs).float()
        return (counts_C.clamp(min=0.5) / counts_C.sum().clamp(min=1)).log().view(1, 1, -1)

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Classes, settings and temperature."""
        facts = {
            "column": self.columns[0],
            "classes": self.classes.facts(),
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
            task = cls([str(facts["column"])], labels.restore(facts["classes"]), settings)
            task.temperature = float(facts["temperature"])
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the model's task cannot be read: {error}.") from error
        return task

    def _copy(self) -> Self:
        copy = type(self)(self.columns, self.classes, replace(self.settings))
        copy.temperature = self.temperature
        return copy

    def _class_weights(self) -> Tensor | None:
        wanted = self.settings.class_weight
        leads = self.metrics[0].name == "balanced_accuracy"
        if not (wanted == "balanced" or (wanted is None and leads)):
            return None
        counts_C = torch.tensor(self.classes.counts, dtype=torch.float32).clamp(min=1)
        return counts_C.sum() / (len(counts_C) * counts_C)

    def _decide(self, p_BC: Any, threshold: float | None) -> Any:
        if threshold is None or self.outputs != 2:
            return p_BC.argmax(axis=1)
        return (p_BC[:, 1] >= threshold).astype(np.int64)

    def _log_probabilities(self, output_KBO: Tensor, temperature: float) -> Tensor:
        log_p_KBC = torch.log_softmax(output_KBO.float() / temperature, dim=-1)
        return torch.logsumexp(log_p_KBC, dim=0) - float(np.log(len(log_p_KBC)))

    def _statistics(self, log_p_BC: Tensor, target: Tensor) -> pl.DataFrame:
        import polars as pl

        truth = target.cpu()
        log_p_BC = log_p_BC.cpu()
        log_loss = -log_p_BC.gather(1, truth.clamp(min=0).unsqueeze(1)).squeeze(1)
        columns = {
            "truth": truth.numpy(),
            "prediction": log_p_BC.argmax(1).numpy(),
            "log_loss": torch.where(truth < 0, torch.nan, log_loss).double().numpy(),
            "confidence": log_p_BC.amax(1).exp().double().numpy(),
        }
        if self.outputs == 2:
            columns["p_positive"] = log_p_BC[:, 1].exp().double().numpy()
        return pl.DataFrame(columns)
