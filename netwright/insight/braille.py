"""A drawing in braille characters for the terminal: two by four dots a character."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.insight import axes
from netwright.insight.axes import Axis

Point = tuple[float, float]

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # Unicode 15, block 2800


class Canvas:
    """Dots on a grid of characters; (0, 0) is the lower left dot."""

    def __init__(self, columns: int, rows: int) -> None:
        self.across = 2 * columns
        self.up = 4 * rows
        self._cells = [[0] * columns for _ in range(rows)]

    def dot(self, x: int, y: int) -> None:
        """Sets one dot; dots outside are passed over."""
        if 0 <= x < self.across and 0 <= y < self.up:
            down = self.up - 1 - y
            self._cells[down // 4][x // 2] |= _DOTS[down % 4][x % 2]

    def line(self, start: tuple[int, int], stop: tuple[int, int]) -> None:
        """Sets the dots of a straight line."""
        steps = max(abs(stop[0] - start[0]), abs(stop[1] - start[1]), 1)
        for step in range(steps + 1):
            share = step / steps
            x = round(start[0] + share * (stop[0] - start[0]))
            self.dot(x, round(start[1] + share * (stop[1] - start[1])))

    def lines(self) -> list[str]:
        """The characters, top line first."""
        return ["".join(chr(0x2800 + cell) for cell in row) for row in self._cells]


def draw(title: str, points: Sequence[Point], *, width: int, height: int, log: bool) -> list[str]:
    """One line of points with its range at the left: a title and `height` lines, at most `width` wide.

    Args:
        title: Text above.
        points: (x, y) in order of x, finite, at least one.
        width: Characters across, >= 20.
        height: Lines of the drawing, >= 2.
        log: Whether the upright axis is logarithmic.
    """
    x_axis = _tight([x for x, _ in points])
    y_axis = axes.fit([y for _, y in points], log=log)
    low, high = min(y for _, y in points), max(y for _, y in points)
    names = ["" for _ in range(height)]
    names[0], names[-1] = _short(high), _short(low)
    margin = max(len(name) for name in names) + 1
    canvas = Canvas(max(width - margin - 1, 4), height)
    places = [
        (
            round(x_axis.place(x) * (canvas.across - 1)),
            round(y_axis.place(y) * (canvas.up - 1)),
        )
        for x, y in points
    ]
    for start, stop in zip(places, places[1:] or places, strict=False):
        canvas.line(start, stop)
    rows = zip(names, canvas.lines(), strict=True)
    return [title[:width], *(f"{name:>{margin}}┤{row}" for name, row in rows)]


def _tight(values: Sequence[float]) -> Axis:
    low, high = min(values), max(values)
    return Axis(low, high if high > low else low + 1.0)


def _short(value: float) -> str:
    return f"{value:.4g}"
