"""Cross-validation: all folds learn as one network, and no row is measured by one that it has a part in."""

# S = folds, M = members, N = rows

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn import datasets

import netwright as nw
from netwright import abreast, build, folds, prepare, request, training
from netwright.base.errors import DataError, NetwrightError
from netwright.cli.main import run
from netwright.data import folding, roles
from netwright.data.packed import Packed, Part
from netwright.data.table import Table
from netwright.learning import machine, planning
from netwright.learning.loop import learn
from netwright.tasks.network import outputs

COUNT, MEMBERS, WIDTH = 4, 2, 16
CONFIG = {"depth": 2, "width": WIDTH, "members": MEMBERS, "dropout": 0.0, "embedding_width": 4}
SETTINGS = training.Settings(lr=0.004, weight_decay=0.02, batch=32, epochs=4, ema=0.9, threads=1)


def frame_of(name: str) -> pl.DataFrame:
    data = getattr(datasets, f"load_{name}")()
    cells = {f"c{place}": column for place, column in enumerate(data.data.T)}
    return pl.DataFrame(cells).with_columns(pl.Series("target", data.target))


def crossed(frame: pl.DataFrame, **settings: Any) -> tuple[prepare.Prepared, folds.Crossed]:
    asked = folds.asked_of_all(request.make({"target": "target", "folds": COUNT, **settings}))
    prepared = prepare.prepare(frame, asked)
    return prepared, folds.cross(prepared, asked, training.part(prepared, prepared.split.train, learn=True))


def job_of(config: dict[str, Any]) -> training.Job:
    return training.Job(network="feedforward", config=config, settings=SETTINGS, seed=0, live=False)


# ---- one batched network is as many networks


def alone(
    fold: int, prepared: prepare.Prepared, everything: folds.Crossed, first: Any, steps: int
) -> torch.Tensor:
    """Outputs (M, N, O) of an ordinary network on the rows of one fold, from the same first weights."""
    own, task = everything.inputs[fold], everything.tasks[fold]
    built = training.network(job_of(CONFIG), replace(prepared.spec, inputs=own.fields()), task)
    table = first["family.inputs.each.0.table_SEMD"][fold]
    with torch.no_grad():
        numbers: Any = built.family.inputs.each[0]  # type: ignore[union-attr,index]
        numbers.weight_ED.copy_(table[:, -2])
        numbers.bias_ED.copy_(table[:, -1])
        built.family.adapter_KD.copy_(first["family.adapter_KD"].view(COUNT, MEMBERS, -1)[fold])  # type: ignore[union-attr,operator]
        for layer in (0, 2):
            linear: Any = built.family.layers[layer]  # type: ignore[index]
            linear.weight.copy_(first[f"family.layers.{layer}.weight_SIO"][fold].T)
            linear.bias.copy_(first[f"family.layers.{layer}.bias"].view(COUNT, -1)[fold])
        head: Any = built.head
        head.weight_KDO.copy_(first["head.weight_KDO"].view(COUNT, MEMBERS, WIDTH, -1)[fold])
        head.bias_KO.copy_(first["head.bias_KO"].view(COUNT, MEMBERS, -1)[fold])

    def part(places: Any) -> Part:
        rows = everything.folds.rows[places]
        target = Packed(task.encode(prepared.target(rows)))
        return Part(inputs=own.encode(prepared.decoded, rows), target=target)

    trainee = training.NetworkTrainee(built, task, part(everything.folds.select(fold)))
    batches = training.feed(prepared, part(everything.folds.train(fold)), 0)
    settings = replace(SETTINGS, patience=10**9)
    plan = planning.first(settings, steps)
    training.drain(
        learn(trainee, batches, planning.Replay([]), plan, settings=settings, seed=0), lambda event: None
    )
    return outputs(built, own.encode(prepared.decoded, everything.folds.rows))


