"""Our own colours: one dark and one light theme, and the colours of series in charts, which every theme gets.

The series' colours are chosen so that a terminal of 16 colours still shows six different ones
(`tests/dashboard/test_themes.py`); whoever wants the terminal's own palette takes Textual's `ansi-dark`.
"""

from __future__ import annotations

from textual.theme import Theme

DEFAULT_THEME = "recbench"
SERIES = ("#4c9aff", "#ffaf5f", "#5fd787", "#d787ff", "#39c5cf", "#ff7b72")
SERIES_LIGHT = ("#0550c8", "#b35900", "#1a7f37", "#8a3ffc", "#0e7490", "#c62828")
SERIES_ANSI = ("ansi_bright_blue", "ansi_yellow", "ansi_green", "ansi_magenta", "ansi_cyan", "ansi_red")

OUR_THEMES = (
    Theme(
        name="recbench",
        primary="#4c9aff",
        secondary="#39c5cf",
        accent="#ffaf5f",
        warning="#e3b341",
        error="#ff7b72",
        success="#5fd787",
        foreground="#d5dbe3",
        background="#0e1116",
        surface="#12161d",
        panel="#1a2029",
        dark=True,
        variables={"footer-key-foreground": "#4c9aff", "footer-background": "#1a2029"},
    ),
    Theme(
        name="recbench-light",
        primary="#0550c8",
        secondary="#0e7490",
        accent="#b35900",
        warning="#9a6700",
        error="#c62828",
        success="#1a7f37",
        foreground="#1f2328",
        background="#ffffff",
        surface="#f7f8fa",
        panel="#e9edf2",
        dark=False,
        variables={"footer-key-foreground": "#0550c8", "footer-background": "#e9edf2"},
    ),
)


def series_variables(theme: Theme) -> dict[str, str]:
    """`$series-1` … `$series-6`, readable on the background of `theme`."""
    colours = SERIES_ANSI if theme.ansi else SERIES if theme.dark else SERIES_LIGHT
    return {f"series-{number}": colour for number, colour in enumerate(colours, start=1)}
