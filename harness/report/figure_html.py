"""Figures as one page that needs nothing else: drawings in SVG, light or dark as the reader has it, numbers below.

page([figure], title="cachesim", notes=["experiment k3f9a"])
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import harness
from harness.api import Figure
from harness.report.figure import number, points_of
from harness.report.figure_svg import COLOURS, COLOURS_DARK, STYLE, svg

_MOST_ROWS = 400  # of the numbers that a page holds


def page(figures: Sequence[Figure], *, title: str, notes: Sequence[str] = ()) -> str:
    """The whole document. `notes` are sentences below the title: what was measured, and where it is kept."""
    body = "\n".join(_section(figure) for figure in figures)
    told = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="recbench {harness.__version__}">
<title>{escape(title)}</title>
<style>
{_colours()}
{_PAGE}
{STYLE}
</style>
</head>
<body>
<main>
<header><h1>{escape(title)}</h1>{told}</header>
{body}
<footer>recbench {harness.__version__}</footer>
</main>
</body>
</html>
"""


def _section(figure: Figure) -> str:
    drawn = f"<figure>\n{svg(figure)}\n</figure>\n{_numbers(figure)}"
    return f"<section>\n<h2>{escape(figure.title)}</h2>\n{drawn}\n</section>"


def _numbers(figure: Figure) -> str:
    """Every point as a table, lines side by side; left out where it would be long."""
    points = [dict(found) for found in points_of(figure)]
    places = sorted({x for found in points for x in found})
    if not places or len(places) > _MOST_ROWS:
        return ""
    head = "".join(f"<th>{escape(line.name)}</th>" for line in figure.lines)
    rows = "\n".join(
        f"<tr><th>{number(x)}</th>"
        + "".join(f"<td>{number(found[x]) if x in found else '–'}</td>" for found in points)
        + "</tr>"
        for x in places
    )
    return (
        f"<details><summary>{escape(figure.y_label)} in numbers</summary>\n<div><table>\n"
        f"<thead><tr><th>{escape(figure.x_label)}</th>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></details>"
    )


def _colours() -> str:
    def lines(colours: Sequence[str]) -> str:
        return " ".join(f"--line-{place}: {colour};" for place, colour in enumerate(colours, start=1))

    light = "--page: #fcfcfb; --text: #1c1c1a; --muted: #6b6a65; --grid: #e8e7e2; --axis: #b5b4ad;"
    dark = "--page: #191918; --text: #ecebe6; --muted: #a3a29b; --grid: #30302d; --axis: #5c5b56;"
    return (
        f":root {{ color-scheme: light dark; {light} {lines(COLOURS)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} {lines(COLOURS_DARK)} }} }}"
    )


_PAGE = """
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 920px; margin: 0 auto; padding: 2.5rem 1.5rem; }
h1 { font-size: 1.35rem; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 2.25rem 0 .5rem; }
header p, footer { color: var(--muted); margin: .1rem 0; }
footer { margin-top: 2.5rem; font-size: .85rem; }
figure { margin: 0; }
summary { cursor: pointer; color: var(--muted); margin-top: .75rem; }
details div { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .85rem; margin-top: .5rem; }
th, td { text-align: right; padding: .2rem .8rem; border-bottom: 1px solid var(--grid); white-space: nowrap; }
thead th, tbody th { font-weight: 600; }
""".strip()
