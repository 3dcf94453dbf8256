"""The same rows for netwright and scikit-learn's MLP and boosting at their defaults: score and seconds.

    NETWRIGHT_DATA=… python benchmarks/against_sklearn.py [MINUTES]

adult and bike_sharing need NETWRIGHT_DATA; breast_cancer and digits come with scikit-learn. Categories are
one-hot for the MLP and native for the boosting; numbers are standardised for the MLP.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import netwright as nw

Rows = tuple[pd.DataFrame, pd.DataFrame, Any, Any]


def prepared(name: str) -> Path:
    """A data set as `prepare.py` lays it out."""
    out = Path(tempfile.mkdtemp()) / name
    script = Path(__file__).with_name("prepare.py")
    subprocess.run([sys.executable, str(script), name, str(out)], check=True, capture_output=True)
    return out


def adult() -> Rows:
    """The official split."""
    folder = prepared("adult")
    train, test = (pd.read_csv(folder / f"{part}.csv", skipinitialspace=True) for part in ("train", "test"))
    for each in (train, test):
        each["income"] = each["income"].str.strip().str.rstrip(".")
    return train.drop(columns="income"), test.drop(columns="income"), train["income"], test["income"]


def bike() -> Rows:
    """A random fifth as test rows; the two columns that add up to the target are left out."""
    table = pd.read_csv(next(prepared("bike_sharing").rglob("hour.csv")))
    day = pd.to_datetime(table.pop("dteday"))
    table["day"] = day.dt.day
    x = table.drop(columns=["cnt", "casual", "registered", "instant"])
    return tuple(train_test_split(x, table["cnt"], test_size=0.2, random_state=0))  # type: ignore[return-value]


def bundled(loader: Any) -> Rows:
    """A set of scikit-learn's, a random fifth as test rows."""
    data = loader(as_frame=True)
    split = train_test_split(data.data, data.target, test_size=0.2, random_state=0, stratify=data.target)
    return tuple(split)  # type: ignore[return-value]


def encoded(model: Any) -> Any:
    """The model after one-hot categories and standardised numbers."""
    return make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
            remainder=StandardScaler(),
            sparse_threshold=0.0,
        ),
        model,
    )


def rivals(regress: bool, minutes: float) -> dict[str, Any]:
    """What is compared."""
    if regress:
        boosting = HistGradientBoostingRegressor(categorical_features="from_dtype")
        return {
            "netwright": nw.Regressor(minutes=minutes),
            "MLPRegressor": encoded(MLPRegressor(random_state=0)),
            "HistGradientBoosting": boosting,
        }
    return {
        "netwright": nw.Classifier(minutes=minutes),
        "MLPClassifier": encoded(MLPClassifier(random_state=0)),
        "HistGradientBoosting": HistGradientBoostingClassifier(categorical_features="from_dtype"),
    }


def main() -> None:
    """Prints a table in Markdown."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    sets = {"breast_cancer": lambda: bundled(load_breast_cancer), "digits": lambda: bundled(load_digits)}
    if "NETWRIGHT_DATA" in os.environ:
        sets |= {"adult": adult, "bike_sharing": bike}
    print("| data | model | score | seconds |\n|---|---|---|---|")
    for name, load in sets.items():
        x_train, x_test, y_train, y_test = load()
        for label, model in rivals(name == "bike_sharing", minutes).items():
            boosted = label == "HistGradientBoosting"
            train, test = (_categories(x) if boosted else x for x in (x_train, x_test))
            began = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(train, y_train)
                score = model.score(test, y_test)
            print(f"| {name} | {label} | {score:.4f} | {time.perf_counter() - began:.1f} |", flush=True)


def _categories(x: pd.DataFrame) -> pd.DataFrame:
    words = [name for name in x if not pd.api.types.is_numeric_dtype(x[name])]
    return x.astype(dict.fromkeys(words, "category"))


if __name__ == "__main__":
    main()
