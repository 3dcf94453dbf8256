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
from netwright.data.packed import Packed

BUILT = [name for name in KINDS if name not in ("channels", "known", "item")]  # tests of their own
TRAIN: dict[str, Any] = {
    "number": ["1", "2.5", None, "4", "1e3", "-7"] * 5,
    "category": ["red", "blue", None, "red", "red", "blue"] * 5,
    "date": ["2024-01-31", "2024-02-01", None, "2023-12-31", "2022-06-15", "2024-03-01"] * 5,
    "text": ["a red fox", "the blue sea and the red sun", None, "Straße 東京 🦊", "fox sea sun", ""] * 5,
    "series": ["1 2 3 4 5 6 7 8", "2;4;6;8;10;12;14;16;18", None, "0,0,0,0,0,0,0,1", "9 8 7 6 5 4 3 2", "1 1 1"]
    * 5,
    "audio": pl.Series(
        [np.random.default_rng(row).normal(size=40 * (3 + row % 4)).tolist() for row in range(30)]
    ),
    "image": pl.Series(np.random.default_rng(0).integers(0, 255, (30, 8, 8)).astype(np.uint8)),
}
NEW: dict[str, Any] = {
    "number": ["3", None, "nonsense", "1e300"],
    "category": ["green", None, "red", ""],
    "date": ["2030-01-01", None, "nonsense", "2024-02-29"],
    "text": ["an unseen word \x00 <pad>", None, "fox " * 400, ""],
    "series": ["1 2 3", None, "nonsense", "1e300 2 3 4 5 6 7 8"],
    "audio": pl.Series([[0.5] * 40, [1.0] * 80, [0.0] * 4000, [2.0] * 40]),
    "image": pl.Series(np.zeros((4, 8, 8), dtype=np.uint8)),
}


SETTINGS: dict[str, Any] = {"audio": {"rate": 8_000, "mels": 40, "longest": 50, "gain": 1.0}}


def fitted(name: str) -> Any:
    block = pl.DataFrame({"x": TRAIN[name]})
    column = Column(name="x", kind=name, role="input", why="", settings=SETTINGS.get(name, {}))
    return KINDS[name].fit(block, [column])


def steps(packed: Packed, row: int) -> torch.Tensor:
    """One example without its padding."""
    return (
        packed.take(torch.tensor([row]))[0][: int(packed.lengths()[row])]
        if packed.spans is not None
        else packed.values[row]
    )


@pytest.mark.parametrize("name", BUILT)
def test_cells_become_finite_tensors_of_the_field(name: str) -> None:
    kind = fitted(name)
    for cells in (TRAIN[name], NEW[name]):
        packed = kind.encode(pl.DataFrame({"x": cells}))
        shape = tuple(kind.field().shape)
        assert packed.values.shape[1:] == (shape if packed.spans is None else shape[1:])
        assert torch.isfinite(packed.values.float()).all()
        assert len(packed) == len(cells)
        if packed.spans is not None:
            assert int(packed.lengths().min()) >= 1 and int(packed.lengths().max()) <= shape[0]


@pytest.mark.parametrize("name", BUILT)
def test_one_row_is_encoded_as_many_are(name: str) -> None:
    kind, block = fitted(name), pl.DataFrame({"x": NEW[name]})
    whole = kind.encode(block)
    for row in range(block.height):
        assert torch.equal(steps(kind.encode(block[row : row + 1]), 0), steps(whole, row))


@pytest.mark.parametrize("name", BUILT)
def test_a_restored_kind_encodes_the_same_bits(name: str) -> None:
    kind = fitted(name)
    again = KINDS[name].restore(*kind.state())
    block = pl.DataFrame({"x": NEW[name]})
    assert torch.equal(kind.encode(block).values, again.encode(block).values)
    assert kind.field() == again.field()
    assert kind.notes(block) == again.notes(block)


def test_what_is_known_ahead_is_a_value_for_all_series_or_one_for_each() -> None:
    block = pl.DataFrame({"heat": [1.0, 2.0, 4.0] * 5, "day": ["on", "off", "on"] * 5})
    columns = [Column(name=name, kind="known", role="input", why="") for name in block.columns]
    kind = KINDS["known"].fit(block, columns)
    values = kind.encode(block).values
    assert values.shape == (15, 1, 3)
    assert values[:3, 0, 1:].tolist() == [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    new = pl.DataFrame({"heat": [[1.0, 2.0], [4.0, 1.0]], "day": [["on", "off"], ["never seen", "on"]]})
    again = KINDS["known"].restore(*kind.state())
    assert torch.equal(kind.encode(new).values, again.encode(new).values)
    assert torch.equal(again.encode(new).values[0], values[:2, 0])
    assert again.encode(new).values[1, 0, 1:].tolist() == [0.0, 0.0]


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
