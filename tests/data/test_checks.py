"""What the checks find in planted tables, and that clean tables give no alarm."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from netwright.base.schema import Column, Finding, Role
from netwright.data import hashes, split
from netwright.data.checks import check
from netwright.data.checks import duplicates as near
from netwright.data.roles import Roles
from netwright.data.split import Where
from netwright.data.table import Table

ROWS = 600


def draws(seed: int = 0) -> np.random.Generator:
    """A generator."""
    return np.random.default_rng(seed)


def texts(values: Any) -> list[str]:
    """Cells as a CSV file has them."""
    return [str(value) for value in np.asarray(values).tolist()]


def clean(rows: int = ROWS, seed: int = 0) -> dict[str, Any]:
    """Columns that have nothing to do with each other."""
    random = draws(seed)
    return {
        "n1": texts(random.normal(size=rows).round(6)),
        "n2": texts(random.exponential(size=rows).round(6)),
        "n3": texts(random.integers(0, 100, rows)),
        "c1": texts(random.choice(["red", "green", "blue"], rows)),
        "c2": texts(random.integers(0, 40, rows)),
    }


def findings_of(cells: dict[str, Any], task: str, *, test: Where | None = None, **more: Any) -> list[Finding]:
    """What `check` says of columns whose names begin with their kind; `y…` are targets."""
    kinds = {"n": "number", "c": "category", "d": "date", "t": "text", "i": "image", "y": "category"}
    given: dict[str, Role] = more.pop("roles", {})
    roles: dict[str, Role] = {name: "target" if name[0] == "y" else "input" for name in cells} | given
    table = Table(cells=pl.DataFrame(cells), source="made.csv", **more)
    columns = [Column(name=name, kind=kinds[name[0]], role=roles[name], why="") for name in cells]
    seen: dict[str, Role] = {name: "input" if role == "ignore" else role for name, role in roles.items()}
    parts = split.make(
        table,
        Roles(by_column=seen),
        test=test or Where(),
        validation=Where(),
        seed=0,
        stratify=task == "classify",
    )
    return check(table, columns, parts, task)


def names_of(found: list[Finding]) -> list[str]:
    """Names of the findings."""
    return [each.name for each in found]


def last(count: int, rows: int) -> Where:
    """The last rows as given test rows."""
    return Where(kind="rows_given", rows=np.arange(rows - count, rows))


# ---- no false alarms


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("task", ["regress", "classify", "tag"])
def test_clean_random_tables_give_no_finding(task: str, seed: int) -> None:
    random = draws(100 + seed)
    y = random.normal(size=ROWS).round(6) if task == "regress" else random.integers(0, 2, ROWS)
    assert findings_of({**clean(seed=seed), "y": texts(y)}, task) == []


def test_an_honest_strong_column_is_no_giveaway() -> None:
    random = draws(1)
    x = random.normal(size=ROWS)
    y = x + random.normal(size=ROWS) * 0.3
    assert findings_of({**clean(), "n": texts(x), "y": texts(y)}, "regress") == []
    assert findings_of({**clean(), "n": texts(x), "y": texts(y > 0)}, "classify") == []


def test_a_table_without_targets_is_checked_as_far_as_it_goes() -> None:
    assert findings_of(clean(), "generate") == []


# ---- giveaways


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (np.exp, "rank correlation"),
        (lambda y: -3 * y + 1, "rank correlation"),
        (lambda y: (y * 1e6).astype(np.int64), "rank correlation"),
    ],
)
def test_a_column_that_ranks_as_the_target_is_named(made: Any, words: str) -> None:
    y = draws(2).normal(size=ROWS)
    found = findings_of({**clean(), "n": texts(made(y)), "y": texts(y)}, "regress")
    assert [(each.name, each.where) for each in found] == [("giveaway", "n")]
    assert words in found[0].what
    assert "--drop n" in found[0].done


def test_a_column_through_which_a_curve_meets_the_target_is_named() -> None:
    x = draws(3).uniform(-3, 3, 3_000)
    found = findings_of({**clean(3_000), "n": texts(x), "y": texts(x**2)}, "regress")
    assert [(each.name, each.where) for each in found] == [("giveaway", "n")]
    assert "a curve through it explains" in found[0].what


def test_a_category_whose_means_are_the_target_is_named() -> None:
    codes = draws(4).integers(0, 30, ROWS)
    y = np.sin(codes) + draws(5).normal(size=ROWS) * 1e-3
    found = findings_of({**clean(), "c": [f"w{each}" for each in codes], "y": texts(y)}, "regress")
    assert [(each.name, each.where) for each in found] == [("giveaway", "c")]


def test_a_number_that_separates_two_classes_is_named() -> None:
    y = draws(6).integers(0, 2, ROWS)
    x = y * 10 + draws(7).normal(size=ROWS)
    found = findings_of({**clean(), "n": texts(x), "y": texts(y)}, "classify")
    assert [(each.name, each.where) for each in found] == [("giveaway", "n")]
    assert "area under the curve" in found[0].what


def test_a_number_that_separates_many_classes_is_named() -> None:
    y = draws(6).integers(0, 6, ROWS)
    x = (y * 7 % 6) * 10 + draws(7).uniform(size=ROWS)
    found = findings_of({**clean(), "n": texts(x), "y": texts(y)}, "classify")
    assert [(each.name, each.where) for each in found] == [("giveaway", "n")]


def test_a_category_that_tells_the_class_is_named_and_an_id_is_not() -> None:
    y = draws(8).integers(0, 3, ROWS)
    code = [f"w{each}" for each in y * 10 + draws(9).integers(0, 10, ROWS)]
    number = [f"id{each}" for each in range(ROWS)]
    found = findings_of({**clean(), "c": code, "c_id": number, "y": texts(y)}, "classify")
    assert [(each.name, each.where) for each in found] == [("giveaway", "c")]


def test_a_column_whose_gaps_tell_the_class_is_named() -> None:
    y = draws(10).integers(0, 2, ROWS)
    x = [value if keep else None for value, keep in zip(texts(draws(11).normal(size=ROWS)), y, strict=True)]
    found = findings_of({**clean(), "n": x, "y": texts(y)}, "classify")
    assert [(each.name, each.where) for each in found if each.severity == "warning"] == [("giveaway", "n")]
    assert "gaps" in found[0].what


@pytest.mark.parametrize(
    ("made", "formula"),
    [
        (lambda a, b: a + b, "n_casual + n_registered"),
        (lambda a, b: a - b, "n_casual - n_registered"),
        (lambda a, b: b - a, "n_registered - n_casual"),
        (lambda a, b: a * b, "n_casual × n_registered"),
    ],
)
def test_two_columns_that_make_up_the_target_are_named(made: Any, formula: str) -> None:
    random = draws(12)
    a, b = random.integers(0, 300, 3_000), random.integers(0, 800, 3_000)
    y = made(a, b)
    y[7] += 1  # one row in 3,000 may be wrong
    cells = {**clean(3_000), "n_casual": texts(a), "n_registered": texts(b), "y": texts(y)}
    found = findings_of(cells, "regress")
    assert [(each.name, each.where) for each in found] == [("giveaway", formula)]
    assert tuple(sorted(found[0].columns)) == ("n_casual", "n_registered")


def test_decimals_that_add_up_but_for_rounding_are_named() -> None:
    random = draws(13)
    a, b = random.uniform(0, 9, ROWS).round(2), random.uniform(0, 9, ROWS).round(2)
    found = findings_of({**clean(), "n_a": texts(a), "n_b": texts(b), "y": texts((a + b).round(2))}, "regress")
    assert [each.where for each in found] == ["n_a + n_b"]


# ---- labels


def test_a_class_that_is_nearly_all_rows_is_said() -> None:
    found = findings_of({**clean(), "y": ["yes"] * 90 + ["no"] * 510}, "classify")
    assert names_of(found) == ["imbalance", "order"]
    assert "'no'" in found[0].what


def test_a_class_with_hardly_any_row_is_said() -> None:
    y = texts(draws(14).integers(0, 2, ROWS))
    y[:4] = ["rare"] * 4
    found = findings_of({**clean(), "y": y}, "classify")
    assert sorted(names_of(found)) == ["few rows of a class", "imbalance"]
    assert all("rare" in each.what for each in found)


def test_many_classes_of_like_size_are_no_imbalance() -> None:
    y = texts(draws(15).integers(0, 120, 6_000))
    assert findings_of({**clean(6_000), "y": y}, "classify") == []


def test_labels_that_differ_only_in_case_spaces_or_a_full_stop_are_said() -> None:
    y = draws(16).choice(["<=50K", ">50K", "<=50k", " >50K", ">50K."], ROWS)
    found = findings_of({**clean(), "y": texts(y)}, "classify")
    assert [(each.name, each.count) for each in found] == [("label spelling", 3)]
    assert "merged" in found[0].done


def test_labels_that_no_training_row_has_are_counted() -> None:
    y = texts(draws(17).integers(0, 2, ROWS))
    y[-3:] = ["new", "new", "0."]
    found = findings_of({**clean(), "y": y}, "classify", test=last(100, ROWS))
    assert [(each.name, each.count) for each in found if each.name == "unseen labels"] == [("unseen labels", 2)]


@pytest.mark.parametrize("task", ["regress", "classify"])
def test_rows_in_the_order_of_the_target_are_said(task: str) -> None:
    values = draws(18).normal(size=ROWS) if task == "regress" else draws(18).integers(0, 3, ROWS)
    cells = {**clean(), "y": texts(np.sort(values))}
    assert [(each.name, each.severity) for each in findings_of(cells, task)] == [("order", "note")]
    cut = [each for each in findings_of(cells, task, test=last(100, ROWS)) if each.name == "order"]
    assert [each.severity for each in cut] == ["warning"]


def test_a_folder_read_class_by_class_is_no_order() -> None:
    cells = {**clean(), "y": ["a"] * 300 + ["b"] * 300}
    table_roles: dict[str, Role] = {"y": "target"}
    assert findings_of(cells, "classify", roles={}) != []
    table = Table(cells=pl.DataFrame(cells), source="folder", roles=table_roles)
    columns = [Column(name=n, kind="number", role="target" if n == "y" else "input", why="") for n in cells]
    by_column: dict[str, Role] = {column.name: column.role for column in columns}
    parts = split.make(
        table, Roles(by_column=by_column), test=Where(), validation=Where(), seed=0, stratify=True
    )
    assert "order" not in names_of(check(table, columns, parts, "classify"))


# ---- columns


def test_a_time_column_asks_for_a_split_by_time_only_where_rows_were_drawn_at_random() -> None:
    dates = texts(np.datetime64("2020-01-01") + np.arange(ROWS) // 3)
    cells = {**clean(), "d_day": dates, "y": texts(draws(19).normal(size=ROWS))}
    found = findings_of(cells, "regress")
    assert [(each.name, each.where) for each in found] == [("time", "d_day")]
    assert "--split time --time d_day" in found[0].done
    assert findings_of(cells, "regress", test=last(100, ROWS)) == []


def test_columns_that_are_mostly_gaps_are_said() -> None:
    x = [value if place % 4 == 0 else None for place, value in enumerate(clean()["n1"])]
    found = findings_of({**clean(), "n": x, "y": texts(draws(20).normal(size=ROWS))}, "regress")
    assert [(each.name, each.where) for each in found] == [("mostly missing", "n")]


def test_many_findings_of_one_check_are_one() -> None:
    y = draws(21).normal(size=ROWS)
    more = {f"n_{each}": texts(y * (each + 2)) for each in range(6)}
    found = findings_of({**clean(), **more, "y": texts(y)}, "regress")
    assert [(each.name, each.count) for each in found] == [("giveaway", 6)]
    assert set(found[0].columns) == set(more)


def test_very_few_rows_are_said() -> None:
    assert names_of(findings_of({**clean(30), "y": texts(draws(22).normal(size=30))}, "regress")) == [
        "little data"
    ]


# ---- duplicates


def test_rows_that_only_an_ignored_column_tells_apart_are_counted_across_parts() -> None:
    base = clean(300)
    cells = {name: values * 2 for name, values in base.items()}
    cells |= {"c_id": texts(np.arange(ROWS)), "y": texts(draws(23).normal(size=300)) * 2}
    found = findings_of(cells, "regress", roles={"c_id": "ignore"})
    assert names_of(found) == ["equal rows across parts"]
    assert found[0].count > 50
    assert "--drop c_id" in found[0].done
    assert findings_of({name: each for name, each in cells.items() if name != "c_id"}, "regress") == []


def picture(seed: int, size: int = 96) -> Image.Image:
    """A soft random picture, as photos are."""
    small = draws(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)


def pictures_in(folder: Path, *, copies: int, size: int = 96) -> dict[str, Any]:
    """80 pictures, then copies of the first of them: saved anew, resized or brightened."""
    paths = [folder / f"{each}.png" for each in range(80)]
    for each, path in enumerate(paths):
        picture(each, size).save(path)
    for each in range(copies):
        changed = picture(each, size)
        if each % 3 == 1:
            changed = changed.resize((size - 16, size - 16))
        if each % 3 == 2:
            changed = Image.eval(changed, lambda value: min(255, int(value * 1.05)))
        paths.append(folder / f"copy{each}.jpg")
        changed.save(paths[-1], quality=70)
    return {"i": [str(path) for path in paths], "y": texts(draws(24).integers(0, 2, len(paths)))}


def test_pictures_that_look_the_same_are_found_across_parts(tmp_path: Path) -> None:
    cells = pictures_in(tmp_path, copies=30)
    found = findings_of(cells, "classify", test=last(30, 110), root=tmp_path, kinds={"i": "image"})
    assert [(each.name, each.count) for each in found if each.name != "little data"] == [
        ("near duplicates", 30)
    ]


@pytest.mark.parametrize("form", ["pixels", "bytes"])
def test_pictures_held_in_the_table_are_compared_too(form: str) -> None:
    pixels = [np.asarray(picture(each)) for each in range(80)]
    pixels += [np.asarray(picture(each).rotate(0).resize((90, 90)).resize((96, 96))) for each in range(20)]
    cells = pl.Series(np.stack(pixels)) if form == "pixels" else [{"bytes": _encoded(each)} for each in pixels]
    y = texts(draws(24).integers(0, 2, 100))
    found = findings_of({"i": cells, "y": y}, "classify", test=last(20, 100), kinds={"i": "image"})
    assert [(each.name, each.count) for each in found if each.name != "little data"] == [
        ("near duplicates", 20)
    ]


def test_different_pictures_and_small_ones_are_no_near_duplicates(tmp_path: Path) -> None:
    cells = pictures_in(tmp_path, copies=0)
    assert findings_of(cells, "classify", root=tmp_path, kinds={"i": "image"}) == []
    (tmp_path / "small").mkdir()
    small = pictures_in(tmp_path / "small", copies=30, size=48)
    found = findings_of(small, "classify", test=last(30, 110), root=tmp_path, kinds={"i": "image"})
    assert "near duplicates" not in names_of(found)


def test_pictures_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    cells = pictures_in(tmp_path, copies=0)
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "1.png").write_bytes((tmp_path / "2.png").read_bytes()[:60])
    (tmp_path / "3.png").unlink()
    cells["i"][4] = "/dev/zero"
    cells["i"][5] = None
    assert findings_of(cells, "classify", root=tmp_path, kinds={"i": "image"}) == []


def sentences(count: int, seed: int = 0) -> list[str]:
    """Texts of 20 words out of 500."""
    return [
        " ".join(f"word{each}" for each in draws(seed + place).integers(0, 500, 20)) for place in range(count)
    ]


def test_texts_that_share_most_of_their_words_are_found_across_parts() -> None:
    own = sentences(300)
    copies = [text.upper().replace("WORD", "word", 1) + " end." for text in own[:40]]
    short = ["too short to tell"] * 20
    cells = {"t": [*own, *copies, *short], "n": texts(draws(25).normal(size=360)), "y": ["0", "1"] * 180}
    found = findings_of(cells, "classify", test=last(60, 360))
    assert [(each.name, each.count) for each in found] == [("near duplicates", 40)]
    assert findings_of({"t": own, "y": ["0", "1"] * 150}, "classify") == []


def test_signatures_estimate_how_alike_texts_are() -> None:
    words = [f"w{each}" for each in range(200)]
    signatures, enough = hashes.text_signatures(
        pl.Series([" ".join(words[:100]), " ".join(words[20:120]), " ".join(words[:7]), None]), hashes=256
    )
    assert enough.tolist() == [True, True, False, False]
    # 78 of 118 shingles are shared; the standard error of 256 hashes is 0.03: four of them.
    assert abs((signatures[0] == signatures[1]).mean() - 78 / 118) < 0.12


def test_flat_pictures_are_like_nothing() -> None:
    flat = np.full((64, 64), 200, dtype=np.uint8)
    table = Table(cells=pl.DataFrame({"i": [None]}), source="made")
    bits, thumbs, good = hashes.looks(pl.Series([_encoded(flat), _encoded(flat[:30])]), table)
    assert good.tolist() == [True, False]
    assert bits[0] == 0
    assert thumbs[0].std() < near.FLAT


def _encoded(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()
