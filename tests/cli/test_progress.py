"""A run on stderr, from its events alone."""

from __future__ import annotations

import io
import sys

import pytest

from netwright.base.schema import Event
from netwright.cli import progress


def step(number: int, seconds: float, loss: float = 0.5) -> Event:
    return Event(type="step", step=number, seconds=seconds, data={"loss": loss, "lr": 0.1, "of": 100})


def evaluated(number: int, seconds: float) -> Event:
    data = {"loss": 0.4, "score": 0.91, "name": "balanced_accuracy", "of": 100, "best": True}
    return Event(type="evaluate", step=number, seconds=seconds, data=data)


def plan(steps: int, at: int = 0, why: str = "passes are enough") -> Event:
    return Event(type="plan", step=at, seconds=0.0, data={"steps": steps, "why": why})


FINDING = Event(
    type="finding",
    data={"what": "3 rows are equal.", "where": "x.csv", "done": "kept on one side", "severity": "warning"},
)
CHOICE = Event(type="choice", data={"name": "network.depth", "value": 3, "why": "40,000 rows", "by": "derived"})


def test_findings_and_decisions_are_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.listening(quiet=False) as listener:
        for event in (FINDING, FINDING, CHOICE, plan(100)):
            listener(event)
    assert capsys.readouterr().err.splitlines() == [
        "found in the data:",
        "  warning: x.csv: 3 rows are equal; kept on one side",
        "  warning: x.csv: 3 rows are equal; kept on one side",
        "decided:",
        "  network.depth = 3  (40,000 rows)",
        "plan: 100 steps, passes are enough",
    ]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.listening(quiet=True) as listener:
        for event in (FINDING, CHOICE, plan(100), step(50, 20.0), evaluated(50, 21.0)):
            listener(event)
    assert capsys.readouterr() == ("", "")


def test_a_line_comes_now_and_then_with_loss_score_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.listening(quiet=False) as listener:
        listener(plan(100))
        for number in range(1, 51):
            listener(evaluated(number, 0.5 * number) if number == 25 else step(number, 0.5 * number))
    said = capsys.readouterr().err.splitlines()[1:]
    # 25 s of learning and a line every 10 s; after step 40 sixty steps are left at half a second each
    assert said == [
        "step 20 of 100: loss 0.5, 40 s left",
        "step 40 of 100: loss 0.5, balanced accuracy 0.91, 30 s left",
    ]


def test_a_plan_that_moves_a_little_is_not_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.listening(quiet=False) as listener:
        for event in (plan(1000), plan(50, 6, "the minutes hold 50"), plan(48, 7), plan(30, 9)):
            listener(event)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(" steps")[0] for line in said] == [
        "plan: 1,000",
        "plan from step 6 on: 50",
        "plan from step 9 on: 30",
    ]


def test_the_signal_that_ended_a_run_is_kept() -> None:
    with progress.listening(quiet=True) as listener:
        assert listener.signal is None
        listener(Event(type="stop", step=5, data={"reason": "interrupted", "signal": 15}))
        assert listener.signal == 15


def test_time_left_counts_from_where_a_resumed_run_goes_on() -> None:
    moment = progress.Moment()
    for event in (step(500, 1000.0), step(510, 1001.0)):
        moment.see(event)
    moment.of = 610
    assert moment.left == pytest.approx(10.0)  # a tenth of a second a step, whatever the first 500 took


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_words_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with progress.listening(quiet=False) as listener:
        for event in (CHOICE, plan(100), step(10, 1.0), step(50, 5.0), evaluated(60, 6.0), step(61, 6.1)):
            listener(event)
    said = terminal.getvalue()
    assert "network.depth = 3" in said
    assert "step 50 of 100, loss 0.5" in said
    assert "balanced accuracy 0.91" in said
