"""A number with its unit, as a person reads it: `26.1k samples/s`, `1.84 ms`, `3.2 GiB`, `0.7712`.

Four significant digits at most; units of time, bytes and rates get a prefix, everything else keeps its own.
"""

from __future__ import annotations

import math

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_BYTE_UNITS = {"bytes": "", "B": "", "bytes/s": "/s", "B/s": "/s"}
_THOUSANDS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def quantity(value: float | None, unit: str) -> str:
    """Value and unit; `–` for what was not measured."""
    number, shown_unit = split_quantity(value, unit)
    return f"{number} {shown_unit}".rstrip()


def split_quantity(value: float | None, unit: str) -> tuple[str, str]:
    """The number as text, and the unit it is in (`("1.84", "ms")` for 0.00184 s)."""
    if value is None:
        return "–", ""
    if not math.isfinite(value):
        return str(value), unit
    if unit == "s" and 0 < abs(value) < 1:
        return _prefixed(value, _TIMES, smallest=True)
    if unit in _BYTE_UNITS and abs(value) >= 1024:
        number, prefixed = _prefixed(value, _BYTES)
        return number, prefixed + _BYTE_UNITS[unit]
    if abs(value) >= 10_000:
        number, prefix = _prefixed(value, _THOUSANDS)
        return number + prefix, unit
    return _digits(value), unit


def _prefixed(value: float, scales: tuple[tuple[float, str], ...], *, smallest: bool = False) -> tuple[str, str]:
    for scale, name in scales:
        # Rounding must not show 1000 of the smaller one.
        if abs(value) >= scale * 0.99995:
            return _four_digits(value / scale), name
    scale, name = scales[-1]
    return (_four_digits(value / scale), name) if smallest else (_digits(value), "")


def _digits(value: float) -> str:
    """Whole numbers stay whole."""
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 10_000 else _four_digits(value)


def _four_digits(value: float) -> str:
    rounded = float(f"{value:.4g}")
    if rounded == 0 or not 1e-3 <= abs(rounded) < 1e7:
        return f"{value:.3e}"
    return f"{value:.{max(0, 3 - math.floor(math.log10(abs(rounded))))}f}"
