"""Named bars under one another: hit ratios of policies, throughputs of cells."""

from __future__ import annotations

from collections.abc import Sequence

from harness.dashboard.widgets.paint import LIVE, MUTED, STRONG, TEXT, Row, bar

LONGEST = 24  # of a name
_SHORTEST = 6  # of a bar, below which there is none


def bar_rows(bars: Sequence[tuple[str, float, str, bool]], width: int, *, top: float | None = None) -> list[Row]:
    """(name, value, the value in words, whether it is the current one) each; full at `top`, or at the highest."""
    if not bars:
        return []
    full = top or max(value for _, value, _, _ in bars) or 1.0
    label = min(LONGEST, max(len(name) for name, *_ in bars))
    words = max(len(text) for _, _, text, _ in bars)
    room = width - label - words - 4
    rows: list[Row] = []
    for name, value, text, current in bars:
        shown = name if len(name) <= label else name[: label - 1] + "…"
        head: Row = ((f" {shown:<{label}} ", STRONG if current else TEXT),)
        body = bar(value / full, room, LIVE if current else MUTED) if room >= _SHORTEST else ()
        rows.append((*head, *body, (f" {text:>{words}} ", TEXT)))
    return rows
