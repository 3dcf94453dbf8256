"""Scikit-learn's interface: a door, like the command line. Nothing is written, nothing is printed."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from netwright.base.errors import DataError

Array = npt.NDArray[Any]
TARGET, WEIGHT = "target", "weight of the class"
"""Names of the columns that targets and class weights become."""


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share."""

    _task = ""

    def __init__(
        self,
        *,
        minutes: float = 1.0,
        network: str = "auto",
        seed: int = 0,
        weight: str | None = None,
        folds: int | None = None,
        set: Mapping[str, Any] | None = None,
    ) -> None:
        self.minutes = minutes
        self.network = network
        self.seed = seed
        self.weight = weight
        self.folds = folds
        self.set = set

    def _settings(self) -> dict[str, Any]:
        return dict(self.set or {})

    def _fit(self, X: Any, y: Any, weights: Array | None = None) -> None:
        from netwright import build

        frame, kinds = self._frame(X)
        inputs = tuple(frame.columns)
        frame = frame.with_columns(_series(TARGET, y))
        if weights is not None:
            frame = frame.with_columns(_series(WEIGHT, weights))
        asked: dict[str, Any] = {
            "target": (TARGET,),
            "task": self._task,
            "kinds": kinds,
            "keep": inputs,
            "weight": WEIGHT if weights is not None else self.weight,
            "test": "none",
            "minutes": self.minutes,
            "network": self.network,
            "seed": self.seed,
            "set": self._settings(),
        }
        try:
            run = build.fit(frame, folds=self.folds, **asked)
        except DataError:
            if self.folds is not None:
                raise
            run = build.fit(frame, folds=0, **asked)  # what is too little for each part may do for all rows
        self.card_ = dict(run.card)
        self.n_iter_ = int(run.card["steps"])
        self._take(run.model)

    def _take(self, model: Any) -> None:
        """Keeps the model, and its network in float64 so that a row's answer does not depend on others."""
        self._model = model
        self._network = copy.deepcopy(model.network).double()

    def _frame(self, X: Any) -> tuple[Any, dict[str, str]]:
        """A polars frame with one column a feature, and the kinds that are known beforehand."""
        import polars as pl

        if isinstance(X, pl.DataFrame):
            return X, {}
        if hasattr(X, "columns"):
            return pl.DataFrame({str(name): _series(str(name), X[name]) for name in X.columns}), {}
        names = [f"x{number}" for number in range(1, X.shape[1] + 1)]
        kinds = dict.fromkeys(names, "number")
        return pl.DataFrame({name: X[:, i] for i, name in enumerate(names)}), kinds

    def _checked(self, X: Any, y: Any = None, *, reset: bool) -> Any:
        """X as it is if it is a table of mixed columns, else as a float array."""
        if hasattr(X, "columns") and not _all_numbers(X):
            names = np.asarray([str(name) for name in X.columns], dtype=object)
            if reset:
                self.feature_names_in_, self.n_features_in_ = names, len(names)
            elif list(names) != list(getattr(self, "feature_names_in_", names)):
                raise ValueError("The feature names should match those that were passed during fit.")
            return X
        if reset:
            return validate_data(
                self, X, y, dtype="numeric", ensure_all_finite="allow-nan", ensure_min_samples=4,
                y_numeric=self._task == "regress", multi_output=False,
            )  # fmt: skip
        return validate_data(self, X, dtype="numeric", ensure_all_finite="allow-nan", reset=False)

    def _outputs(self, X: Any) -> torch.Tensor:
        check_is_fitted(self)
        checked = self._checked(X, reset=False)
        frame, _ = self._frame(checked)
        from netwright.data.table import Table
        from netwright.tasks.network import outputs

        table = Table(cells=frame, source="X")
        self._model.inputs.check_new(table)
        packed = self._model.inputs.encode(table, None)
        inputs = {key: replace(each, values=_double(each.values)) for key, each in packed.items()}
        return outputs(self._network, inputs)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def __getstate__(self) -> dict[str, Any]:
        """The parameters, and the model as the bytes of its file: data only."""
        state = dict(super().__getstate__())
        if "_model" in state:
            state["_model"] = state["_model"].to_bytes()
            del state["_network"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        from netwright.serving.bundle import from_bytes
        from netwright.serving.predict import Model

        state = dict(state)
        content = state.pop("_model", None)
        super().__setstate__(state)
        if content is not None:
            self._take(Model(from_bytes(content, "the estimator's state")))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.non_deterministic = False
        return tags


class Classifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A network that classifies rows.

    Args:
        minutes: Ceiling on the time `fit` takes, minutes.
        network: Family of networks, or "auto".
        seed: Where all randomness comes from.
        class_weight: None, "balanced", or a dict from class to weight.
        weight: Name of the column of X that weighs rows, or None.
        folds: Parts of the rows that are tested in turn, from 3 on, for `card_`; the model is the mean of their
            networks. 0: no row is tested, and there is one network; None: 8 for small tables, else 0.
        set: Settings by dotted name, as `--set` has them.

    Attributes:
        classes_: Classes, sorted.
        card_: What was measured.
        n_iter_: Steps taken.
    """

    _task = "classify"

    def __init__(
        self,
        *,
        minutes: float = 1.0,
        network: str = "auto",
        seed: int = 0,
        class_weight: Any = None,
        weight: str | None = None,
        folds: int | None = None,
        set: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(minutes=minutes, network=network, seed=seed, weight=weight, folds=folds, set=set)
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any) -> Self:
        """Trains a network.

        Args:
            X: (N, F) numbers, or a frame of columns of any kind.
            y: (N,) classes.

        Raises:
            ValueError: If there are fewer than two classes or the arrays do not fit.
        """
        checked = self._checked(X, y, reset=True)
        X, y = checked if isinstance(checked, tuple) else (checked, np.asarray(y))
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                f"y has only one class: {self.classes_[0]!r}.",
                hint="a classifier needs rows of at least two classes.",
            )
        weights = None
        if self.class_weight is not None:
            weights = compute_sample_weight(self.class_weight, y)
        self._fit(X, codes.astype(np.int64), weights)
        return self

    def predict_proba(self, X: Any) -> Array:
        """(N, C) float32 probabilities, in the order of `classes_`."""
        output_KNC = self._outputs(X)
        log_p_KNC = torch.log_softmax(output_KNC / self._model.task.temperature, dim=-1)
        p_NC = log_p_KNC.exp().mean(0).numpy()
        whole = np.zeros((len(p_NC), len(self.classes_)), dtype=np.float32)
        whole[:, [int(word) for word in self._model.task.classes.words]] = p_NC
        return whole

    def predict(self, X: Any) -> Array:
        """(N,) classes."""
        best = self.predict_proba(X).argmax(axis=1)
        chosen: Array = np.asarray(self.classes_)[best]
        return chosen


class Regressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A network that predicts a number for each row.

    Args:
        minutes: Ceiling on the time `fit` takes, minutes.
        network: Family of networks, or "auto".
        seed: Where all randomness comes from.
        weight: Name of the column of X that weighs rows, or None.
        folds: Parts of the rows that are tested in turn, from 3 on, for `card_`; the model is the mean of their
            networks. 0: no row is tested, and there is one network; None: 8 for small tables, else 0.
        set: Settings by dotted name, as `--set` has them.

    Attributes:
        card_: What was measured.
        n_iter_: Steps taken.
    """

    _task = "regress"

    def fit(self, X: Any, y: Any) -> Self:
        """Trains a network.

        Args:
            X: (N, F) numbers, or a frame of columns of any kind.
            y: (N,) numbers.

        Raises:
            ValueError: If y is constant or the arrays do not fit.
        """
        checked = self._checked(X, y, reset=True)
        X, y = checked if isinstance(checked, tuple) else (checked, np.asarray(y))
        self._fit(X, np.asarray(y, dtype=np.float64))
        return self

    def predict(self, X: Any) -> Array:
        """(N,) float32 predictions, in the units of y."""
        outputs = self._outputs(X)
        answers = self._model.task.answer(outputs)
        prediction: Array = answers["prediction"].to_numpy().astype(np.float32)
        return prediction


def _series(name: str, values: Any) -> Any:
    """A polars series of any array or frame column, without going through other libraries' types."""
    import polars as pl

    array = np.asarray(values)
    if array.dtype.kind in "biuf":
        return pl.Series(name, array)
    cells = [None if cell is None or _is_nan(cell) else cell for cell in array.tolist()]
    return pl.Series(name, cells, strict=False)


def _is_nan(cell: Any) -> bool:
    return isinstance(cell, float) and math.isnan(cell)


def _all_numbers(X: Any) -> bool:
    return all(str(kind).lower().startswith(("int", "uint", "float", "bool")) for kind in X.dtypes)


def _double(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.dtype == torch.float32 else tensor
