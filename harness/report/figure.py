"""The geometry of a figure, alike in a terminal, on a page and in a picture: ranges, ticks, where names stand.

Numbers in, numbers out. `figure_terminal`, `figure_svg` and `figure_png` draw with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.api import Figure, Line
from harness.report.braille import Range, labels, ticks

MOST_DOTS = 40  # points of a line that are each drawn as a dot
_MARGIN = 0.05  # of the range of y, above and below
_FROM_ZERO = 0.45  # a range that would begin below this share of its top begins at nought
_POINT = 0.5  # decades, or units, around a single x
_MANTISSAS = ((1, 2, 5), (1, 3), (1,))  # of ticks on a logarithmic axis, the densest first
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of places (logarithms, on a logarithmic axis) and the round values in it, with their labels."""

    span: Range
    log: bool
    ticks: tuple[tuple[float, str], ...]

    def place(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def share(self, value: float) -> float:
        """How far along the axis a value lies, from 0 to 1."""
        return (self.place(value) - self.span.low) / self.span.size


def runs_of(line: Line, *, log_x: bool) -> list[list[Point]]:
    """The unbroken parts of a line: what is None, not finite, or has no logarithm, interrupts it."""
    found: list[list[Point]] = [[]]
    for x, y in zip(line.x, line.y, strict=True):
        if y is None or not math.isfinite(y) or not math.isfinite(x) or (log_x and x <= 0):
            if found[-1]:
                found.append([])
            continue
        found[-1].append((float(x), float(y)))
    return [part for part in found if part]


def points_of(figure: Figure) -> list[list[Point]]:
    """All points of each line that can be drawn."""
    return [[point for part in runs_of(line, log_x=figure.log_x) for point in part] for line in figure.lines]


def x_axis(figure: Figure, most: int) -> Axis | None:
    """From the first point to the last, with at most `most` ticks. None without points."""
    values = [x for points in points_of(figure) for x, _ in points]
    if not values:
        return None
    low, high = min(values), max(values)
    if figure.log_x:
        span = _around(math.log10(low), math.log10(high))
        chosen = log_ticks(span, most)
        return Axis(span, True, tuple((value, _power(value)) for value in chosen))
    span = _around(low, high)
    return _linear(span, most)


def y_axis(figure: Figure, most: int) -> Axis | None:
    """All points with a little room; from nought where that is not far, and never beyond 1 for a ratio."""
    values = [y for points in points_of(figure) for _, y in points]
    if not values:
        return None
    low, high = min(values), max(values)
    if 0 <= low < _FROM_ZERO * high or low == high == 0:
        low = 0.0
    room = (high - low) * _MARGIN or abs(high) * _MARGIN or 1.0
    ratio = "ratio" in figure.y_label or "share" in figure.y_label
    top = min(high + room, 1.0) if ratio and high <= 1 else high + room
    bottom = max(low - room, 0.0) if low >= 0 else low - room
    return _linear(Range(0.0 if low == 0 else bottom, top), most)


def log_ticks(span: Range, most: int) -> list[float]:
    """Round values inside a range of logarithms: 1, 2, 5 of each decade, or 1, 3, or powers of ten, as many as fit."""
    low, high = 10.0**span.low, 10.0**span.high
    powers = range(math.floor(span.low), math.ceil(span.high) + 1)
    for mantissas in _MANTISSAS:
        found = [mantissa * 10.0**power for power in powers for mantissa in mantissas]
        inside = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(inside) <= most:
            return inside if len(inside) >= 2 else ticks(Range(low, high), most)
    step = math.ceil(len(powers) / max(1, most))
    return [
        10.0**power for power in powers if power % step == 0 and low <= 10.0**power * (1 + 1e-9) <= high * (1 + 2e-9)
    ]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places as near as possible to the wanted ones, in their order, at least `gap` apart and inside the bounds.

    Neighbours that would touch move as one, around the middle of where they wanted to be. Closer than `gap` only where
    there is no room for all.
    """
    if not wanted:
        return []
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    groups: list[tuple[float, int]] = []  # the sum of the first places that each member asks for, and how many
    for rank, place in enumerate(order):
        groups.append((wanted[place] - rank * gap, 1))
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            (a, n), (b, m) = groups[-2:]
            groups[-2:] = [(a + b, n + m)]
    ranked = [total / count for total, count in groups for _ in range(count)]
    found = [0.0] * len(wanted)
    most = high - (len(wanted) - 1) * gap
    for rank, place in enumerate(order):
        found[place] = min(max(ranked[rank], low), most) + rank * gap
    return found


def thinned(points: Sequence[Point], axis: Axis, columns: int) -> list[Point]:
    """What a drawing of so many columns can show: the first, lowest, highest and last point of each column."""
    if len(points) <= 2 * columns:
        return list(points)
    found: list[Point] = []
    column: list[Point] = []
    current = -1
    for point in points:
        place = int(axis.share(point[0]) * (columns - 1) + 0.5)
        if place != current and column:
            found += _corners(column)
            column = []
        current = place
        column.append(point)
    return found + _corners(column)


def number(value: float) -> str:
    """A value in a hover or a table: whole numbers with commas, others to six digits."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def _corners(column: Sequence[Point]) -> list[Point]:
    kept = {0, len(column) - 1}
    kept.add(min(range(len(column)), key=lambda place: column[place][1]))
    kept.add(max(range(len(column)), key=lambda place: column[place][1]))
    return [column[place] for place in sorted(kept)]


def _around(low: float, high: float) -> Range:
    return Range(low, high) if high > low else Range(low - _POINT, high + _POINT)


def _power(value: float) -> str:
    """`500`, `1k`, `20M`: a tick of a logarithmic axis, where each has a prefix of its own."""
    scale, prefix = next(((scale, name) for scale, name in _PREFIXES if value >= scale), (1.0, ""))
    return f"{value / scale:.4g}{prefix}"


def _linear(span: Range, most: int) -> Axis:
    values = ticks(span, most)
    return Axis(span, False, tuple(zip(values, labels(values), strict=True)))
