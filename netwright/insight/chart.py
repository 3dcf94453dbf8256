"""Small multiples as one self-contained SVG: lines, axes with ticks, a marked point, words below.

It draws on no background in colours that hold on white and on black, and needs no font, script or network.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from netwright.insight import axes
from netwright.insight.axes import Axis

Point = tuple[float, float]

BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#b5568f"
"""Told apart by colour-blind readers (after Okabe and Ito, https://jfly.uni-koeln.de/color/)."""
_GREY = "#787878"  # contrast above 4.4 on white and on black alike
_WIDE, _HIGH = 460, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 18, 34, 40
_HEAD, _MARGIN = 48, 10
_STYLES = {
    "": "",
    "strong": ' font-weight="600"',
    "title": ' font-size="17" font-weight="600"',
    "sentence": ' font-size="14"',
}
_COLUMNS = 110  # characters of size 14 that fit in wide fonts too


@dataclass(frozen=True)
class Line:
    """One line of a panel.

    Attributes:
        points: (x, y) in order of x, finite.
        name: What the legend calls it; "" leaves it out.
        color: Stroke colour.
        faint: Drawn thin and pale, as a backdrop.
        dashed: Told apart without colour.
        dots: Every point gets a dot.
    """

    points: Sequence[Point]
    name: str = ""
    color: str = BLUE
    faint: bool = False
    dashed: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Panel:
    """One small drawing.

    Attributes:
        title: What is drawn.
        lines: Its lines.
        log: Whether the upright axis is logarithmic.
        mark: A point to mark.
        mark_name: What to write beside it.
        cuts: x of upright lines where something happened.
    """

    title: str
    lines: Sequence[Line]
    log: bool = False
    mark: Point | None = None
    mark_name: str = ""
    cuts: Sequence[float] = ()


def draw(title: str, panels: Sequence[Panel], sentences: Sequence[str], across: str) -> str:
    """The SVG of all panels, two in a row, with the title above and the sentences below.

    Args:
        title: Heading.
        panels: What to draw; a panel without points says so.
        sentences: Text below.
        across: Name of the x axis, shared by all panels.
    """
    width = 2 * _WIDE + 2 * _MARGIN
    wrapped = [line for each in sentences for line in textwrap.wrap(each, _COLUMNS)]
    below = _HEAD + _HIGH * ((len(panels) + 1) // 2)
    height = below + 22 * len(wrapped) + 16
    xs = [x for panel in panels for line in panel.lines for x, _ in line.points]
    xs += [cut for panel in panels for cut in panel.cuts]
    axis = axes.fit(xs) if xs else Axis(0.0, 1.0)
    axis = Axis(min(0.0, min(xs, default=0.0)), axis.high)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" font-family="system-ui, -apple-system, \'Segoe UI\', '
        f'\'DejaVu Sans\', Helvetica, Arial, sans-serif" font-size="13" fill="{_GREY}">',
        f"<title>{_clean(title)}</title>",
        f"<desc>{_clean(' '.join(sentences))}</desc>",
        _text(_MARGIN + _LEFT, 28, title, "title"),
    ]
    for number, panel in enumerate(panels):
        left = _MARGIN + _WIDE * (number % 2)
        top = _HEAD + _HIGH * (number // 2)
        parts += [f'<g transform="translate({left},{top})">', *_panel(panel, axis, across), "</g>"]
    parts += [
        _text(_MARGIN + _LEFT, below + 20 + 22 * number, line, "sentence")
        for number, line in enumerate(wrapped)
    ]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, x_axis: Axis, across: str) -> list[str]:
    ys = [y for line in panel.lines for _, y in line.points]
    drawn = [_text(_LEFT, 16, panel.title, "strong")]
    if not ys:
        return [*drawn, _text(_LEFT, _HIGH // 2, "not measured")]
    y_axis = axes.fit(ys, log=panel.log)
    drawn += _grid(x_axis, y_axis, across)
    for cut in panel.cuts:
        at = _across(x_axis, cut)
        drawn.append(_stroke(f"M{at:.1f},{_TOP}V{_HIGH - _BOTTOM}", PINK, width=1.2, dash="2 3"))
    for line in panel.lines:
        drawn += _line(line, x_axis, y_axis)
    if panel.mark:
        drawn += _mark(panel, x_axis, y_axis)
    return drawn + _legend(panel.lines)


def _grid(x_axis: Axis, y_axis: Axis, across: str) -> list[str]:
    drawn = []
    ticks = y_axis.ticks(4)
    for value, text in zip(ticks, axes.labels(ticks, log=y_axis.log), strict=True):
        at = _up(y_axis, value)
        drawn.append(_stroke(f"M{_LEFT},{at:.1f}H{_WIDE - _RIGHT}", _GREY, opacity=0.25, width=1))
        drawn.append(_text(_LEFT - 8, at + 4.5, text, anchor="end"))
    ticks = [each for each in x_axis.ticks(5) if each == int(each)]
    floor = _HIGH - _BOTTOM
    for value, text in zip(ticks, axes.labels(ticks), strict=True):
        at = _across(x_axis, value)
        drawn.append(_stroke(f"M{at:.1f},{floor}v5", _GREY, width=1))
        drawn.append(_text(at, floor + 18, text, anchor="middle"))
    drawn.append(_stroke(f"M{_LEFT},{_TOP}V{floor}H{_WIDE - _RIGHT}", _GREY, width=1))
    drawn.append(_text(_WIDE - _RIGHT, _HIGH - 7, across, anchor="end"))
    return drawn


def _line(line: Line, x_axis: Axis, y_axis: Axis) -> list[str]:
    places = [(_across(x_axis, x), _up(y_axis, y)) for x, y in line.points]
    path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in places)
    drawn = []
    if len(places) > 1:
        width, opacity = (1.0, 0.35) if line.faint else (2.0, 1.0)
        dash = "6 4" if line.dashed else ""
        drawn.append(_stroke(path, line.color, width=width, opacity=opacity, dash=dash))
    if (line.dots and len(places) <= 60) or len(places) == 1:
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{line.color}"/>' for x, y in places]
    return drawn


def _mark(panel: Panel, x_axis: Axis, y_axis: Axis) -> list[str]:
    """A ring around the marked point; its words stand in the right-hand corner that the lines leave free."""
    assert panel.mark is not None
    x, y = _across(x_axis, panel.mark[0]), _up(y_axis, panel.mark[1])
    ends = [_up(y_axis, y) for line in panel.lines for x, y in line.points[len(line.points) // 2 :]]
    floor = _HIGH - _BOTTOM
    is_high = sum(ends) / len(ends) < (_TOP + floor) / 2
    at = floor - 12 if is_high else _TOP + 16
    right = _WIDE - _RIGHT - 8
    ring = f'r="5.5" fill="none" stroke="{_GREY}" stroke-width="2"/>'
    return [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" {ring}',
        f'<circle cx="{right - 5.5:.1f}" cy="{at - 4.5:.1f}" {ring}',
        _text(right - 18, at, panel.mark_name, "strong", anchor="end"),
    ]


def _legend(lines: Sequence[Line]) -> list[str]:
    """Names of the lines at the top right, from the right edge inwards; a single line needs none."""
    named = [line for line in lines if line.name]
    drawn: list[str] = []
    right = float(_WIDE - _RIGHT)
    for line in reversed(named if len(named) > 1 else []):
        drawn.append(_text(right, 16, line.name, anchor="end"))
        right -= 7.4 * len(line.name) + 6
        dash = "6 4" if line.dashed else ""
        drawn.append(_stroke(f"M{right - 22:.1f},12h22", line.color, width=2.4, dash=dash))
        right -= 40
    return drawn


def _across(axis: Axis, x: float) -> float:
    return _LEFT + (_WIDE - _LEFT - _RIGHT) * axis.place(x)


def _up(axis: Axis, y: float) -> float:
    floor = _HIGH - _BOTTOM
    return floor - (floor - _TOP) * axis.place(y)


def _stroke(path: str, color: str, *, width: float, opacity: float = 1.0, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width}" '
        f'stroke-opacity="{opacity}" stroke-linejoin="round"{dashes}/>'
    )


def _text(x: float, y: float, text: str, style: str = "", *, anchor: str = "start") -> str:
    look = _STYLES[style]
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{look}>{_clean(text)}</text>'


def _clean(text: str) -> str:
    """Escaped, and without control characters, which no XML reader takes."""
    return escape("".join(each if each.isprintable() else " " for each in text))
