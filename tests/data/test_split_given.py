"""Rows that the user or the source names: WHERE in all its forms, files, split columns."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import polars as pl
import pytest

from netwright.base.errors import DataError, RecipeError
from netwright.base.schema import Role
from netwright.data import split
from netwright.data.roles import Roles
from netwright.data.split import Split, Where, parse_where
from netwright.data.table import Table


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


def contents(table: Table, found: Split) -> list[str]:
    """What stands in the parts that are fitted on."""
    return [table.cells[rows].write_csv() for rows in (found.train, found.select, found.calibrate)]


# ---- WHERE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, Where()),
        (0.25, Where(kind="share", share=0.25, text="0.25")),
        ("0.2", Where(kind="share", share=0.2, text="0.2")),
        ("none", Where(kind="none", text="none")),
        ("last:0.1", Where(kind="last", share=0.1, text="last:0.1")),
        ("rows:1-100", Where(kind="rows", start=0, stop=100, text="rows:1-100")),
        ("year=2012", Where(kind="value", column="year", value="2012", text="year=2012")),
        ("data/test.csv", Where(kind="path", text="data/test.csv")),
    ],
)
def test_every_form_of_where_is_understood(text: str | float | None, expected: Where) -> None:
    assert parse_where(text) == expected


@pytest.mark.parametrize("text", ["1.5", "0", "-0.1", "last:2", "last:x", "rows:0-5", "rows:9-3", "rows:x", ""])
def test_a_where_that_names_nothing_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_where(text)
    assert caught.value.hint


def test_rows_count_from_one_and_the_last_is_one_of_them() -> None:
    found = divided(table_of(100), test=parse_where("rows:11-20"))
    assert found.test.tolist() == list(range(10, 20))
    assert found.rule == "given"


def test_rows_beyond_the_table_are_refused() -> None:
    with pytest.raises(DataError, match="which has 100 rows"):
        divided(table_of(100), test=parse_where("rows:90-101"))


def test_a_share_of_last_rows_is_taken_from_the_end() -> None:
    assert divided(table_of(100), test=parse_where("last:0.2")).test.tolist() == list(range(80, 100))


@pytest.mark.parametrize("test", ["last:0.2", "rows:801-1000"])
def test_where_the_last_rows_are_tested_the_last_of_the_others_validate(test: str) -> None:
    found = divided(table_of(1000), test=parse_where(test))
    assert found.select.tolist() == list(range(600, 700))
    assert found.calibrate.tolist() == list(range(700, 800))
    assert found.train.tolist() == list(range(600))
    assert "at the end" in found.why


def test_rows_in_order_of_their_classes_are_validated_at_random() -> None:
    table = table_of(1000)
    ordered = Table(cells=table.cells.with_columns(table.cells["y"].sort()), source="made.csv")
    for test in ("rows:801-1000", "last:0.2"):
        found = divided(ordered, test=parse_where(test))
        assert len(np.unique(ordered.cells["y"].to_numpy()[found.select])) == 2
        assert "at random" in found.why
    middle = divided(table, test=parse_where("rows:101-200"))
    assert "at random" in middle.why


def test_rows_equal_to_those_at_the_end_validate_with_them() -> None:
    table = table_of(1000)
    cells = pl.concat([table.cells[770:780], table.cells[10:]])
    found = divided(Table(cells=cells, source="made.csv"), test=parse_where("last:0.2"))
    held = np.union1d(found.select, found.calibrate)
    assert set(held) == {*range(10), *range(600, 800)}


def test_rows_are_found_by_value_and_numbers_compare_by_value() -> None:
    table = table_of(100)
    year = ["2012.0"] * 10 + ["2011"] * 90
    table = Table(cells=table.cells.with_columns(year=pl.Series(year)), source="made.csv")
    assert divided(table, test=parse_where("year=2012")).test.tolist() == list(range(10))
    with pytest.raises(DataError, match="no cell of column 'year'"):
        divided(table, test=parse_where("year=2020"))
    with pytest.raises(DataError, match="no column called 'yaer'") as caught:
        divided(table, test=parse_where("yaer=2011"))
    assert "did you mean 'year'" in caught.value.hint


def test_test_and_validation_rows_cannot_be_the_same() -> None:
    with pytest.raises(DataError, match="test rows for validation"):
        divided(table_of(100), test=parse_where("rows:1-20"), validation=parse_where("rows:15-30"))


def test_none_leaves_a_part_empty() -> None:
    found = divided(table_of(100), test=parse_where("none"), validation=parse_where("none"))
    assert len(found.train) == 100
    assert not len(found.test) + len(found.select) + len(found.calibrate)


def test_an_unread_path_is_refused() -> None:
    with pytest.raises(RecipeError, match="no such file"):
        divided(table_of(100), test=parse_where("nowhere.csv"))


# ---- given parts


def test_parts_that_the_source_names_are_kept() -> None:
    given_rows = {"train": np.arange(600), "validation": np.arange(600, 850), "test": np.arange(850, 1_000)}
    table = Table(cells=table_of(1_000).cells, source="folder", given=given_rows)
    found = divided(table)
    assert found.train.tolist() == list(range(600))
    assert sorted([*found.select, *found.calibrate]) == list(range(600, 850))
    assert found.test.tolist() == list(range(850, 1_000))
    assert found.rule == "given"


@pytest.mark.parametrize("words", [("train", "val", "test"), ("Train", "dev", "TEST"), ("0", "1", "2")])
def test_a_split_column_names_the_parts(words: tuple[str, str, str]) -> None:
    train, validation, test = words
    cells = [train] * 60 + [validation] * 20 + [test] * 20
    table = Table(cells=table_of(100).cells.with_columns(split=pl.Series(cells)), source="made.csv")
    found = divided(table, roles_of(table, split="split"))
    assert (len(found.train), len(found.select), len(found.test)) == (60, 20, 20)


def test_rows_of_no_part_are_left_out_and_counted() -> None:
    cells = ["train"] * 60 + ["extra"] * 20 + ["test"] * 20
    table = Table(cells=table_of(100).cells.with_columns(split=pl.Series(cells)), source="made.csv")
    found = divided(table, roles_of(table, split="split"))
    assert [(each.name, each.count) for each in found.findings] == [("no part", 20)]
    assert not set(range(60, 80)) & set(every_row(found).tolist())


def test_a_named_share_overrides_the_parts_of_the_source() -> None:
    table = Table(cells=table_of(100).cells, source="folder", given={"test": np.arange(50)})
    found = divided(table, test=parse_where("0.1"))
    assert len(found.test) == 10
    assert every_row(found).tolist() == list(range(100))


def test_test_rows_that_stand_in_training_are_counted_named_and_kept() -> None:
    cells = table_of(100).cells
    cells = pl.concat([cells, cells[[3, 5]], table_of(20, seed=7).cells])
    cells = cells.with_columns(y=pl.when(pl.int_range(pl.len()) >= 100).then(pl.col("y") + ".").otherwise("y"))
    found = divided(
        Table(cells=cells, source="made.csv"), test=Where(kind="rows_given", rows=np.arange(100, 122))
    )
    assert found.test.tolist() == list(range(100, 122))
    assert found.test_seen.tolist() == [100, 101]
    assert [(each.name, each.count) for each in found.findings] == [("test rows seen", 2)]


def test_rows_without_a_target_are_in_no_part_and_counted() -> None:
    table = table_of(100)
    labels = table.cells["y"].to_list()
    labels[7] = labels[9] = None
    found = divided(Table(cells=table.cells.with_columns(y=pl.Series(labels)), source="made.csv"))
    assert [(each.name, each.count) for each in found.findings] == [("no target", 2)]
    assert set(range(100)) - set(every_row(found).tolist()) == {7, 9}


Way = Literal["file", "column"]


def with_tests(own: Table, tests: pl.DataFrame, way: Way) -> tuple[Table, Roles, Where]:
    """Test rows after the table's own, or between them with a column that says so."""
    own_cells = own.cells
    if way == "file":
        cells = pl.concat([own_cells, tests])
        rows = np.arange(own.height, cells.height)
        table = Table(cells=cells, source="made.csv")
        return table, roles_of(table, t="time", g="group"), Where(kind="rows_given", rows=rows)
    marked = [own_cells.with_columns(split=pl.lit("train")), tests.with_columns(split=pl.lit("test"))]
    cells = pl.concat(
        [marked[0][:17], marked[1][: tests.height // 2], marked[0][17:], marked[1][tests.height // 2 :]]
    )
    table = Table(cells=cells, source="made.csv")
    return table, roles_of(table, t="time", g="group", split="split"), Where()


@pytest.mark.parametrize("way", ["file", "column"])
@pytest.mark.parametrize("rule", ["random", "time", "group"])
def test_test_rows_that_are_given_decide_nothing_about_the_others(way: Way, rule: str) -> None:
    rows = 900
    extra = pl.DataFrame(
        {
            "t": [str(each * 37 % rows) for each in range(rows)],
            "g": [f"g{each * 7 % 60}" for each in range(rows)],
        }
    )
    own = table_of(rows, classes=12)
    own_cells = pl.concat([own.cells, extra], how="horizontal")
    own_cells = own_cells.with_columns(y=pl.when(pl.int_range(rows) == 5).then(None).otherwise("y"))
    tests = pl.concat([table_of(200, seed=5, classes=3).cells, extra[:200]], how="horizontal")
    strange = tests.with_columns(a=pl.lit("999"), y=pl.lit("unheard"), t=pl.lit("20000"), g=pl.lit("g1"))
    versions = [tests, strange, tests[:50], pl.concat([tests, strange]), own_cells[10:200], tests[::-1]]
    found = []
    for version in versions:
        table, roles, where = with_tests(Table(cells=own_cells, source="made.csv"), version, way)
        parts = divided(table, roles, test=where, rule=rule)
        own_columns = Table(cells=table.cells.select(own_cells.columns), source="made.csv")
        found.append(contents(own_columns, parts))
    assert all(each == found[0] for each in found)
