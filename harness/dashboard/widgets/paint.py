"""Rows of styled text, drawn straight into strips: what most of the dashboard is made of.

A row is a tuple of (text, style name); the names are few and have a meaning, and a `Palette` makes colours of them for
the theme of the moment. Views make rows from values, widgets draw them, tests read their text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.strip import Strip

Span = tuple[str, str]
Row = tuple[Span, ...]

TEXT, STRONG, MUTED, FAINT = "text", "strong", "muted", "faint"
GOOD, WARN, BAD, LIVE = "good", "warn", "bad", "live"
SERIES = tuple(f"series-{number}" for number in range(1, 7))

_MUTED_SHARE = 0.42  # of the way from the text's colour to the background's
_FAINT_SHARE = 0.72


@dataclass(frozen=True, slots=True)
class Palette:
    """Styles by name on one background. `style("good bold")` is the same with an attribute."""

    styles: Mapping[str, Style]

    def style(self, name: str) -> Style:
        found = self.styles.get(name)
        if found is not None:
            return found
        first, *attributes = name.split()
        return self.styles.get(first, self.styles[TEXT]) + Style.parse(" ".join(attributes) or "none")


def palette_of(variables: Mapping[str, str], background: Color, *, ansi: bool) -> Palette:
    """The styles of a theme; with the terminal's own colours, what is muted is dimmed instead of mixed."""
    behind = None if ansi else background.rich_color
    foreground = Color.parse(variables["foreground"])

    def plain(colour: Color, *, bold: bool = False, dim: bool = False) -> Style:
        return Style(color=colour.rich_color, bgcolor=behind, bold=bold or None, dim=dim or None)

    def quiet(share: float) -> Style:
        if ansi:
            return plain(foreground, dim=True)
        return plain(foreground.blend(background, share))

    named = {GOOD: "success", WARN: "warning", BAD: "error", LIVE: "primary", **{name: name for name in SERIES}}
    styles: dict[str, Style] = {name: plain(Color.parse(variables[variable])) for name, variable in named.items()}
    return Palette(
        {
            **styles,
            TEXT: plain(foreground),
            STRONG: plain(foreground, bold=True),
            MUTED: quiet(_MUTED_SHARE),
            FAINT: quiet(_FAINT_SHARE),
        }
    )


def text_of(row: Row) -> str:
    return "".join(text for text, _ in row)


def width_of(row: Iterable[Span]) -> int:
    return sum(cell_len(text) for text, _ in row)


def clipped(row: Row, width: int) -> Row:
    """At most `width` cells; what is cut off is told by `…`."""
    if width_of(row) <= width:
        return row
    found: list[Span] = []
    room = max(0, width - 1)
    style = TEXT
    for text, style in row:
        length = cell_len(text)
        if length > room:
            found.append((set_cell_size(text, room), style))
            break
        found.append((text, style))
        room -= length
    return (*found, ("…", style)) if width > 0 else ()


def spread_out(left: Row, right: Row, width: int) -> Row:
    """`right` at the right edge; it goes where there is no room for both."""
    space = width - width_of(left) - width_of(right)
    return (*left, (" " * space, TEXT), *right) if space >= 2 else left


def strip_of(row: Row, width: int, palette: Palette) -> Strip:
    """One line of exactly `width` cells."""
    row = clipped(row, width)
    segments = [Segment(text, palette.style(style)) for text, style in row]
    missing = width - width_of(row)
    if missing > 0:
        segments.append(Segment(" " * missing, palette.style(TEXT)))
    return Strip(segments, width)


def bar(share: float | None, width: int, style: str) -> Row:
    """A bar of `width` cells, half a cell fine: `━━━━━╸────`; faint throughout where the share is not known."""
    if share is None:
        return (("─" * width, FAINT),)
    halves = round(max(0.0, min(1.0, share)) * width * 2)
    full, half = divmod(halves, 2)
    spans = [("━" * full + ("╸" if half else ""), style), ("─" * (width - full - half), FAINT)]
    return tuple(span for span in spans if span[0])


def levels(values: Iterable[float | None], *, top: float = 1.0) -> str:
    """One character a value, eight levels high: `▁▃▇█`; `·` where it is not known."""
    return "".join("·" if value is None else "▁▂▃▄▅▆▇█"[max(0, min(7, int(value / top * 8)))] for value in values)