@pytest.mark.parametrize(("name", "most"), [("breast_cancer", 1e-3), ("diabetes", 1e-2)])
def test_the_networks_of_all_folds_are_those_that_ordinary_training_makes_one_by_one(
    name: str, most: float
) -> None:
    frame = frame_of(name)
    if (
        name == "diabetes"
    ):  # differences of 1e-9 between values are bins of their own, and no float32 keeps those
        frame = frame.with_columns(pl.col("^c.*$").round(3))
    with machine.arithmetic(1):
        prepared, everything = crossed(frame)
        job = job_of({**CONFIG, "folds": COUNT})
        built = training.network(job, prepared.spec, prepared.task)
        first = {key: value.clone() for key, value in built.state_dict().items()}
        trained = abreast.train_all(job, prepared, everything, lambda event: None)
        found = outputs(trained.network, everything.whole.inputs).view(COUNT, MEMBERS, len(frame), -1)
        steps = min(len(everything.folds.train(fold)) for fold in everything.folds) // SETTINGS.batch
        for fold in everything.folds:
            expected = alone(fold, prepared, everything, first, steps)
            # float32 sums in another order; narrow bins of diabetes make of 1e-7 in a number 1e-3 of a bin
            torch.testing.assert_close(found[fold], expected, atol=most, rtol=1e-3)
    assert trained.ended["steps"] == 4 * steps


# ---- no row has a part in the network that tests it


def test_a_network_does_not_depend_on_the_rows_that_it_tests() -> None:
    frame = frame_of("breast_cancer")
    with machine.arithmetic(1):
        prepared, everything = crossed(frame)
        tested = everything.folds.test(0)
        target, cells = frame["target"].to_numpy().copy(), frame.drop("target").to_numpy().copy()
        target[tested] = 1 - target[tested]
        cells[tested] = cells[tested][:, ::-1] * 3.0 - 7.0
        names = frame.columns[:-1]
        other = pl.DataFrame(dict(zip(names, cells.T, strict=True))).with_columns(pl.Series("target", target))
        changed, twisted = crossed(other)
        asked = request.make({"target": "target", "folds": COUNT})
        same = replace_folds(changed, asked, twisted, everything.folds)
        job = job_of({**CONFIG, "folds": COUNT})
        before, after = (
            outputs(
                abreast.train_all(job, who, what, lambda event: None).network,
                who.inputs.encode(prepared.decoded, everything.folds.rows),
            ).view(COUNT, MEMBERS, len(frame), -1)
            for who, what in ((prepared, everything), (changed, same))
        )
    # the kinds of all rows differ, and what each network reads comes from theirs through float32
    torch.testing.assert_close(before[0], after[0], atol=2e-2, rtol=1e-2)
    for fold in (1, 2, 3):
        assert (before[fold] - after[fold]).abs().mean() > 0.3, "folds that learn from these rows must change"


def replace_folds(
    prepared: prepare.Prepared, asked: request.Request, old: folds.Crossed, dealt: folding.Folds
) -> folds.Crossed:
    """The same rows in the parts of another deal."""
    patched = pytest.MonkeyPatch()
    with patched.context() as patch:
        patch.setattr(folding, "make", lambda *_, **__: dealt)
        return folds.cross(prepared, asked, old.whole)


def test_labels_by_chance_are_guessed_no_better_than_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    rows = 400
    frame = pl.DataFrame(
        {f"c{place}": draw.normal(size=rows) for place in range(20)}
    )  # each row is one of its kind
    frame = frame.with_columns(pl.Series("target", draw.integers(0, 2, rows)))

    def accuracy() -> float:
        found = build.fit(frame, target="target", task="classify", folds=5, minutes=1)
        return float(found.card["metrics"]["accuracy"])

    assert abs(accuracy() - 0.5) < 4 * 0.5 / np.sqrt(rows)  # four standard deviations of fair coins
    monkeypatch.setattr(folding.Folds, "train", lambda self, fold: np.arange(len(self.rows)))
    assert accuracy() > 0.65, "networks that saw the rows know them: such a leak would be noticed here"


