"""The arithmetic of a braille chart: ranges, ticks, and dots in cells. Pure functions over numbers; no Textual.

A cell holds 2 × 4 dots. Dots are counted from the left and from the top.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

# Bits of U+2800 by (column, row) of the dot in its cell: Unicode, block Braille Patterns.
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_TRUSTED = 8  # points from which percentiles say more than the extremes
_TRIM = 0.02  # at each end
_MARGIN = 0.06
_SMALLEST = 1e-200  # what is nearer than this is the same
_FROM_ZERO = 0.45  # a range that would begin below this share of its top begins at zero
_CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BYTES = ((2.0**40, "Ti"), (2.0**30, "Gi"), (2.0**20, "Mi"), (2.0**10, "Ki"))


@dataclass(frozen=True, slots=True)
class Range:
    low: float
    high: float

    @property
    def size(self) -> float:
        return self.high - self.low


def value_range(
    values: Iterable[float | None], *, include: Iterable[float] = (), least_share: float = 0.0
) -> Range | None:
    """From the 2nd to the 98th percentile with a margin, so that one odd window cannot flatten the rest.

    From few points the extremes. `include` are values that must be in sight; the range covers at least `least_share`
    of its top. None without values.
    """
    known = sorted(value for value in values if value is not None and math.isfinite(value))
    wanted = [value for value in include if math.isfinite(value)]
    if not known and not wanted:
        return None
    cut = max(1, int(len(known) * _TRIM)) if len(known) >= _TRUSTED else 0
    kept = known[cut : len(known) - cut] + wanted
    low, high = min(kept), max(kept)
    if 0 <= low < _FROM_ZERO * high:
        low = 0.0
    missing = least_share * abs(high) - (high - low)
    if missing > 0:
        low, high = low - missing / 2, high + missing / 2
    margin = next(size for size in ((high - low) * _MARGIN, abs(high) * 0.05, 1.0) if size > _SMALLEST)
    return Range(low - margin if low != 0 else 0.0, high + margin)


def ticks(span: Range, most: int) -> list[float]:
    """Round values inside the range, at most `most`."""
    if most < 1 or span.size <= 0:
        return []
    power = 10.0 ** math.floor(math.log10(span.size / most))
    step = next(step * power for step in (1, 2, 5, 10, 20) if span.size / (step * power) <= most + 0.5)
    first = math.ceil(span.low / step - 1e-9)
    return [number * step for number in range(first, math.floor(span.high / step + 1e-9) + 1)]


def clock_ticks(span: Range, most: int) -> list[float]:
    """The same for seconds: multiples of 1, 2, 5, 10, 15, 30 seconds, minutes, hours."""
    step = next((step for step in _CLOCK_STEPS if span.size / step <= most), None)
    if step is None or span.size < 2:
        return ticks(span, most)
    first = math.ceil(span.low / step - 1e-9)
    return [float(number * step) for number in range(first, math.floor(span.high / step + 1e-9) + 1)]


def power_ticks(span: Range, most: int) -> list[float]:
    """Powers of ten (of two, where there are few) inside a logarithmic range, as values; `span` holds logarithms."""
    for base in (2.0, 4.0, 10.0, 16.0, 100.0, 256.0, 1000.0, 1e4, 1e6):
        first = math.ceil(span.low / math.log10(base) - 1e-9)
        last = math.floor(span.high / math.log10(base) + 1e-9)
        if last - first + 1 <= most:
            return [base**number for number in range(first, last + 1)]
    return []


def labels(values: Sequence[float], unit: str = "") -> list[str]:
    """All with one prefix and as many decimals as tell them apart; nought is `0`."""
    if not values:
        return []
    largest = max(abs(value) for value in values)
    table = _BYTES if unit in ("B", "bytes", "B/s", "bytes/s") else _PREFIXES
    scale, prefix = next(((scale, name) for scale, name in table if largest >= scale), (1.0, ""))
    if scale == 1e3 and largest < 10_000:
        scale, prefix = 1.0, ""
    gaps = [abs(b - a) / scale for a, b in pairwise(values) if b != a]
    step = min(gaps) if gaps else largest / scale or 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    if step >= 1 and any(abs(value / scale - round(value / scale)) > 1e-6 for value in values):
        decimals = 1
    return ["0" if value == 0 else f"{value / scale:.{decimals}f}{prefix}" for value in values]


class Canvas:
    """`width` × `height` cells. Each cell keeps the colour of the line that was drawn into it last."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._bits = [bytearray(width) for _ in range(height)]
        self._inks = [bytearray(width) for _ in range(height)]

    def line(self, xs: Sequence[float], ys: Sequence[float | None], x: Range, y: Range, ink: int) -> None:
        """Joins the points, which come in order of x; a gap where y is None; what lies outside lands on the edge."""
        columns = _columns(xs, ys, x, self.width * 2)
        rows = self.height * 4 - 1
        scale = rows / y.size if y.size > 0 else 0.0
        before: tuple[int, int] | None = None
        for column, first, low, high, last in columns:
            if first is None or last is None:
                before = None
                continue
            begin, end = _row(first, y, scale, rows), _row(last, y, scale, rows)
            top, bottom = _row(high, y, scale, rows), _row(low, y, scale, rows)
            if before is not None:
                self._join(before, (column, begin), ink)
            self._column(column, top, bottom, ink)
            before = (column, end)

    def level(self, value: float, y: Range, ink: int) -> int | None:
        """A dashed line at `value`; the row of cells it lies in, None outside the range."""
        if not y.low <= value <= y.high:
            return None
        rows = self.height * 4 - 1
        row = _row(value, y, rows / y.size, rows)
        for column in range(0, self.width * 2, 4):
            self._column(column, row, row, ink)
            self._column(column + 1, row, row, ink)
        return row // 4

    def row(self, place: int) -> list[tuple[str, int]]:
        """(text, ink) of a line of cells, equal inks joined; ink 0 is blank."""
        found: list[tuple[str, int]] = []
        bits, inks = self._bits[place], self._inks[place]
        begin = 0
        for at in range(1, self.width + 1):
            if at == self.width or inks[at] != inks[begin]:
                text = "".join(chr(0x2800 + bit) if bit else " " for bit in bits[begin:at])
                found.append((text, inks[begin]))
                begin = at
        return found

    def _join(self, start: tuple[int, int], end: tuple[int, int], ink: int) -> None:
        """A straight line, a column at a time."""
        (x0, y0), (x1, y1) = start, end
        across = x1 - x0
        for step in range(across):
            a = y0 + (y1 - y0) * step // across
            b = y0 + (y1 - y0) * (step + 1) // across
            self._column(x0 + step, min(a, b), max(a, b), ink)

    def _column(self, column: int, top: int, bottom: int, ink: int) -> None:
        if not 0 <= column < self.width * 2:
            return
        cell, bits = column >> 1, _BITS[column & 1]
        for row in range(top, bottom + 1):
            self._bits[row >> 2][cell] |= bits[row & 3]
            self._inks[row >> 2][cell] = ink


_Column = tuple[int, float | None, float, float, float | None]


def _columns(xs: Sequence[float], ys: Sequence[float | None], x: Range, dots: int) -> Iterable[_Column]:
    """(column, first, lowest, highest, last) of each column of dots that has points; Nones break the line."""
    scale = (dots - 1) / x.size if x.size > 0 else 0.0
    current: int | None = None
    first = low = high = last = 0.0
    for at, value in zip(xs, ys, strict=False):
        if value is None or not math.isfinite(value):
            if current is not None:
                yield current, first, low, high, last
                current = None
            yield 0, None, 0.0, 0.0, None
            continue
        column = int((at - x.low) * scale + 0.5)
        if column == current:
            low, high, last = min(low, value), max(high, value), value
            continue
        if current is not None:
            yield current, first, low, high, last
        current, first, low, high, last = column, value, value, value, value
    if current is not None:
        yield current, first, low, high, last


def _row(value: float, y: Range, scale: float, rows: int) -> int:
    return rows - max(0, min(rows, int((value - y.low) * scale + 0.5)))
