"""A figure as SVG: lines with dots and dashes, names at their ends, values under the pointer; no script in it.

Colours are variables, so that a page gives them for light and for dark (`figure_html`).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from harness.api import Figure
from harness.report.figure import MOST_DOTS, Axis, Point, number, points_of, runs_of, spread, thinned, x_axis, y_axis

WIDTH, HEIGHT = 860, 460
# Eight hues that people with any colour vision tell apart when neighbours: for a light page, and for a dark one.
COLOURS = ("#2a78d6", "#eb6834", "#1baf7a", "#eda100", "#e87ba4", "#008300", "#4a3aa7", "#e34948")
COLOURS_DARK = ("#3987e5", "#d95926", "#199e70", "#c98500", "#d55181", "#008300", "#9085e9", "#e66767")
DASHES = ("", "7 4", "2 3")  # of the lines beyond the eighth, and beyond the sixteenth
_TOP, _BOTTOM, _LEFT = 34, 58, 62
_NAME_GAP = 17.0
_LETTER = 7.1  # of the names' font, in the mean
_WIDEST_NAMES = 260
_LEAD, _SAMPLE, _BESIDE_NAME = 18, 18, 58  # from a line's end to a sample of it, its length; all that is no name
_X_TICK, _Y_TICK = 74, 52  # of the drawing's width and height, for one tick
_HOVERED = 48  # points of a long line that answer to the pointer

STYLE = """
svg.figure { width: 100%; height: auto; display: block; font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
svg.figure text { fill: var(--muted); }
svg.figure .tick { font-variant-numeric: tabular-nums; }
svg.figure .name { fill: var(--text); }
svg.figure .grid { stroke: var(--grid); }
svg.figure .axis { stroke: var(--axis); }
svg.figure .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg.figure .lead { stroke-width: 1; opacity: .5; fill: none; }
svg.figure .dot { stroke: var(--page); stroke-width: 1.5; }
svg.figure .hit { fill: transparent; stroke: none; }
svg.figure .hidden { opacity: 0; }
svg.figure .point:hover .dot { opacity: 1; stroke: var(--text); }
svg.figure .series:hover .line { stroke-width: 3; }
""".strip()


def colour_of(place: int) -> str:
    """The variable that a page gives a colour to."""
    return f"var(--line-{place % len(COLOURS) + 1})"


def dash_of(place: int) -> str:
    return DASHES[place // len(COLOURS) % len(DASHES)]


def svg(figure: Figure) -> str:
    """One `<svg>` element, for a page that has `STYLE` and the variables."""
    points = points_of(figure)
    drawn = [place for place, found in enumerate(points) if found]
    longest = max((len(figure.lines[place].name) for place in drawn), default=0)
    right = min(_WIDEST_NAMES, int(longest * _LETTER) + _BESIDE_NAME)
    width, height = WIDTH - _LEFT - right, HEIGHT - _TOP - _BOTTOM
    height = max(height, int(len(drawn) * _NAME_GAP))
    whole = height + _TOP + _BOTTOM
    x, y = x_axis(figure, width // _X_TICK), y_axis(figure, height // _Y_TICK)
    title = escape(figure.title)
    head = f'<svg class="figure" viewBox="0 0 {WIDTH} {whole}" role="img" aria-label="{title}">'
    if x is None or y is None:
        return f'{head}<text x="{WIDTH / 2}" y="{whole / 2}" text-anchor="middle">nothing to draw</text></svg>'
    plot = _Plot(x, y, width, height)
    parts = [head, *plot.axes(figure)]
    ends = [plot.at(points[place][-1]) for place in drawn]
    names = spread([end[1] for end in ends], _NAME_GAP, _TOP + 4.0, _TOP + height - 2.0)
    for place, end, name_y in zip(drawn, ends, names, strict=True):
        parts += _series(figure, place, plot, end, name_y)
    return "\n".join([*parts, "</svg>"])


class _Plot:
    """Where values lie on the paper."""

    def __init__(self, x: Axis, y: Axis, width: int, height: int) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height

    def at(self, point: Point) -> tuple[float, float]:
        return _LEFT + self.x.share(point[0]) * self.width, _TOP + (1 - self.y.share(point[1])) * self.height

    def axes(self, figure: Figure) -> list[str]:
        base, end = _TOP + self.height, _LEFT + self.width
        found = [f'<text x="{_LEFT - 46}" y="16">{escape(figure.y_label)}</text>']
        for value, label in self.y.ticks:
            at = base - self.y.share(value) * self.height
            found.append(f'<line class="grid" x1="{_LEFT}" y1="{at:.1f}" x2="{end}" y2="{at:.1f}"/>')
            found.append(f'<text class="tick" x="{_LEFT - 10}" y="{at + 4.5:.1f}" text-anchor="end">{label}</text>')
        found.append(f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{end}" y2="{base}"/>')
        for value, label in self.x.ticks:
            at = _LEFT + self.x.share(value) * self.width
            found.append(f'<line class="axis" x1="{at:.1f}" y1="{base}" x2="{at:.1f}" y2="{base + 5}"/>')
            found.append(f'<text class="tick" x="{at:.1f}" y="{base + 21}" text-anchor="middle">{label}</text>')
        middle = _LEFT + self.width / 2
        return [*found, f'<text x="{middle:.1f}" y="{base + 46}" text-anchor="middle">{escape(figure.x_label)}</text>']


def _series(figure: Figure, place: int, plot: _Plot, end: tuple[float, float], name_y: float) -> list[str]:
    line = figure.lines[place]
    colour, dash = colour_of(place), dash_of(place)
    drawn = f' stroke-dasharray="{dash}"' if dash else ""
    parts = runs_of(line, log_x=figure.log_x)
    found = [f'<g class="series" style="stroke:{colour};fill:{colour}">']
    for part in parts:
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in map(plot.at, thinned(part, plot.x, plot.width)))
        found.append(f'<path class="line" d="M{path}"{drawn}/>')
    every = [point for part in parts for point in part]
    dots = len(every) <= MOST_DOTS
    for point in every if dots else _some(every):
        a, b = plot.at(point)
        told = escape(f"{line.name}\n{figure.x_label}: {number(point[0])}\n{figure.y_label}: {number(point[1])}")
        shown = "dot" if dots else "dot hidden"
        found.append(
            f'<g class="point"><circle class="hit" cx="{a:.1f}" cy="{b:.1f}" r="9"/>'
            f'<circle class="{shown}" cx="{a:.1f}" cy="{b:.1f}" r="4"/><title>{told}</title></g>'
        )
    edge = _LEFT + plot.width
    sample = edge + _LEAD
    found.append(f'<path class="lead" d="M{end[0] + 5:.1f} {end[1]:.1f}L{sample - 2} {name_y:.1f}"/>')
    found.append(f'<path class="line" d="M{sample} {name_y:.1f}h{_SAMPLE}"{drawn}/></g>')
    room = int((_WIDEST_NAMES - _BESIDE_NAME) / _LETTER)
    name = line.name if len(line.name) <= room else line.name[: room - 1] + "…"
    return [*found, f'<text class="name" x="{sample + _SAMPLE + 7}" y="{name_y + 4.5:.1f}">{escape(name)}</text>']


def _some(points: Sequence[Point]) -> list[Point]:
    step = (len(points) - 1) / (_HOVERED - 1)
    return [points[round(number * step)] for number in range(_HOVERED)]