@pytest.mark.parametrize("seed", range(4))
def test_every_row_is_tested_once_and_decides_once_and_equal_rows_lie_together(seed: int) -> None:
    draw = np.random.default_rng(seed)
    frame = pl.DataFrame({"a": draw.integers(0, 40, 200), "b": draw.integers(0, 3, 200)})
    frame = frame.with_columns((pl.col("a") % 3).alias("target"))
    table = Table(cells=frame, source="t")
    assigned = roles.assign(table, roles.Asked(target=("target",)))
    made = folding.make(table, assigned, np.arange(200), 5, rule="random", seed=seed, stratify=True)
    for use in (made.test, made.select):
        assert sorted(np.concatenate([use(fold) for fold in made])) == list(range(200))
    for fold in made:
        parts = [made.test(fold), made.select(fold), made.train(fold)]
        assert sorted(np.concatenate(parts)) == list(range(200))
    together = (
        frame.with_columns(pl.Series("part", made.part_N)).group_by("a", "b").agg(pl.col("part").n_unique())
    )
    assert together["part"].max() == 1
    sizes = np.bincount(made.part_N)
    assert sizes.max() - sizes.min() <= 8


def test_classes_are_spread_evenly_and_groups_stay_whole() -> None:
    draw = np.random.default_rng(0)
    frame = pl.DataFrame({"a": draw.normal(size=300), "who": draw.integers(0, 30, 300)})
    frame = frame.with_columns(pl.Series("target", draw.choice(["x", "y", "z"], 300, p=[0.7, 0.2, 0.1])))
    table = Table(cells=frame, source="t")
    assigned = roles.assign(table, roles.Asked(target=("target",), group="who"))
    made = folding.make(table, assigned, np.arange(300), 5, rule="random", seed=0, stratify=True)
    for word in "xyz":
        counts = np.bincount(made.part_N[(frame["target"] == word).to_numpy()], minlength=5)
        assert counts.max() - counts.min() <= 1
    made = folding.make(table, assigned, np.arange(300), 5, rule="group", seed=0, stratify=True)
    whole = frame.with_columns(pl.Series("part", made.part_N)).group_by("who").agg(pl.col("part").n_unique())
    assert whole["part"].max() == 1
    with pytest.raises(DataError, match="30 groups of rows"):
        folding.make(table, assigned, np.arange(300), 31, rule="group", seed=0, stratify=True)


# ---- as users meet it


