"""What becomes of errors, interrupts and readers that go away."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from netwright.base.errors import DataError
from netwright.cli import main
from netwright.cli.flags import Terminated

Stub = Callable[[Callable[[Any], None]], None]


@pytest.fixture
def check_does(monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Puts another function in the place of `netwright check`."""

    def put(function: Callable[[Any], None]) -> None:
        from netwright.cli import check

        monkeypatch.setattr(check, "run", function)

    return put


def test_a_mistake_of_the_user_is_said_in_words_with_a_hint(
    check_does: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(flags: Any) -> None:
        raise DataError("column 'price' (houses.csv) has no value.", hint="choose another --target.")

    check_does(fails)
    assert main.run(["check", "houses.csv"]) == 2
    said = capsys.readouterr()
    assert said.err == "error: column 'price' (houses.csv) has no value.\n  hint: choose another --target.\n"
    assert said.out == ""


def test_a_bug_shows_its_traceback(check_does: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(flags: Any) -> None:
        raise ZeroDivisionError("ours")

    check_does(fails)
    assert main.run(["check", "houses.csv"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "ZeroDivisionError: ours" in said
    assert "report it" in said


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_an_interrupt_ends_without_a_traceback(
    check_does: Stub, capsys: pytest.CaptureFixture[str], error: type[BaseException], code: int
) -> None:
    def ends(flags: Any) -> None:
        raise error

    check_does(ends)
    assert main.run(["check", "houses.csv"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_sigterm_ends_in_order_and_the_old_handler_comes_back(check_does: Stub) -> None:
    left = []

    def ends(flags: Any) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            left.append("in order")

    before = signal.getsignal(signal.SIGTERM)
    check_does(ends)
    assert main.run(["check", "houses.csv"]) == 143
    assert left == ["in order"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_reader_that_goes_away_is_no_error(
    check_does: Stub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)

    def ends(flags: Any) -> None:
        raise BrokenPipeError

    check_does(ends)
    assert main.run(["check", "houses.csv"]) == 0
    assert capsys.readouterr().err == ""


def test_windows_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert main.run(["demo"]) == 2
    assert capsys.readouterr().err.strip() == main.WINDOWS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian", "x.csv"], "trian"),
        (["train", "x.csv", "--minuts", "3"], "--minutes"),
        (["train", "x.csv", "--minutes", "three"], "three"),
        (["train", "x.csv", "--seed", "1.5"], "1.5"),
        (["predict", "model.safetensors"], "DATA"),
        (["predict", "m", "d", "--top", "many"], "many"),
        (["train"], "there is no DATA"),
        (["train", "x.csv", "--set", "network.depth"], "PART.NAME=VALUE"),
        (["train", "x.csv", "--kind", "zip"], "COL=KIND"),
        (["train", "x.csv", "--resume", "runs/x"], "DATA is given beside --resume"),
        (["train", "--resume", "runs/x", "--seed", "3"], "--seed is given beside --resume"),
        (["train", "no/such.csv", "--horizon", "0"], "from 1 on"),
        (["train", "no/such.csv", "--from", "m"], "later version"),
        (["train", "no/such.csv"], "no/such.csv"),
        (["train", "--resume", "no/such"], "no/such"),
        (["predict", "no/such", "x.csv"], "no/such"),
        (["evaluate", "no/such", "x.csv"], "no/such"),
        (["show", "no/such"], "no/such"),
        (["check", "no/such.csv"], "no/such.csv"),
    ],
)
def test_a_wrong_command_is_refused_and_names_the_value(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
