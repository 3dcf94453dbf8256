"""How it learned: reading events, the two sentences, the drawings."""

from __future__ import annotations

import math
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest

from netwright.base.schema import Event
from netwright.insight import axes, braille, curves
from netwright.insight.curves import Curves, curves_from_events, sentences

SVG = "{http://www.w3.org/2000/svg}"


def learned(shape: Callable[[float], float], *, noise: float = 0.003, times: int = 30) -> Curves:
    """The curves of a run of 3,000 steps whose validation loss has this shape, the best loss kept."""
    draw = np.random.default_rng(0)
    events = [Event(type="plan", data={"steps": 3000, "why": "all"})]
    least = math.inf
    for step in range(10, 3001, 10):
        data = {"loss": 2 * math.exp(-step / 400) + 0.05, "lr": 0.01, "gradient": 1.0}
        events.append(Event(type="step", step=step, data=data))
        if step % (3000 // times) == 0:
            loss = shape(step) + noise * draw.normal()
            found = {
                "loss": loss,
                "score": -loss,
                "name": "accuracy",
                "better": "higher",
                "best": loss < least,
            }
            least = min(loss, least)
            events.append(Event(type="evaluate", step=step, data=found))
    return curves_from_events([*events, Event(type="stop", step=3000, data={"reason": "planned"})])


def level(step: float) -> float:
    return 2 * math.exp(-step / 300) + 0.2


def falling(step: float) -> float:
    return 2 * math.exp(-step / 2000)


def rising(step: float) -> float:
    return level(step) + 0.0003 * max(0.0, step - 1500)


def test_events_become_curves() -> None:
    found = learned(level)
    assert len(found.loss) == len(found.rate) == len(found.gradient) == 300
    assert len(found.validation) == len(found.score) == 30
    assert (found.name, found.better, found.planned, found.stopped) == ("accuracy", "higher", 3000, "planned")
    assert found.best == min(found.validation, key=lambda point: point[1])[0]


def test_steps_that_are_taken_again_replace_the_earlier_ones() -> None:
    def step(number: int, loss: float) -> Event:
        return Event(type="step", step=number, data={"loss": loss, "lr": 0.1, "gradient": None})

    def measured(number: int, best: bool) -> Event:
        data = {"loss": 1.0, "score": 0.5, "name": "r2", "better": "higher", "best": best}
        return Event(type="evaluate", step=number, data=data)

    found = curves_from_events(
        [
            step(10, 3.0),
            measured(10, True),
            step(20, 9.0),
            measured(20, True),
            step(15, 2.0),
            measured(15, False),
        ]
    )
    assert found.loss == ((10.0, 3.0), (15.0, 2.0))
    assert found.gradient == ()
    assert found.validation == ((10.0, 1.0), (15.0, 1.0))
    assert found.best == 10


def test_values_that_are_not_finite_are_left_out() -> None:
    events = [
        Event(type="step", step=at, data={"loss": loss})
        for at, loss in enumerate([1.0, math.nan, None, math.inf])
    ]
    assert curves_from_events(events).loss == ((0.0, 1.0),)


def test_a_level_curve_is_said_to_level_off_where_it_does() -> None:
    said, _ = sentences(learned(level))
    assert said.startswith("It levelled off from step ")
    step = int(said.split("step ")[1].split(":")[0].replace(",", ""))
    # 2 exp(-step / 300) is 0.04, two hundredths of the fall, at step 1,170
    assert 1000 <= step <= 1500


def test_a_falling_curve_is_still_learning() -> None:
    assert sentences(learned(falling))[0].startswith("It was still learning when it stopped at step 3,000")


def test_a_rising_curve_is_overfitting_from_its_lowest_point() -> None:
    said, _ = sentences(learned(rising))
    assert said.startswith("It was overfitting from step 1,")
    assert "are kept" in said


def test_a_flat_curve_learned_little() -> None:
    assert sentences(learned(lambda _: 0.7))[0].startswith("It learned little that holds on new rows")


def test_too_few_measurements_say_so() -> None:
    assert "measured 3 times" in sentences(learned(level, times=3))[0]
    assert "measured 0 times" in sentences(Curves())[0]
    assert "cannot be compared" in sentences(Curves())[1]


@pytest.mark.parametrize(("shift", "words"), [(0.5, "better, by 0."), (0.0, "as well"), (-0.04, "dropout")])
def test_the_second_sentence_is_about_the_gap(shift: float, words: str) -> None:
    found = learned(lambda step: 2 * math.exp(-step / 400) + 0.05 + shift, noise=0.0)
    assert words in sentences(found)[1]


def test_noise_alone_changes_no_verdict() -> None:
    for noise in (0.0, 0.001, 0.01):
        assert sentences(learned(level, noise=noise))[0].startswith("It levelled off")
        assert sentences(learned(rising, noise=noise))[0].startswith("It was overfitting")


@pytest.mark.parametrize("found", [Curves(), learned(level), learned(rising), learned(falling, times=1)])
def test_the_svg_is_well_formed_and_self_contained(found: Curves) -> None:
    text = curves.svg(found)
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == "How it learned"
    assert "nan" not in text
    assert not {"script", "image", "style", "foreignObject"} & {
        each.tag.removeprefix(SVG) for each in root.iter()
    }
    assert text.count("http") == 1  # the name space
    assert len(text) < 100_000


def test_the_svg_shows_both_losses_the_best_point_and_the_sentences() -> None:
    found = learned(rising)
    root = ElementTree.fromstring(curves.svg(found))
    texts = [each.text or "" for each in root.iter(f"{SVG}text")]
    assert {"training", "validation", "learning rate", "gradient norm", "step"} <= set(texts)
    assert any(text.startswith("best -0.2") and text.endswith(f"at step {found.best:,}") for text in texts)
    assert any(text.startswith("It was overfitting") for text in texts)


def test_every_point_of_the_svg_lies_on_the_page() -> None:
    root = ElementTree.fromstring(curves.svg(learned(rising)))
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    for group in root.iter(f"{SVG}g"):
        left, top = map(float, group.attrib["transform"][10:-1].split(","))
        for circle in group.iter(f"{SVG}circle"):
            assert 0 <= left + float(circle.attrib["cx"]) <= width
            assert 0 <= top + float(circle.attrib["cy"]) <= height
    assert all(float(each.attrib["y"]) <= height for each in root.iter(f"{SVG}text"))


def test_texts_from_outside_are_escaped_and_lose_control_characters() -> None:
    trouble = Event(type="trouble", step=50, data={"what": '</text><script>\x00\x1b[31m & "x"'})
    found = curves_from_events(
        [
            Event(type="evaluate", step=9, data={"loss": 1.0, "score": 1.0, "name": "<b>&\x07", "best": True}),
            trouble,
        ]
    )
    text = curves.svg(found)
    root = ElementTree.fromstring(text)
    assert "<script" not in text
    assert any("<b>&" in (each.text or "") for each in root.iter(f"{SVG}text"))


@pytest.mark.parametrize("width", [1, 20, 61, 200])
def test_the_terminal_drawing_fits_its_width(width: int) -> None:
    drawn = curves.terminal(learned(rising), width)
    assert all(len(line) <= max(width, 20) for line in drawn)
    assert any("⠤" in line or "⣀" in line for line in drawn)
    assert curves.terminal(Curves(), width)


def test_a_braille_line_goes_from_corner_to_corner() -> None:
    canvas = braille.Canvas(2, 1)
    canvas.line((0, 0), (3, 3))
    # dots 7, 6 (lower left up) and 2, 1 mirrored: Unicode's numbering of the cells
    assert canvas.lines() == ["⡠⠊"]


@pytest.mark.parametrize(
    ("low", "high", "log"),
    [
        (0, 1, False),
        (-3, 1e6, False),
        (0.001, 0.0011, False),
        (1e-5, 10, True),
        (0.2, 3, True),
        (5, 5.0001, True),
    ],
)
def test_ticks_are_few_round_inside_and_distinct(low: float, high: float, log: bool) -> None:
    axis = axes.Axis(low, high, log=log)
    ticks = axis.ticks(4)
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-9 * abs(low) <= each <= high + 1e-9 * abs(high) for each in ticks)
    assert all(-1e-9 <= axis.place(each) <= 1 + 1e-9 for each in ticks)
    texts = axes.labels(ticks, log=log)
    assert len(set(texts)) == len(texts)
    # what is written is what is meant, up to the digits written
    assert [float(text.replace(",", "").replace("k", "e3")) for text in texts] == pytest.approx(
        ticks, rel=0.01, abs=1e-9
    )


def test_an_axis_of_one_value_has_room_on_both_sides() -> None:
    for value in (0.0, 5.0, -2.0):
        assert axes.fit([value]).place(value) == pytest.approx(0.5)
    assert 0 < axes.fit([3.0], log=True).place(3.0) < 1
