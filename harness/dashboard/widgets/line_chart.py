"""A line chart of braille dots: several lines, axes with round ticks, levels for known optima, a cursor.

chart.show(Plot(lines=(Line(x, y, "series-1"),), y_unit="samples/s", x_unit="s"))

Drawn once for a plot and a size, into strips; `benchmarks/dashboard_chart.py` measures what that costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from harness.dashboard.widgets.paint import FAINT, MUTED, TEXT, Palette, strip_of
from harness.dashboard.widgets.rows import Painted
from harness.report.braille import (
    Canvas,
    Range,
    clock_ticks,
    labels,
    power_ticks,
    ticks,
    value_range,
)
from harness.report.numbers import clock

_NARROWEST = 12  # cells of canvas, below which there are no axes
_LOWEST = 3
_ROWS_PER_TICK = 3
_COLUMNS_PER_TICK = 12


@dataclass(frozen=True, slots=True)
class Line:
    """Points in order of x; None is a gap. `behind`: drawn first, and left out of the range of y where others are."""

    x: tuple[float, ...]
    y: tuple[float | None, ...]
    style: str = "series-1"
    name: str = ""
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal dashed line with a word at its right end. `in_range`: the axis reaches to it."""

    value: float
    name: str
    style: str = MUTED
    in_range: bool = True


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture to draw. `x_unit` s gives clock times, `s ago` the time until now.

    `cursor` is a value of x with a line through it.
    """

    lines: tuple[Line, ...] = ()
    levels: tuple[Level, ...] = ()
    x_unit: str = ""
    y_unit: str = ""
    log_x: bool = False
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    least_y_share: float = 0.0  # of the highest value that the range of y covers at least
    cursor: float | None = None
    empty: str = "nothing to draw yet"


class LineChart(Painted, Widget):
    """Draws a Plot. Equal plots are drawn once."""

    DEFAULT_CSS = "LineChart { height: 1fr; width: 1fr; }"

    def __init__(self, plot: Plot = Plot(), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.plot = plot
        self._drawn: tuple[Plot, Palette, Size, list[Strip]] | None = None

    def show(self, plot: Plot) -> None:
        if plot != self.plot:
            self.plot = plot
            self.refresh()

    def render_line(self, y: int) -> Strip:
        palette = self.palette()
        size = self.size
        drawn = self._drawn
        if drawn is None or drawn[0] is not self.plot or drawn[1] is not palette or drawn[2] != size:
            drawn = self._drawn = (self.plot, palette, size, draw(self.plot, size.width, size.height, palette))
        strips = drawn[3]
        return strips[y] if y < len(strips) else Strip.blank(size.width, palette.style(TEXT))


def draw(plot: Plot, width: int, height: int, palette: Palette) -> list[Strip]:
    """The chart as `height` strips of `width` cells."""
    x, y = _ranges(plot)
    if x is None or y is None or width < 4 or height < 1:
        return _nothing(plot.empty, width, height, palette)
    axes = height > _LOWEST and width > _NARROWEST + 6
    rows = height - 1 if axes else height
    y_ticks = ticks(y, max(2, rows // _ROWS_PER_TICK)) if axes else []
    y_labels = labels(y_ticks, plot.y_unit)
    margin = max(map(len, y_labels), default=0) + 1 if axes else 0
    columns = width - margin - (1 if axes else 0)
    canvas = Canvas(columns, rows)
    names: dict[int, tuple[str, str]] = {}
    styles = [TEXT]
    for level in plot.levels:
        styles.append(level.style)
        place = canvas.level(level.value, y, len(styles) - 1)
        if place is not None:
            names[place] = (level.name, level.style)
    for line in sorted(plot.lines, key=lambda line: not line.behind):
        styles.append(line.style)
        xs = [_log(value) for value in line.x] if plot.log_x else line.x
        canvas.line(xs, line.y, x, y, len(styles) - 1)
    at = {_place(value, y, rows): label for value, label in zip(y_ticks, y_labels, strict=True)}
    cursor = _cursor(plot, x, columns)
    strips = []
    for place in range(rows):
        segments: list[Segment] = []
        if axes:
            label = at.get(place, "")
            segments = [
                Segment(label.rjust(margin), palette.style(MUTED)),
                Segment("┤" if label else "│", palette.style(FAINT)),
            ]
        parts = canvas.row(place)
        if place in names:
            parts = _with_name(parts, names[place][0], columns, len(styles))
            styles.append(names[place][1])
        segments += [Segment(text, palette.style(styles[ink])) for text, ink in parts]
        strip = Strip(segments, width)
        strips.append(strip if cursor is None else _crossed(strip, margin + 1 + cursor, palette))
    if axes:
        strips.append(_x_axis(plot, x, columns, margin, width, palette))
    return strips


def _ranges(plot: Plot) -> tuple[Range | None, Range | None]:
    xs = [_log(value) if plot.log_x else value for line in plot.lines for value in line.x]
    if plot.x_range is not None:
        low, high = plot.x_range
        x: Range | None = Range(_log(low), _log(high)) if plot.log_x else Range(low, high)
    else:
        x = Range(min(xs), max(xs)) if xs else None
    if x is not None and x.size <= 0:
        x = Range(x.low - 0.5, x.high + 0.5)
    if plot.y_range is not None:
        return x, Range(*plot.y_range)
    front = [value for line in plot.lines if not line.behind for value in line.y if value is not None]
    back = [value for line in plot.lines if line.behind for value in line.y if value is not None]
    include = [level.value for level in plot.levels if level.in_range]
    return x, value_range([*front, *back], include=include, least_share=plot.least_y_share)


def _log(value: float) -> float:
    return math.log10(value) if value > 0 else 0.0


def _place(value: float, y: Range, rows: int) -> int:
    """The row of cells that a value of y lies in."""
    dots = rows * 4 - 1
    return (dots - max(0, min(dots, int((value - y.low) / y.size * dots + 0.5)))) // 4


def _cursor(plot: Plot, x: Range, columns: int) -> int | None:
    if plot.cursor is None:
        return None
    value = _log(plot.cursor) if plot.log_x else plot.cursor
    return max(0, min(columns - 1, int((value - x.low) / x.size * (columns * 2 - 1) + 0.5) // 2))


def _crossed(strip: Strip, column: int, palette: Palette) -> Strip:
    """The strip with the cursor's line through it, where nothing else is."""
    if strip.text[column : column + 1] not in (" ", ""):
        return strip
    middle = Strip([Segment("│", palette.style(MUTED))], 1)
    return Strip.join([strip.crop(0, column), middle, strip.crop(column + 1)])


