"""One line drawings of a comparison: repeats as dots on a scale, an interval against its tolerance.

Each is a list of (text, style) with the styles of Textual's content markup; `width` cells in all.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from harness.analysis import words
from harness.analysis.judge import MetricComparison

Spans = list[tuple[str, str]]
MUTED = "$foreground 60%"
FAINT = "$foreground 30%"
VERDICT_STYLES: Mapping[str | None, str] = {
    "better": "$text-success", "worse": "$text-error", "same": "$text-secondary", "inconclusive": "$text-warning",
    None: MUTED,
}  # fmt: skip
SIGNS: Mapping[str | None, str] = {"better": "▲", "worse": "▼", "same": "=", "inconclusive": "?", None: " "}
_SUM = "·•●"  # no value, one, several on one place


def scale_of(metric: MetricComparison) -> tuple[float, float] | None:
    """The least and the largest of both sides, with a margin where they are the same."""
    values = (*metric.a.all, *metric.b.all)
    if not values:
        return None
    low, high = min(values), max(values)
    if low == high:
        reach = abs(low) * 0.01 or 1.0
        return low - reach, high + reach
    return low, high


def dots(
    by_repeat: Mapping[int, float], contended: Collection[int], low: float, high: float, width: int, style: str
) -> Spans:
    """A dot for each repeat, a larger one for several, a ring where a contended one stands alone; `┃` the median."""
    cells: list[list[int]] = [[] for _ in range(width)]

    def place(value: float) -> int:
        return min(width - 1, max(0, round((value - low) / (high - low) * (width - 1))))

    for repeat, value in by_repeat.items():
        cells[place(value)].append(repeat)
    ordered = sorted(by_repeat.values())
    middle = place((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2) if ordered else None
    found: Spans = []
    for at, repeats in enumerate(cells):
        if repeats:
            alone = all(repeat in contended for repeat in repeats)
            found.append(("○" if alone else _SUM[min(2, len(repeats))], f"bold {style}"))
        elif at == middle:
            found.append(("┃", style))
        else:
            found.append(("·", FAINT))
    return _joined(found)


def interval(metric: MetricComparison, width: int) -> Spans:
    """The estimate with its interval from worse to better; the shaded middle is what counts as the same."""
    if metric.estimate is None or metric.method == "exact":
        return [(" " * width, "")]
    scale = math.log if metric.kind == "ratio" else float
    sign = words.direction(metric.better) or 1
    middle = sign * scale(metric.estimate)
    low, high = middle, middle
    if metric.low is not None and metric.high is not None and (metric.kind != "ratio" or metric.low > 0):
        low, high = sorted((sign * scale(metric.low), sign * scale(metric.high)))
    limit = metric.tolerance if metric.margin is None else metric.margin
    limit = math.log1p(limit) if metric.kind == "ratio" else limit
    reach = 1.1 * max(abs(low), abs(high), 3 * limit) or 1.0

    def place(value: float) -> int:
        return min(width - 1, max(0, round((value / reach + 1) / 2 * (width - 1))))

    cells = [("─", FAINT)] * width
    for at in range(place(-limit), place(limit) + 1):
        cells[at] = ("░", MUTED)
    cells[place(0.0)] = ("┼", MUTED)
    style = VERDICT_STYLES[metric.verdict] if metric.verdict is not None else "$foreground"
    for at in range(place(low), place(high) + 1):
        cells[at] = ("━", style)
    cells[place(middle)] = ("●", f"bold {style}")
    return _joined(cells)


def ends(metric: MetricComparison) -> tuple[str, str]:
    """The words at the two ends of `interval`."""
    return ("worse", "better") if words.direction(metric.better) else ("less", "more")


def _joined(cells: Sequence[tuple[str, str]]) -> Spans:
    """Neighbours of one style as one span."""
    found: Spans = []
    for text, style in cells:
        if found and found[-1][1] == style:
            found[-1] = (found[-1][0] + text, style)
        else:
            found.append((text, style))
    return found
