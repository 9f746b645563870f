"""Numbers in sentences and panels: an estimate with its interval, a time of the day's length, a share, a count.

One number with its unit comes from `harness.report.quantity`; here several share one unit and one number of digits.
"""

from __future__ import annotations

import math

from harness.report.quantity import quantity, split_quantity

_NOTHING = "–"
_BYTES = {"B": "bytes", "B/s": "bytes/s"}


def amount(value: float | None, unit: str) -> str:
    """One number with its unit; seconds from two minutes on are written as `3 min 20 s`."""
    if value is not None and unit == "s" and value >= 120:
        return duration(value)
    return quantity(value, _BYTES.get(unit, unit))


def brief(value: float | None, unit: str) -> str:
    """One number in three digits, for a line of several."""
    if value is not None and unit == "s" and value >= 1:
        return duration(value)
    number, shown = split_quantity(value, _BYTES.get(unit, unit))
    digits = number.rstrip("TGMk")
    if value is None or not math.isfinite(value) or "e" in digits:
        return f"{number} {shown}".rstrip()
    rounded = f"{value / _scale(value, digits):.3g}"
    rounded = f"{float(rounded):g}" if "e" in rounded else rounded
    return f"{rounded}{number.removeprefix(digits)} {shown}".rstrip()


def spread(median: float | None, low: float | None, high: float | None, unit: str) -> tuple[str, str]:
    """The median with its unit, and `[low, high]` in the same unit and digits; empty without an interval."""
    if median is None:
        return _NOTHING, ""
    if low is None or high is None or not math.isfinite(low + high):
        return amount(median, unit), ""
    unit = _BYTES.get(unit, unit)
    number, shown = split_quantity(median, unit)
    suffix = number[-1] if number[-1:] in "TGMk" else ""
    scale = _scale(median, number.removesuffix(suffix))
    decimals = _decimals((high - low) / 2 / scale, most=_most(median / scale, quality=not unit))
    middle, below, above = (f"{value / scale:.{decimals}f}{suffix}" for value in (median, low, high))
    return f"{middle} {shown}".rstrip(), f"[{below}, {above}]"


def duration(seconds: float | None) -> str:
    """`0.8 s`, `42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds is None:
        return _NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    for size, name, below, below_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            more = whole % size // below
            return f"{whole // size} {name}" + (f" {more} {below_name}" if more else "")
    return f"{whole} s"


def clock(seconds: float | None) -> str:
    """`00:42`, `03:20`, `2:05:00`: a column of times."""
    if seconds is None:
        return _NOTHING
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def share(fraction: float | None) -> str:
    """`23 %`, `4.1 %`, `0.03 %`."""
    if fraction is None:
        return _NOTHING
    percent = 100 * fraction
    return f"{percent:.0f} %" if abs(percent) >= 9.95 or percent == 0 else f"{float(f'{percent:.2g}'):g} %"


def _scale(value: float, shown: str) -> float:
    """What the shown number was divided by: a power of a thousand or of 1024, or of a thousandth."""
    number = float(shown)
    if not number:
        return 1.0
    quotient = value / number
    candidates = [1000.0**power for power in range(-3, 5)] + [1024.0**power for power in range(1, 5)]
    return min(candidates, key=lambda scale: abs(math.log(quotient / scale)))


def _most(value: float, *, quality: bool) -> int:
    """Three digits that count, and four decimals for a quality such as an AUC."""
    if quality and abs(value) < 10:
        return 4
    return max(1, 2 - math.floor(math.log10(abs(value)))) if value else 3


def _decimals(half_width: float, *, most: int) -> int:
    """So many that the half width shows two digits."""
    if half_width <= 0:
        return most
    return max(0, min(most, 1 - math.floor(math.log10(half_width))))
