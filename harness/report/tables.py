"""Lists of things as tables that fit: names are never cut or broken, sentences wrap at words, long lists at commas.

A table is as wide as the terminal; in a file or a pipe as wide as it must be, up to `PIPED_WIDTH` where its texts can
wrap, and without blanks at the ends of its lines.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.analysis import words

PIPED_WIDTH = 120
_GAP = 2
_SHORT_WORD = 32  # a longer one may be broken: a path, a list of numbers


@dataclass(frozen=True, slots=True)
class Listing:
    """Headings and rows. Columns named in `right` hold numbers; only those in `fold` may wrap.

    Those in `drop` are left out, the first one first, where a terminal is too narrow.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    right: frozenset[str]
    fold: frozenset[str]
    drop: tuple[str, ...] = ()

    @property
    def least_width(self) -> int:
        """Columns below which a name or a word would be broken."""
        return _total([self._least(place) for place in range(len(self.headings))])

    @property
    def natural_width(self) -> int:
        """Columns in which nothing wraps."""
        return _total([self._natural(place) for place in range(len(self.headings))])

    def narrowed(self, width: int) -> Listing:
        """Without as many of the columns in `drop` as do not fit."""
        if self.least_width <= width or not self.drop:
            return self
        kept = [place for place, heading in enumerate(self.headings) if heading != self.drop[0]]
        without = replace(
            self,
            headings=tuple(self.headings[place] for place in kept),
            rows=tuple(tuple(row[place] for place in kept) for row in self.rows),
            drop=self.drop[1:],
        )
        return without.narrowed(width)

    def table(self, width: int) -> Table:
        """The table in `width` columns; wider where its names need more."""
        widths = self._widths(width)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        for heading, column in zip(self.headings, widths, strict=True):
            justify: Any = "right" if heading in self.right else "left"
            table.add_column(heading, justify=justify, overflow="fold", width=column)
        for row in self.rows:
            table.add_row(*(_broken(cell, column) for cell, column in zip(row, widths, strict=True)))
        return table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.narrowed(options.max_width).table(options.max_width)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(self.least_width, options.max_width), min(self.natural_width, options.max_width))

    def _cells(self, place: int) -> Iterator[str]:
        yield from self.headings[place].split("\n")
        for row in self.rows:
            yield from row[place].plain.split("\n")

    def _natural(self, place: int) -> int:
        return max(map(cell_len, self._cells(place)), default=0)

    def _least(self, place: int) -> int:
        if self.headings[place] not in self.fold:
            return self._natural(place)
        longest = max((cell_len(word) for line in self._cells(place) for word in line.split()), default=0)
        return min(longest, _SHORT_WORD)

    def _widths(self, width: int) -> list[int]:
        widths = [self._natural(place) for place in range(len(self.headings))]
        least = [self._least(place) for place in range(len(self.headings))]
        while _total(widths) > width:
            widest = max(range(len(widths)), key=lambda place: (widths[place] > least[place], widths[place]))
            if widths[widest] <= least[widest]:
                break
            widths[widest] -= 1
        return widths


def plain_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    right: Sequence[str] = (),
    fold: Sequence[str] | None = None,
    drop: Sequence[str] = (),
) -> Listing:
    """A list of things, see `Listing`; all columns may wrap when `fold` is None."""
    return Listing(
        headings=tuple(headings),
        rows=tuple(tuple(Text(part) if isinstance(part, str) else part for part in row) for row in rows),
        right=frozenset(right),
        fold=frozenset(headings if fold is None else fold),
        drop=tuple(drop),
    )


def settings_table(rows: Iterable[tuple[str, Any, str]]) -> Listing:
    """Key, value and origin of every setting: `--dry-run` and `bench config show`."""
    return plain_table(
        ("setting", "value", "origin"),
        [
            (key, words.setting_text(value), Text(origin, style="dim" if origin == "default" else "cyan"))
            for key, value, origin in rows
        ],
        fold=("value", "origin"),
    )


def print_table(console: Console, listing: Listing) -> None:
    """As wide as the terminal; in a file or a pipe without trailing blanks. Wider where its names need it."""
    if console.is_terminal:
        shown = listing.narrowed(console.width)
        width = max(console.width, shown.least_width)
        wide: Any = {"file": console.file, "force_terminal": True, "color_system": console.color_system}
        fits = width == console.width
        (console if fits else Console(width=width, highlight=False, markup=False, **wide)).print(shown.table(width))
        return
    width = max(console.width, PIPED_WIDTH, listing.least_width)
    print_stripped(console, listing.table(width), width)


def print_stripped(console: Console, renderable: RenderableType, width: int = PIPED_WIDTH) -> None:
    """For a file or a pipe: `width` columns, without colours and without blanks at the ends of lines."""
    held = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False)
    held.print(renderable)
    for line in held.file.getvalue().splitlines():  # type: ignore[attr-defined]
        console.print(line.rstrip(), soft_wrap=True, highlight=False)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * max(0, len(widths) - 1)


def _broken(cell: Text, width: int) -> Text:
    """The cell with words that are longer than its column broken behind a comma or a slash, where there is one."""
    plain = cell.plain
    breaks = []
    start = 0
    for place, letter in enumerate(plain):
        if letter.isspace():
            start = place + 1
        elif place - start >= width:
            end = max(plain.rfind(",", start, place), plain.rfind("/", start, place)) + 1
            start = end if end > start else place
            breaks.append(start)
    if not breaks:
        return cell
    return Text("\n").join(cell.divide(breaks))
