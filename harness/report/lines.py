"""Sentences for a terminal: wrapped at words, with a hanging indent; whole where the output goes into a file or a pipe.

A word is broken only where it is longer than a whole line, as a path may be.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text


def say(console: Console, text: str | Text, *, hang: int = 0, style: str = "") -> None:
    """Prints one paragraph. Lines after the first are indented by `hang` columns."""
    whole = Text(text, style=style) if isinstance(text, str) else text
    if not console.is_terminal:
        console.print(whole, soft_wrap=True, highlight=False)
        return
    for line in wrapped(console, whole, hang):
        console.print(line, soft_wrap=True, highlight=False)


def wrapped(console: Console, text: Text, hang: int = 0) -> list[Text]:
    """The lines of a paragraph as wide as the console."""
    found: list[Text] = []
    for paragraph in text.split("\n", allow_blank=True):
        indent = hang if hang < console.width // 2 else 0
        first = _head(console, paragraph, console.width)
        found.append(first)
        rest = paragraph[len(first) :]
        rest = rest[len(rest.plain) - len(rest.plain.lstrip(" ")) :]
        while rest.plain:
            line = _head(console, rest, console.width - indent)
            found.append(Text(" " * indent) + line)
            rest = rest[len(line) :]
            rest = rest[len(rest.plain) - len(rest.plain.lstrip(" ")) :]
    for line in found:
        line.rstrip()
    return found


def _head(console: Console, text: Text, width: int) -> Text:
    """As much of `text` as one line holds."""
    if not text.plain:
        return text
    lines = text.wrap(console, max(1, width), overflow="fold")
    return text[: len(lines[0].plain)] if len(lines) > 1 else text
