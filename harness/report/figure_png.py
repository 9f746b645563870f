"""Figures as a PNG picture, by matplotlib: the same lines, colours and names as the page, in its own fonts.

matplotlib is an extra (`recbench[plot]`) and is imported only here, when a picture is asked for.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from typing import Any

import harness
from harness.api import Figure
from harness.errors import UnavailableError
from harness.report.figure import MOST_DOTS, points_of, runs_of, spread, thinned, x_axis, y_axis
from harness.report.figure_svg import COLOURS, DASHES

_WIDTH_IN, _HEIGHT_IN, _DPI = 8.6, 4.7, 200
_TEXT, _MUTED, _GRID, _AXIS, _PAGE = "#1c1c1a", "#6b6a65", "#e8e7e2", "#b5b4ad", "#fcfcfb"
_NAME_IN = 0.185  # between the names of two lines
_LETTER_IN = 0.078
_LEFT_IN, _TOP_IN, _BOTTOM_IN = 0.75, 0.85, 0.75
_LONGEST_NAME = 30


def require_png() -> None:
    """UnavailableError where matplotlib is missing: asked before a long measurement, not behind it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UnavailableError("a PNG picture needs matplotlib, which is not installed", hint=_HINT)


_HINT = "pip install 'recbench[plot]', or write a page: --html FILE"


def png(figures: Sequence[Figure]) -> bytes:
    """The picture, one figure below the other. Without a window, a display or fonts of the system."""
    require_png()
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Paper

    with rc_context({"font.family": ["DejaVu Sans"], "font.size": 9.5, "axes.unicode_minus": False}):
        heights = [_height(figure) for figure in figures]
        paper = Paper(figsize=(_WIDTH_IN, sum(heights)), dpi=_DPI, facecolor=_PAGE)
        canvas: Any = FigureCanvasAgg(paper)
        below = sum(heights)
        for figure, height in zip(figures, heights, strict=True):
            below -= height
            _draw(paper, figure, below, height, sum(heights))
        found = io.BytesIO()
        canvas.print_png(found, metadata={"Software": f"recbench {harness.__version__}"})
    return found.getvalue()


def _height(figure: Figure) -> float:
    return max(_HEIGHT_IN, len(figure.lines) * _NAME_IN + _TOP_IN + _BOTTOM_IN)


def _draw(paper: Any, figure: Figure, below: float, height: float, whole: float) -> None:
    points = points_of(figure)
    drawn = [place for place, found in enumerate(points) if found]
    names = [_short(line.name) for line in figure.lines]
    right = 0.6 + _LETTER_IN * max((len(names[place]) for place in drawn), default=0)
    width = _WIDTH_IN - _LEFT_IN - right
    tall = height - _TOP_IN - _BOTTOM_IN
    axes = paper.add_axes(
        (_LEFT_IN / _WIDTH_IN, (below + _BOTTOM_IN) / whole, width / _WIDTH_IN, tall / whole), facecolor="none"
    )
    paper.text(0.18 / _WIDTH_IN, (below + height - 0.33) / whole, figure.title, color=_TEXT, fontsize=12, weight="bold")
    paper.text(0.18 / _WIDTH_IN, (below + height - 0.66) / whole, figure.y_label, color=_MUTED)
    x, y = x_axis(figure, int(width / 0.75)), y_axis(figure, int(tall / 0.55))
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_AXIS)
    if x is None or y is None:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing to draw", color=_MUTED, ha="center", transform=axes.transAxes)
        return
    # Axes are drawn over places, not values: logarithms are taken here, as for the other drawings.
    axes.set_xlim(x.span.low, x.span.high)
    axes.set_ylim(y.span.low, y.span.high)
    axes.set_xticks([x.place(value) for value, _ in x.ticks], [label for _, label in x.ticks])
    axes.set_yticks([value for value, _ in y.ticks], [label for _, label in y.ticks])
    axes.tick_params(colors=_MUTED, labelcolor=_MUTED, length=3)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", color=_AXIS)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(figure.x_label, color=_MUTED, labelpad=8)
    ends = [y.share(points[place][-1][1]) * tall for place in drawn]
    # From the top, as in the other drawings, so that lines that end alike are named in their own order.
    places = [tall - down for down in spread([tall - end for end in ends], _NAME_IN, 0.03, tall - 0.03)]
    for place, end, name_at in zip(drawn, ends, places, strict=True):
        colour = COLOURS[place % len(COLOURS)]
        dash = [float(part) / 2 for part in DASHES[place // len(COLOURS) % len(DASHES)].split()]
        dots = len(points[place]) <= MOST_DOTS
        for part in runs_of(figure.lines[place], log_x=figure.log_x):
            kept = thinned(part, x, int(width * _DPI))
            axes.plot(
                [x.place(a) for a, _ in kept], [b for _, b in kept], color=colour, linewidth=1.7, clip_on=False,
                linestyle=(0, tuple(dash)) if dash else "solid", marker="o" if dots or len(kept) == 1 else None,
                markersize=5, markeredgecolor=_PAGE, markeredgewidth=0.9, solid_capstyle="round", zorder=3,
            )  # fmt: skip
        last = x.share(points[place][-1][0]) * width
        inches = {"xycoords": "axes fraction", "textcoords": "axes fraction", "annotation_clip": False}
        axes.annotate(
            "", ((last + 0.05) / width, end / tall), ((width + 0.17) / width, name_at / tall),
            arrowprops={"arrowstyle": "-", "color": colour, "alpha": 0.5, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
            **inches,
        )  # fmt: skip
        axes.plot(
            [(width + 0.2) / width, (width + 0.4) / width], [name_at / tall] * 2, transform=axes.transAxes,
            clip_on=False, color=colour, linewidth=1.7, linestyle=(0, tuple(dash)) if dash else "solid",
        )  # fmt: skip
        axes.annotate(
            names[place], (0, 0), ((width + 0.47) / width, name_at / tall), color=_TEXT, va="center", **inches
        )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
