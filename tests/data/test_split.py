"""Rows are set aside by position, equal rows together, groups whole, the latest last."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from netwright.base.errors import DataError, RecipeError
from netwright.base.schema import Role
from netwright.data import split
from netwright.data.roles import Roles
from netwright.data.split import Split, Where
from netwright.data.table import Table

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NO_FINDING = ()


def table_of(rows: int, *, seed: int = 0, classes: int = 2) -> Table:
    """Two input columns of text cells that never repeat, and a target of some classes."""
    draws = np.random.default_rng(seed)
    return Table(
        cells=pl.DataFrame(
            {
                "a": [f"{value:.9f}" for value in draws.normal(size=rows)],
                "b": [f"{value:.9f}" for value in draws.normal(size=rows)],
                "y": [f"c{value}" for value in draws.integers(0, classes, rows)],
            }
        ),
        source="made.csv",
    )


def roles_of(table: Table, **named: Role) -> Roles:
    """Every column an input but for the named ones; `y` the target."""
    by_column: dict[str, Role] = dict.fromkeys(table.columns, "input")
    by_column |= {"y": "target", **named}
    return Roles(by_column=by_column)


def divided(table: Table, roles: Roles | None = None, **asked: Any) -> Split:
    """`split.make` with defaults."""
    options: dict[str, Any] = {"test": Where(), "validation": Where(), "seed": 0, "stratify": True, **asked}
    return split.make(table, roles or roles_of(table), **options)


def every_row(found: Split) -> np.ndarray[Any, Any]:
    """All rows of all parts, those of shared halves once."""
    halves = [found.select] if found.shared else [found.select, found.calibrate]
    return np.sort(np.concatenate([found.train, *halves, found.test]))


def part_of(found: Split, rows: int) -> np.ndarray[Any, Any]:
    """(N,) 0 not used, 1 train, 2 validation, 3 test."""
    parts = np.zeros(rows, dtype=np.int64)
    parts[found.train], parts[found.select], parts[found.calibrate], parts[found.test] = 1, 2, 2, 3
    return parts


def contents(table: Table, found: Split) -> list[str]:
    """What stands in the parts that are fitted on."""
    return [table.cells[rows].write_csv() for rows in (found.train, found.select, found.calibrate)]


# ---- sizes


@pytest.mark.parametrize(
    ("rows", "validation"),
    [(1_000, 200), (875, 200), (10_000, 1_200), (30_000, 2_400), (150_000, 6_000)],
)
def test_the_validation_share_shrinks_as_rows_grow(rows: int, validation: int) -> None:
    cells = pl.DataFrame({"a": range(rows), "y": ["c0", "c1"] * (rows // 2) + ["c0"] * (rows % 2)})
    found = divided(Table(cells=cells, source="made.csv"))
    assert abs(len(found.test) - 0.2 * rows) <= 1
    assert len(found.select) + len(found.calibrate) == validation
    assert abs(len(found.select) - len(found.calibrate)) <= 1
    assert not found.shared


def test_halves_of_less_than_a_hundred_rows_are_shared_and_it_is_said() -> None:
    found = divided(table_of(300))
    assert found.shared
    assert "both uses share them" in found.why
    assert found.select.tolist() == found.calibrate.tolist()


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_too_few_rows_are_refused(rows: int) -> None:
    with pytest.raises(DataError, match="too few"):
        divided(table_of(rows))


def test_four_rows_are_enough() -> None:
    found = divided(table_of(4))
    assert min(len(found.train), len(found.select), len(found.test)) >= 1


# ---- by chance


@QUICK
@given(rows=st.integers(4, 400), classes=st.integers(1, 5), seed=st.integers(0, 99), stratify=st.booleans())
def test_parts_are_disjoint_and_hold_every_row(rows: int, classes: int, seed: int, stratify: bool) -> None:
    found = divided(table_of(rows, seed=seed, classes=classes), seed=seed, stratify=stratify)
    assert every_row(found).tolist() == list(range(rows))
    assert all((np.diff(part) > 0).all() for part in (found.train, found.select, found.calibrate, found.test))
    assert min(len(found.train), len(found.select), len(found.test)) >= 1
    assert found.train.dtype == np.int64


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    table = table_of(1_000)
    first, second, other = divided(table), divided(table), divided(table, seed=1)
    assert contents(table, first) == contents(table, second)
    assert set(first.test.tolist()) != set(other.test.tolist())


def test_small_classes_are_kept_in_proportion() -> None:
    classes = ["a"] * 100 + ["b"] * 40 + ["c"] * 10
    table = Table(cells=table_of(150).cells.with_columns(y=pl.Series(classes)), source="made.csv")
    for seed in range(5):
        found = divided(table, seed=seed)
        counts = [table.cells["y"][rows].value_counts().sort("y")["count"].to_list() for rows in
                  (found.test, found.select)]  # fmt: skip
        assert counts == [[20, 8, 2], [16, 6, 2]]


def test_large_classes_keep_their_share_by_chance() -> None:
    table = table_of(20_000)
    found = divided(table)
    overall = float((table.cells["y"] == "c1").to_numpy().mean())
    # 4,000 draws without replacement: standard error 0.0071; four of them.
    share = float((table.cells["y"][found.test] == "c1").to_numpy().mean())
    assert abs(share - overall) < 0.029


def test_a_class_of_one_row_is_trained_on_and_one_of_two_rows_is_also_tested() -> None:
    classes = ["many"] * 60 + ["one"] + ["two", "two"]
    table = Table(cells=table_of(63).cells.with_columns(y=pl.Series(classes)), source="made.csv")
    for seed in range(10):
        parts = part_of(divided(table, seed=seed), 63)
        assert parts[60] == 1
        assert sorted(parts[61:].tolist()) == [1, 3]


def test_every_class_is_trained_on() -> None:
    table = table_of(400, classes=150)
    found = divided(table)
    assert set(table.cells["y"][found.train]) == set(table.cells["y"])
    assert 60 <= len(found.test) <= 121


@QUICK
@given(values=st.lists(st.integers(0, 9), min_size=20, max_size=150), seed=st.integers(0, 9))
def test_equal_rows_stand_in_one_part(values: list[int], seed: int) -> None:
    cells = pl.DataFrame({"a": [str(each) for each in values], "y": [str(each % 3) for each in values]})
    if len(set(values)) < max(4, 0.1 * len(values)):
        return
    table = Table(cells=cells, source="made.csv")
    found = divided(table, seed=seed)
    assert every_row(found).tolist() == list(range(len(values)))
    parts = part_of(found, len(values))
    assert all(len({*parts[np.array(values) == each]}) == 1 for each in set(values))
    assert min(len(found.train), len(found.select), len(found.test)) >= 1
    repeated = len(values) - len(set(values))
    assert [each.count for each in found.findings] == ([repeated] if repeated else [])


def test_rows_are_divided_one_by_one_where_hardly_any_differ_and_it_is_said() -> None:
    draw = np.random.default_rng(0)
    colors = pl.DataFrame({"a": draw.choice(["r", "g", "b"], 100), "y": draw.choice(["0", "1"], 100)})
    for cells in (pl.DataFrame({"a": ["x"] * 100, "y": ["0", "1"] * 50}), colors):
        found = divided(Table(cells=cells, source="made.csv"))
        assert len(found.test) == 20
        assert "one by one" in found.findings[0].done


def test_rows_that_tell_little_are_divided_one_by_one_and_copies_are_not() -> None:
    draw = np.random.default_rng(0)
    known = [f"{value:.6f}" for value in draw.normal(size=300)]
    cells = pl.DataFrame(
        {
            "a": [*known, *known[:50], *[None] * 200],
            "y": [*(["0", "1"] * 150), *(["0", "1"] * 25), *draw.choice(["0", "1", "2"], 200)],
        }
    )
    found = divided(Table(cells=cells, source="made.csv"))
    parts = part_of(found, 550)
    assert (parts[:50] == parts[300:350]).all(), "a copy stands where its original does"
    empty, answers = parts[350:], cells["y"].to_numpy()[350:]
    for answer in ("0", "1", "2"):
        share = (empty[answers == answer] == parts[found.test[0]]).mean()
        assert 0.1 < share < 0.3, "no answer of rows without a number is in one part alone"
    assert "200 whose inputs have several answers" in found.findings[0].done


def test_equal_pictures_stand_in_one_part_whatever_their_names(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    paths = []
    for number in range(30):
        pixels = draws.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        for copy in range(2):
            paths.append(tmp_path / f"{number}-{copy}.png")
            Image.fromarray(pixels).save(paths[-1])
    cells = pl.DataFrame({"image": [str(path) for path in paths], "y": ["a", "a", "b", "b"] * 15})
    found = divided(Table(cells=cells, source="pictures", kinds={"image": "image"}, root=tmp_path))
    parts = part_of(found, 60)
    assert (parts[0::2] == parts[1::2]).all()
    assert found.findings[0].count == 30


def test_pictures_as_pixels_or_encoded_bytes_are_compared_by_value() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (30, 4, 4), dtype=np.uint8)
    y = ["a", "b"] * 30
    as_pixels = pl.DataFrame({"image": pl.Series(np.concatenate([pixels, pixels])), "y": y})
    as_bytes = as_pixels.with_columns(
        image=pl.Series(
            [{"bytes": each.tobytes(), "path": str(n)} for n, each in enumerate([*pixels, *pixels])]
        )
    )
    for cells in (as_pixels, as_bytes):
        parts = part_of(divided(Table(cells=cells, source="pictures")), 60)
        assert (parts[:30] == parts[30:]).all()


@QUICK
@given(seed=st.integers(0, 50), rows=st.integers(30, 300))
def test_a_changed_input_of_a_test_row_changes_no_membership(seed: int, rows: int) -> None:
    table = table_of(rows, seed=seed)
    before = divided(table, seed=seed)
    a = table.cells["a"].to_list()
    for row in before.test.tolist():
        a[row] = f"changed {row}"
    after = divided(Table(cells=table.cells.with_columns(a=pl.Series(a)), source="made.csv"), seed=seed)
    assert [before.train.tolist(), before.select.tolist(), before.calibrate.tolist(), before.test.tolist()] == [
        after.train.tolist(), after.select.tolist(), after.calibrate.tolist(), after.test.tolist()
    ]  # fmt: skip


def test_a_changed_label_of_a_test_row_changes_no_membership_among_large_classes() -> None:
    table = table_of(2_000)
    before = divided(table)
    labels = table.cells["y"].to_list()
    for row in before.test[:20].tolist():
        labels[row] = "c0" if labels[row] == "c1" else "c1"
    after = divided(Table(cells=table.cells.with_columns(y=pl.Series(labels)), source="made.csv"))
    assert (part_of(before, 2_000) == part_of(after, 2_000)).all()


# ---- by time


def days(count: int) -> list[date]:
    """Days in a row, shuffled."""
    order = np.random.default_rng(1).permutation(count)
    return [date(2019, 12, 1) + timedelta(days=int(each)) for each in order]


@pytest.mark.parametrize("form", ["iso", "typed", "number", "german", "zoned"])
def test_the_latest_rows_are_tested_and_those_before_them_validate(form: str) -> None:
    typed = days(1_000)
    cells: dict[str, list[Any]] = {
        "iso": [str(each) for each in typed],
        "typed": [*typed],
        "number": [str(each.toordinal()) for each in typed],
        "german": [f"{each:%d.%m.%Y}" for each in typed],
        "zoned": [f"{each}T12:00:00+02:00" for each in typed],
    }
    table = Table(cells=table_of(1_000).cells.with_columns(t=pl.Series(cells[form])), source="made.csv")
    found = divided(table, roles_of(table, t="time"), rule="time")
    when = np.array([each.toordinal() for each in typed])
    assert len(found.test) == 200
    assert when[found.train].max() < when[found.select].min()
    assert when[found.select].max() < when[found.calibrate].min()
    assert when[found.calibrate].max() < when[found.test].min()
    assert len(found.select) == len(found.calibrate) == 100


def test_rows_of_one_moment_stay_together() -> None:
    moments = np.repeat(np.arange(60), 7).astype(str)
    table = Table(cells=table_of(420).cells.with_columns(t=pl.Series(moments)), source="made.csv")
    found = divided(table, roles_of(table, t="time"), rule="time")
    parts = part_of(found, 420)
    assert all(len({*parts[moments == each]}) == 1 for each in {*moments})
    assert abs(len(found.test) - 84) <= 4


def test_rows_without_a_time_are_left_out_and_counted() -> None:
    moments: list[str | None] = [str(each) for each in range(100)]
    moments[3] = None
    table = Table(cells=table_of(100).cells.with_columns(t=pl.Series(moments)), source="made.csv")
    found = divided(table, roles_of(table, t="time"), rule="time")
    assert [(each.name, each.count) for each in found.findings] == [("no time", 1)]
    assert 3 not in every_row(found)


def test_a_time_that_cannot_be_read_or_never_changes_is_refused() -> None:
    words = Table(cells=table_of(50).cells.with_columns(t=pl.Series(["soon"] * 50)), source="made.csv")
    with pytest.raises(DataError, match="are no time"):
        divided(words, roles_of(words, t="time"), rule="time")
    same = Table(cells=words.cells.with_columns(t=pl.Series(["2020-01-01"] * 50)), source="made.csv")
    with pytest.raises(DataError, match="one moment"):
        divided(same, roles_of(same, t="time"), rule="time")
    with pytest.raises(RecipeError, match="needs a column"):
        divided(same, rule="time")


# ---- by group


@QUICK
@given(
    groups=st.lists(st.integers(0, 14), min_size=20, max_size=300),
    seed=st.integers(0, 9),
    stratify=st.booleans(),
)
def test_groups_stay_whole(groups: list[int], seed: int, stratify: bool) -> None:
    rows = len(groups)
    names = np.array([f"g{each}" for each in groups])
    table = Table(cells=table_of(rows, seed=seed).cells.with_columns(g=pl.Series(names)), source="made.csv")
    roles = roles_of(table, g="group")
    if len(set(groups)) < 3:
        with pytest.raises(DataError, match="groups"):
            divided(table, roles, rule="group", seed=seed)
        return
    found = divided(table, roles, rule="group", seed=seed, stratify=stratify)
    parts = part_of(found, rows)
    assert all(len({*parts[names == each]}) == 1 for each in {*names})
    assert every_row(found).tolist() == list(range(rows))
    assert min(len(found.train), len(found.select), len(found.test)) >= 1


def test_groups_of_like_size_give_about_the_shares() -> None:
    names = pl.Series([f"g{each % 100}" for each in range(2_000)])
    table = Table(cells=table_of(2_000).cells.with_columns(g=names), source="made.csv")
    found = divided(table, roles_of(table, g="group"), rule="group")
    assert len(found.test) == 400
    assert abs(len(found.select) + len(found.calibrate) - 320) <= 20
    assert not found.shared


def test_findings_are_empty_for_a_clean_table() -> None:
    assert divided(table_of(500)).findings == NO_FINDING
