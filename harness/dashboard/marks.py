"""The two cells that the person has marked, A (the baseline) and B, for every screen alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True)
class Marks:
    """Full ids of cells, None where none is marked."""

    a: str | None = None
    b: str | None = None

    def toggle(self, cell: str) -> None:
        """A mark that is there goes; else A where it is free, and then B, which moves."""
        if cell == self.a:
            self.a = None
        elif cell == self.b:
            self.b = None
        elif self.a is None:
            self.a = cell
        else:
            self.b = cell

    def pin(self, cell: str) -> None:
        """The cell is the baseline; the old one is B where the cell was B."""
        if cell == self.b:
            self.a, self.b = self.b, self.a
        else:
            self.a = cell

    def letter(self, cell: str) -> Literal["A", "B", ""]:
        return "A" if cell == self.a else "B" if cell == self.b else ""

    def forget(self, cells: set[str]) -> None:
        """Cells that are gone are not marked."""
        self.a = None if self.a in cells else self.a
        self.b = None if self.b in cells else self.b

    @property
    def both(self) -> bool:
        return self.a is not None and self.b is not None
