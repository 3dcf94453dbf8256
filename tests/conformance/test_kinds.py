"""What every kind promises: fitted on training cells, one row as many, exact after a round trip."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from netwright.base.schema import Column
from netwright.data.kinds import KINDS

BUILT = [name for name in KINDS if not KINDS[name].coming]
TRAIN: dict[str, Any] = {
    "number": ["1", "2.5", None, "4", "1e3", "-7"] * 5,
    "category": ["red", "blue", None, "red", "red", "blue"] * 5,
    "date": ["2024-01-31", "2024-02-01", None, "2023-12-31", "2022-06-15", "2024-03-01"] * 5,
    "image": pl.Series(np.random.default_rng(0).integers(0, 255, (30, 8, 8)).astype(np.uint8)),
}
NEW: dict[str, Any] = {
    "number": ["3", None, "nonsense", "1e300"],
    "category": ["green", None, "red", ""],
    "date": ["2030-01-01", None, "nonsense", "2024-02-29"],
    "image": pl.Series(np.zeros((4, 8, 8), dtype=np.uint8)),
}


def fitted(name: str) -> Any:
    block = pl.DataFrame({"x": TRAIN[name]})
    return KINDS[name].fit(block, [Column(name="x", kind=name, role="input", why="")])


@pytest.mark.parametrize("name", BUILT)
def test_cells_become_finite_tensors_of_the_field(name: str) -> None:
    kind = fitted(name)
    for cells in (TRAIN[name], NEW[name]):
        values = kind.encode(pl.DataFrame({"x": cells})).values
        assert values.shape[1:] == tuple(kind.field().shape)
        assert torch.isfinite(values.float()).all()


@pytest.mark.parametrize("name", BUILT)
def test_one_row_is_encoded_as_many_are(name: str) -> None:
    kind, block = fitted(name), pl.DataFrame({"x": NEW[name]})
    whole = kind.encode(block).values
    for row in range(block.height):
        assert torch.equal(kind.encode(block[row : row + 1]).values[0], whole[row])


@pytest.mark.parametrize("name", BUILT)
def test_a_restored_kind_encodes_the_same_bits(name: str) -> None:
    kind = fitted(name)
    again = KINDS[name].restore(*kind.state())
    block = pl.DataFrame({"x": NEW[name]})
    assert torch.equal(kind.encode(block).values, again.encode(block).values)
    assert kind.field() == again.field()
    assert kind.notes(block) == again.notes(block)


def test_an_unseen_category_is_said() -> None:
    assert "unseen category 'green' in x" in fitted("category").notes(pl.DataFrame({"x": NEW["category"]}))[0]


def test_a_number_outside_the_training_range_is_said() -> None:
    assert "outside the training range" in fitted("number").notes(pl.DataFrame({"x": ["9999"]}))[0]


def test_rare_values_are_not_stored() -> None:
    block = pl.DataFrame({"x": ["often"] * 5 + ["secret"] * 2})
    kind = KINDS["category"].fit(block, [Column(name="x", kind="category", role="input", why="")])
    assert "secret" not in repr(kind.state())


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1,234.5", "2,000", "17"] * 10, "number"),
        (["12 %", "7 %", "3%"] * 10, "number"),
        (["007", "012", "099"] * 10, "category"),
        (["red", "green", "blue"] * 10, "category"),
        (["2024-01-31", "2023-06-01"] * 10, "date"),
        (["31.12.2023", "01.02.2024"] * 10, "date"),
        ([f"pictures/{i}.jpg" for i in range(30)], "image"),
        ([f"clips/{i}.wav" for i in range(30)], "audio"),
        ([f"a rather long sentence about thing number {i}" for i in range(60)], "text"),
    ],
)
def test_kinds_are_recognised(cells: list[str], kind: str) -> None:
    from netwright.data.kinds import GUESSED

    sample = pl.Series("x", cells)
    found = next(choice for name in GUESSED if (choice := KINDS[name].recognise(sample)))
    assert found.value == kind
    assert found.why


def test_typed_dates_are_dates() -> None:
    sample = pl.Series("x", [dt.datetime(2024, 1, day) for day in range(1, 20)])
    assert KINDS["date"].recognise(sample) is not None