def _with_name(parts: Sequence[tuple[str, int]], name: str, columns: int, ink: int) -> list[tuple[str, int]]:
    """The row with a name written over its right end."""
    room = columns - len(name) - 1
    if room < columns // 3:
        return list(parts)
    kept: list[tuple[str, int]] = []
    for text, colour in parts:
        if room <= 0:
            break
        kept.append((text[:room], colour))
        room -= len(text)
    return [*kept, (f" {name}", ink)]


def _x_axis(plot: Plot, x: Range, columns: int, margin: int, width: int, palette: Palette) -> Strip:
    most = max(1, columns // _COLUMNS_PER_TICK)
    if plot.log_x:
        values = power_ticks(x, most)
        texts = [label for value in values for label in labels([value], plot.x_unit)]
    elif plot.x_unit == "s":
        values = clock_ticks(x, most)
        texts = [clock(value) for value in values] if x.size >= 2 else labels(values)
    else:
        values = ticks(x, most)
        texts = labels(values, plot.x_unit)
    if plot.x_unit == "s ago":
        texts = ["now" if value == 0 else f"{-value:.0f} s" for value in values]
    line = [" "] * (width + 1)
    free = 0
    for value, text in zip(values, texts, strict=True):
        place = _log(value) if plot.log_x else value
        column = margin + 1 + int((place - x.low) / x.size * (columns - 1) + 0.5)
        begin = max(margin, min(width - len(text), column - len(text) // 2))
        if begin >= free:
            line[begin : begin + len(text)] = text
            free = begin + len(text) + 2
    unit = "" if plot.x_unit in ("s", "s ago") else plot.x_unit
    if unit and free + len(unit) <= width:
        line[width - len(unit) : width] = unit
    return Strip([Segment("".join(line[:width]), palette.style(MUTED))], width)


def _nothing(text: str, width: int, height: int, palette: Palette) -> list[Strip]:
    row = ((" " * max(0, (width - len(text)) // 2) + text, MUTED),)
    return [strip_of(row if place == height // 2 else (), width, palette) for place in range(height)]
