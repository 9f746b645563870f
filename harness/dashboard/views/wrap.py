"""Words into lines."""

from __future__ import annotations


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters, broken between words; a word that is longer stands alone."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line] if line else lines
