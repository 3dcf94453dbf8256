"""From what is written to what is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from netwright.base.errors import RecipeError
from netwright.cli import flags, main, reading, train


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings that the last `netwright train` would have trained with."""
    seen: dict[str, Any] = {}

    def take(given: train.Flags, settings: dict[str, Any], listener: Any) -> None:
        seen.update(settings, quiet=given.quiet)
        raise RecipeError("seen")

    monkeypatch.setattr(train, "_train", take)
    return seen


def test_what_is_not_given_is_left_to_the_defaults_of_python(asked: dict[str, Any]) -> None:
    main.run(["train", "x.csv"])
    assert asked == {"quiet": False}


def test_every_flag_arrives_under_its_python_name(asked: dict[str, Any]) -> None:
    written = (
        "--target a,b --task tag --drop c --drop d,e --keep f --kind zip=category --header none "
        "--missing -999 --missing none --test last:0.2 --validation 0.1 --split group --group g --time t "
        "--weight w --metric f1 --network feedforward --minutes 0.5 --memory 2G --set network.depth=6 "
        "--recipe r.json --seed 7 --device cpu --out run --force --allow-outside --quiet"
    )
    main.run(["train", "x.csv", *written.split()])
    assert asked == {
        "target": ("a", "b"), "task": "tag", "drop": ("c", "d", "e"), "keep": ("f",),
        "kinds": {"zip": "category"}, "header": "none", "missing": ("-999", "none"), "test": "last:0.2",
        "validation": "0.1", "split": "group", "group": "g", "time": "t", "weight": "w", "metric": "f1",
        "network": "feedforward", "minutes": 0.5, "memory": "2G", "set": {"network.depth": "6"},
        "recipe": "r.json", "seed": 7, "device": "cpu", "out": "run", "force": True, "allow_outside": True,
        "quiet": True,
    }  # fmt: skip


def test_a_seed_of_zero_is_given(asked: dict[str, Any]) -> None:
    main.run(["train", "x.csv", "--seed", "0", "--minutes", "0"])
    assert asked == {"seed": 0, "minutes": 0.0, "quiet": False}


def test_the_settings_are_fields_of_the_request() -> None:
    from netwright import request

    settings = reading.asked(train.Flags(data="x.csv", target=["a"], seed=1, kind=["a=number"]))
    assert request.make(settings).kinds == {"a": "number"}


def test_a_name_with_a_comma_stands_in_quotes() -> None:
    assert flags.names(['"price, EUR",rooms', " area "]) == ("price, EUR", "rooms", "area")
    assert flags.names([]) == ()


def test_pairs_are_cut_where_the_name_ends() -> None:
    assert flags.pairs("--set", ["kind.a.format=x=y"], "") == {"kind.a.format": "x=y"}
    assert flags.pairs("--kind", ["a=b=number"], "") == {"a=b": "number"}
    with pytest.raises(RecipeError, match="--set is '=3'"):
        flags.pairs("--set", ["=3"], "PART.NAME=VALUE")
