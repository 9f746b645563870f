"""Text in cells of a terminal: cut or filled to a width, wide characters and line ends included."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly `width` cells; what is cut ends in an ellipsis."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    fill = " " * (width - length)
    return fill + text if right else text + fill
