"""The same rows for netwright and what people fit tables with, each at its defaults: score, seconds, mean rank.

    NETWRIGHT_DATA=… python benchmarks/tables.py [MINUTES] [SEEDS] [SET …]

adult and bike_sharing need NETWRIGHT_DATA; the others come with scikit-learn. Categories are one-hot for the
networks of scikit-learn and skorch and native for boosting and RealMLP; numbers are standardised for those two.
A seed is another split, but for adult, whose split is official, and other first weights. Ranks are among the
networks, boosting aside. Peers that are not installed are left out; `make bench` installs them.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, LabelEncoder, OneHotEncoder, StandardScaler
from torch import nn

import netwright as nw
from command import prepared

Rows = tuple[pd.DataFrame, pd.DataFrame, Any, Any]
BOOSTING = "HistGradientBoosting"


def adult(seed: int) -> Rows:
    """The official split."""
    folder = prepared("adult")
    train, test = (pd.read_csv(folder / f"{part}.csv", skipinitialspace=True) for part in ("train", "test"))
    for each in (train, test):
        each["income"] = each["income"].str.strip().str.rstrip(".")
    return train.drop(columns="income"), test.drop(columns="income"), train["income"], test["income"]


def divided(x: pd.DataFrame, y: Any, seed: int) -> Rows:
    """A random fifth as test rows; equal shares of classes on both sides."""
    by = y if y.dtype == object or y.nunique() < 20 else None
    split = train_test_split(x, y, test_size=0.2, random_state=seed, stratify=by)
    return tuple(split)  # type: ignore[return-value]


def bike(seed: int) -> Rows:
    """The two columns that add up to the target are left out."""
    table = pd.read_csv(next(prepared("bike_sharing").rglob("hour.csv")))
    table["day"] = pd.to_datetime(table.pop("dteday")).dt.day
    x = table.drop(columns=["cnt", "casual", "registered", "instant"])
    return divided(x, table["cnt"], seed)


def bundled(loader: Any) -> Callable[[int], Rows]:
    """A set of scikit-learn's."""

    def load(seed: int) -> Rows:
        data = loader(as_frame=True)
        return divided(data.data, data.target, seed)

    return load


SETS: dict[str, Callable[[int], Rows]] = {
    "adult": adult,
    "bike_sharing": bike,
    "breast_cancer": bundled(datasets.load_breast_cancer),
    "digits": bundled(datasets.load_digits),
    "wine": bundled(datasets.load_wine),
    "iris": bundled(datasets.load_iris),
    "diabetes": bundled(datasets.load_diabetes),
}
NUMBERS = {"bike_sharing", "diabetes"}
"""Sets whose target is a number."""


def encoded(model: Any) -> Any:
    """The model after one-hot categories and standardised numbers, in float32."""
    return make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
            remainder=StandardScaler(),
            sparse_threshold=0.0,
        ),
        FunctionTransformer(np.float32),
        model,
    )


def by_skorch(regress: bool, outputs: int, seed: int) -> Any:
    """Two layers of 100, Adam at 1e-3, stopped by validation loss: skorch leaves these to its user."""
    import skorch
    from skorch.callbacks import EarlyStopping

    torch.manual_seed(seed)
    layers = [nn.LazyLinear(100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, outputs)]
    module = nn.Sequential(*layers, *([nn.Flatten(0)] if regress else []))
    kind = skorch.NeuralNet if regress else skorch.NeuralNetClassifier
    loss = nn.MSELoss if regress else nn.CrossEntropyLoss
    stop = EarlyStopping(patience=5, load_best=True)
    return kind(
        module, criterion=loss, optimizer=torch.optim.Adam, lr=1e-3, max_epochs=100, callbacks=[stop], verbose=0
    )


def rivals(name: str, y: Any, minutes: float, seed: int) -> dict[str, Any]:
    """What is compared."""
    regress = name in NUMBERS
    there: dict[str, Any] = {}
    if regress:
        there["netwright"] = nw.Regressor(minutes=minutes, seed=seed)
        there["scikit-learn MLP"] = encoded(MLPRegressor(random_state=seed))
        there[BOOSTING] = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=seed)
    else:
        there["netwright"] = nw.Classifier(minutes=minutes, seed=seed)
        there["scikit-learn MLP"] = encoded(MLPClassifier(random_state=seed))
        there[BOOSTING] = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=seed)
    if importlib.util.find_spec("skorch"):
        net = encoded(by_skorch(regress, 1 if regress else len(np.unique(y)), seed))
        there["skorch MLP"] = TransformedTargetRegressor(net, transformer=Tall()) if regress else net
    if importlib.util.find_spec("pytabkit"):
        from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

        kind = RealMLP_TD_Regressor if regress else RealMLP_TD_Classifier
        there["RealMLP"] = kind(device="cpu", random_state=seed, n_cv=1, n_refit=0)
    return there


class Tall(StandardScaler):  # type: ignore[misc]
    """Standardised targets in float32, as a network in torch wants them."""

    def transform(self, X: Any, copy: bool | None = None) -> Any:
        """(N, 1) float32."""
        return super().transform(X, copy).astype(np.float32)


def categories(x: pd.DataFrame) -> pd.DataFrame:
    """Words as pandas' categories."""
    words = [name for name in x if not pd.api.types.is_numeric_dtype(x[name])]
    return x.astype(dict.fromkeys(words, "category"))


def main() -> None:
    """Prints tables in Markdown: every set and model, and mean ranks."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    there = [name for name in SETS if "NETWRIGHT_DATA" in os.environ or name not in {"adult", "bike_sharing"}]
    ranks: dict[str, list[float]] = defaultdict(list)
    print("| data | model | score, median (least-most) | seconds, median |\n|---|---|---|---|")
    for name in sys.argv[3:] or there:
        scores: dict[str, list[float]] = defaultdict(list)
        seconds: dict[str, list[float]] = defaultdict(list)
        for seed in range(seeds):
            x_train, x_test, y_train, y_test = SETS[name](seed)
            if name not in NUMBERS:
                coder = LabelEncoder().fit(y_train)
                y_train, y_test = coder.transform(y_train), coder.transform(y_test)
            models = rivals(name, y_train, minutes, seed)
            for label in list(models) if seed % 2 else reversed(models):
                native = label in {BOOSTING, "RealMLP"}
                train, test = (categories(x) if native else x for x in (x_train, x_test))
                began = time.perf_counter()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    models[label].fit(train, np.asarray(y_train))
                    scores[label].append(float(models[label].score(test, np.asarray(y_test))))
                seconds[label].append(time.perf_counter() - began)
            ordered = pd.Series({label: own[-1] for label, own in scores.items() if label != BOOSTING})
            for label, rank in ordered.rank(ascending=False).items():
                ranks[str(label)].append(float(rank))
        for label, own in sorted(scores.items()):
            spread = f"{statistics.median(own):.4f} ({min(own):.4f}-{max(own):.4f})"
            print(f"| {name} | {label} | {spread} | {statistics.median(seconds[label]):.1f} |", flush=True)
    print("\n| network | mean rank |\n|---|---|")
    for label, own in sorted(ranks.items(), key=lambda each: statistics.fmean(each[1])):
        print(f"| {label} | {statistics.fmean(own):.2f} |")


if __name__ == "__main__":
    main()