def test_the_command_line_from_folds_to_a_model_that_predicts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "wine.csv", tmp_path / "run"
    frame_of("wine").write_csv(data)
    assert (
        run(["train", str(data), "--folds", "5", "--minutes", "1", "--out", str(out), "--quiet", "--json"]) == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert said["rows"]["test"] == 178 and said["metric"]["value"] > 0.9
    assert said["metric"]["low"] < said["metric"]["value"] < said["metric"]["high"]
    card = json.loads((out / "card.json").read_text())
    assert card["folds"] == 5 and "mean of all of them" in " ".join(card["notes"])
    settings = {each["name"]: each["value"] for each in card["choices"]}
    assert settings["network.folds"] == 5 and settings["data.split"] == "folds"
    report = (out / "report.md").read_text()
    assert "on all 178 rows, each by the one of 5 networks that was kept from it" in report
    assert "## Confusion" in report and "a linear model" in report
    seen = pl.read_parquet(out / "predictions.parquet")
    assert seen["row"].to_list() == list(range(1, 179))
    right = (seen["truth"].cast(pl.String) == seen["prediction"].cast(pl.String)).mean()
    assert right == pytest.approx(said["metric"]["value"], abs=1e-9)
    model = out / "model.safetensors"
    assert run(["predict", str(model), str(data)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 179
    assert run(["show", str(out)]) == 0 and run(["evaluate", str(model), str(data)]) == 0


def test_numbers_are_measured_in_the_units_of_the_target_and_runs_repeat_themselves(tmp_path: Path) -> None:
    frame = frame_of("diabetes").with_columns(pl.col("target") * 1_000.0)
    first, again = (
        nw.train(frame, target="target", folds=4, out=tmp_path / name, set={"learning.epochs": 8})
        for name in ("one", "two")
    )
    assert first.card["metric"]["name"] == "r2" and first.card["metric"]["value"] > 0.35
    assert first.card["coverage"]["measured"] == pytest.approx(0.9, abs=0.06)
    assert first.card["metrics"] == again.card["metrics"]
    found = first.model.predict(frame)
    assert np.corrcoef(found["prediction"], frame["target"])[0, 1] ** 2 > 0.4
    assert abs(found["prediction"].mean() - frame["target"].mean()) < 5_000  # type: ignore[operator]


def test_the_model_answers_as_the_mean_of_its_folds() -> None:
    frame = frame_of("wine")
    found = nw.train(frame, target="target", folds=3, minutes=0.5, set={"learning.epochs": 4})
    output_KNC = outputs(found.model.network, found.model.inputs.encode(Table(cells=frame, source="t"), None))
    assert len(output_KNC) == 3 * found.card["settings"]["members"]
    expected = torch.softmax(output_KNC / found.model.task.temperature, dim=-1).mean(0).amax(1)
    assert np.allclose(found.model.predict(frame)["probability"], expected, atol=1e-6)


def test_an_estimator_tells_out_of_fold_what_its_score_is() -> None:
    x, y = datasets.load_wine(return_X_y=True)
    made = nw.Classifier(folds=4, minutes=0.5).fit(x, y)
    assert made.card_["metric"]["value"] > 0.9 and made.card_["rows"]["test"] == len(y)
    assert made.predict_proba(x).shape == (178, 3)


TABLE = pl.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0)[::-1] ** 2, "target": ["x", "y"] * 20})
TEXTS = TABLE.with_columns(
    pl.Series("words", [f"a long text about {row} of the many things" for row in range(40)])
)
REFUSED = [
    ({"folds": 1}, "--folds is 1"),
    ({"folds": 2}, "--folds is 2"),
    ({"folds": 101}, "--folds is 101"),
    ({"folds": 41}, "40 rows, too few for 41 folds"),
    ({"folds": 5, "test": 0.2}, "--folds and --test exclude each other"),
    ({"folds": 5, "validation": 0.2}, "--folds and --validation exclude each other"),
    ({"folds": 5, "horizon": 3}, "--folds and --horizon exclude each other"),
    ({"folds": 5, "split": "time", "time": "a"}, "--folds and --split time exclude each other"),
    ({"folds": 5, "network": "transformer"}, "not for --network transformer"),
    ({"folds": 5, "set": {"learning.optimizer": "muon"}}, "Muon"),
    ({"folds": 5, "set": {"network.embedding": "periodic"}}, "as waves"),
    ({"folds": 5, "target": "b", "set": {"task.scale": "log"}}, "not its logarithm"),
    ({"folds": 5, "task": "tag"}, "are for tables whose rows are classified or get a number"),
]


@pytest.mark.parametrize(("settings", "words"), REFUSED)
def test_what_folds_cannot_do_is_refused_with_what_to_do(
    settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(NetwrightError) as caught:
        nw.train(TABLE, **{"target": "target", "out": tmp_path / "run", **settings})
    assert words in str(caught.value) and caught.value.hint
    assert not (tmp_path / "run").exists()


def test_columns_and_parts_that_folds_cannot_divide_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NetwrightError, match="column 'words' is of kind text") as caught:
        nw.train(TEXTS, target="target", folds=5, kinds={"words": "text"}, out=tmp_path / "run")
    assert "--drop words" in caught.value.hint
    named = TABLE.with_columns(pl.Series("split", ["train"] * 30 + ["test"] * 10))
    with pytest.raises(NetwrightError, match="rows of its own for test"):
        nw.train(named, target="target", folds=5, out=tmp_path / "run")


def test_a_recipe_of_folds_asks_for_its_folds(tmp_path: Path) -> None:
    frame = frame_of("wine")
    done = nw.train(frame, target="target", folds=3, out=tmp_path / "one", set={"learning.epochs": 2})
    recipe = tmp_path / "one" / "recipe.json"
    with pytest.raises(NetwrightError, match="one of 3 folds"):
        nw.train(frame, target="target", recipe=recipe, out=tmp_path / "two")
    again = nw.train(frame, target="target", recipe=recipe, folds=3, out=tmp_path / "two")
    assert again.card["metrics"] == done.card["metrics"]
