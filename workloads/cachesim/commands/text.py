"""Numbers and tables as a terminal shows them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

GAP = "  "
_BYTES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def byte_text(count: float) -> str:
    """Three digits and a decimal unit: `39.8 GB`."""
    for factor, unit in _BYTES:
        if abs(count) >= 0.9995 * factor:
            value = count / factor
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return f"{count:.0f} B"


def round_byte_text(count: float) -> str:
    """As few digits as tell it: `40 GB`, `1.5 GB`."""
    number, unit = byte_text(count).split(" ")
    return f"{float(number):g} {unit}"


def counted(count: int, noun: str) -> str:
    """`1 table`, `3 tables`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def percent(share: float | None, digits: int = 2) -> str:
    return "–" if share is None else f"{share:.{digits}%}".replace("%", " %")


def share_text(share: float) -> str:
    """A share of rows with as many digits as tell it apart: `10 %`, `0.05 %`; 100 % is all of them."""
    value = 100 * share
    if value == 0:
        return "0 %"
    for digits in range(4):
        rounded = round(value, digits)
        if abs(rounded - value) < 0.02 * value and not value < rounded == 100:
            return f"{rounded:.{digits}f} %"
    return f"{min(value, 99.9999) if value < 100 else value:.4f} %"


def table_lines(
    heads: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, fixed: int = 1, left: int = 0
) -> list[str]:
    """A table, right-aligned but for its first `left` columns.

    Columns that do not fit beside the first `fixed` ones follow in blocks below, each beginning with those.
    """
    widths = [max(len(head), *(len(row[place]) for row in rows)) for place, head in enumerate(heads)]
    blocks: list[list[int]] = []
    room = width - sum(widths[:fixed]) - len(GAP) * (fixed - 1)
    taken = width + 1
    for place in range(fixed, len(heads)):
        taken += widths[place] + len(GAP)
        if taken > room:
            blocks.append([])
            taken = widths[place] + len(GAP)
        blocks[-1].append(place)
    lines: list[str] = []
    for block in blocks or [[]]:
        places = [*range(fixed), *block]
        lines += [""] if lines else []
        for cells in (heads, *rows):
            parts = [f"{cells[p]:<{widths[p]}}" if p < left else f"{cells[p]:>{widths[p]}}" for p in places]
            lines.append(GAP.join(parts).rstrip())
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """A sentence as lines."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
