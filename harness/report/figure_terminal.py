"""A figure in a terminal: braille lines with a mark each, axes with round ticks, names at the lines' ends.

Colours are the sixteen every terminal has; where there are none, marks and names still tell the lines apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from harness.api import Figure
from harness.report.braille import Canvas
from harness.report.figure import Axis, Point, points_of, runs_of, spread, x_axis, y_axis

WIDEST = 110
HEIGHT = 20  # rows of the canvas
MARKS = "●■▲◆▼★○□△◇▽☆+×#@"
_COLOURS = (
    "cyan", "yellow", "magenta", "green", "blue", "red",
    "bright_cyan", "bright_yellow", "bright_magenta", "bright_green", "bright_blue", "bright_red",
)  # fmt: skip
_LONGEST_NAME = 28
_NARROWEST = 24  # columns of the canvas beside which names may stand
_COLUMNS_PER_TICK = 8
_ROWS_PER_TICK = 4
_MOST_MARKED = 16  # points that each carry the line's mark; a line of more carries some on its way
_ON_THE_WAY = 5


@dataclass(frozen=True, slots=True)
class _Look:
    """How one line is told from the others."""

    name: str
    mark: str
    style: str


def figure_lines(figure: Figure, *, width: int, height: int = HEIGHT) -> list[Text]:
    """The figure as lines of text, at most `width` columns, `height` rows for the lines and some for title and axes."""
    width = max(20, min(width, WIDEST))
    looks = [
        _Look(_short(line.name), MARKS[place % len(MARKS)], _COLOURS[place % len(_COLOURS)])
        for place, line in enumerate(figure.lines)
    ]
    found = [Text(figure.title, style="bold", overflow="ellipsis", no_wrap=True)] if figure.title else []
    y = y_axis(figure, max(2, height // _ROWS_PER_TICK))
    names = max((cell_len(look.name) for look in looks), default=0) + 4
    margin = max((len(label) for _, label in y.ticks), default=0) + 1 if y is not None else 0
    drawn = [place for place, points in enumerate(points_of(figure)) if points]
    beside = len(drawn) <= height and width - margin - 1 - names >= _NARROWEST
    columns = width - margin - 1 - (names if beside else 0)
    x = x_axis(figure, max(2, columns // _COLUMNS_PER_TICK))
    if x is None or y is None:
        return [*found, Text("nothing to draw", style="dim")]
    found.append(Text(f"{figure.y_label}", style="dim"))
    ends = _ends(figure, drawn, looks, y, height) if beside else {}
    rows = _rows(figure, looks, x, y, columns, height)
    at = {_row(value, y, height): label for value, label in y.ticks}
    for place, row in enumerate(rows):
        label = at.get(place, "")
        line = Text.assemble((f"{label:>{margin}}", "dim"), ("┤" if label else "│", "dim"), row)
        found.append(line.append(Text.assemble(" ", ends[place])) if place in ends else line)
    found += _below(figure, x, columns, margin)
    if not beside:
        found += _legend([looks[place] for place in drawn], width)
    for line in found:
        line.rstrip()
    return found


def _rows(figure: Figure, looks: Sequence[_Look], x: Axis, y: Axis, columns: int, height: int) -> list[Text]:
    canvas = Canvas(columns, height)
    wanting: dict[tuple[int, int], list[int]] = {}  # the lines that would have a mark in a cell
    for place, line in enumerate(figure.lines):
        parts = runs_of(line, log_x=figure.log_x)
        for part in parts:
            canvas.line([x.place(at) for at, _ in part], [value for _, value in part], x.span, y.span, place + 1)
        for at, value in _marked([point for part in parts for point in part], place, len(figure.lines)):
            column = int(x.share(at) * (columns * 2 - 1) + 0.5) // 2
            wanting.setdefault((_row(value, y, height), max(0, min(columns - 1, column))), []).append(place)
    # Lines that lie on each other take turns, so that each shows its mark somewhere.
    marks = {
        cell: places[turn % len(places)] for turn, (cell, places) in enumerate(sorted(wanting.items(), key=_column_of))
    }
    found = []
    for row in range(height):
        text = Text()
        column = 0
        for part_text, ink in canvas.row(row):
            for letter in part_text:
                marked = marks.get((row, column))
                look = looks[marked if marked is not None else ink - 1] if marked is not None or ink else None
                text.append(look.mark if look and marked is not None else letter, look.style if look else "")
                column += 1
        found.append(text)
    return found


def _column_of(item: tuple[tuple[int, int], list[int]]) -> int:
    return item[0][1]


def _marked(points: Sequence[Point], place: int, lines: int) -> list[Point]:
    """Where a line carries its mark: at each point; of many at its end and some on its way, each line elsewhere."""
    if len(points) <= _MOST_MARKED:
        return list(points)
    step = (len(points) - 1) / _ON_THE_WAY
    shift = step * place / max(1, lines)
    return [points[int(shift + number * step)] for number in range(_ON_THE_WAY)] + [points[-1]]


def _ends(figure: Figure, drawn: Sequence[int], looks: Sequence[_Look], y: Axis, height: int) -> dict[int, Text]:
    """The name of each line by the row it stands in: where the line ends, or as near as there is room."""
    lasts = [points[-1][1] for points in points_of(figure) if points]
    rows = spread([(1 - y.share(value)) * (height - 1) for value in lasts], 1.0, 0.0, height - 1.0)
    order = sorted(range(len(drawn)), key=lambda rank: rows[rank])
    found: dict[int, Text] = {}
    free = 0
    for rank in order:
        row = max(free, round(rows[rank]))
        found[row] = _named(looks[drawn[rank]])
        free = row + 1
    return found if free <= height else dict(enumerate(found.values()))


def _below(figure: Figure, x: Axis, columns: int, margin: int) -> list[Text]:
    """The axis with its ticks, their labels, and what is drawn over."""
    line = ["─"] * columns
    width = margin + 1 + columns
    told = [" "] * width
    free = 0
    for value, label in x.ticks:
        column = int(x.share(value) * (columns * 2 - 1) + 0.5) // 2
        if not 0 <= column < columns:
            continue
        line[column] = "┬"
        begin = max(0, min(width - len(label), margin + 1 + column - len(label) // 2))
        if begin >= free:
            told[begin : begin + len(label)] = label
            free = begin + len(label) + 1
    name = set_cell_size(figure.x_label, min(cell_len(figure.x_label), columns))
    return [
        Text(" " * margin + "└" + "".join(line), style="dim"),
        Text("".join(told), style="dim"),
        Text(" " * max(0, width - cell_len(name)) + name, style="dim"),
    ]


def _legend(looks: Sequence[_Look], width: int) -> list[Text]:
    """Marks and names in as many columns as fit."""
    wide = max(cell_len(look.name) for look in looks) + 4
    across = max(1, width // wide)
    found = []
    for start in range(0, len(looks), across):
        line = Text()
        for look in looks[start : start + across]:
            named = _named(look)
            named.append(" " * (wide - named.cell_len))
            line.append(named)
        found.append(line)
    return found


def _named(look: _Look) -> Text:
    return Text.assemble((look.mark, look.style), " ", look.name)


def _row(value: float, y: Axis, height: int) -> int:
    """The row of cells, from the top, that a value lies in."""
    dots = height * 4 - 1
    return (dots - max(0, min(dots, int(y.share(value) * dots + 0.5)))) // 4


def _short(name: str) -> str:
    return name if cell_len(name) <= _LONGEST_NAME else set_cell_size(name, _LONGEST_NAME - 1) + "…"
