"""A figure in a terminal, on a page and in a picture."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from rich.console import Console

from harness.api import Figure, Line
from harness.errors import UnavailableError
from harness.report import figure_png
from harness.report.figure_html import page
from harness.report.figure_svg import COLOURS, svg
from harness.report.figure_terminal import MARKS, figure_lines
from tests.report.test_figure import figure, line

SIZES = [100.0 * 3**k for k in range(6)]
SVG = "{http://www.w3.org/2000/svg}"


def _curves(*names: str, log_x: bool = True) -> Figure:
    lines = [
        Line(name=name, x=SIZES, y=[0.9 - 0.1 * k - 0.02 * place for k in range(len(SIZES))])
        for place, name in enumerate(names)
    ]
    return figure(*lines, log_x=log_x)


def _shown(drawn: Figure, width: int, *, colours: bool = False) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colours, color_system="standard" if colours else None
    )
    for one in figure_lines(drawn, width=width):
        console.print(one, soft_wrap=True, highlight=False)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.splitlines()


def test_a_terminal_shows_title_axes_and_names_beside_their_ends() -> None:
    text = _shown(_curves("lru", "arc", "belady"), 90)
    assert text[0] == "A title"
    assert text[1] == "miss ratio"
    named = [row.rstrip() for row in text if row.rstrip().endswith(("lru", "arc", "belady"))]
    assert [row.split()[-1] for row in named] == ["lru", "arc", "belady"]  # from the highest miss ratio down
    assert named[0].endswith(f"{MARKS[0]} lru")
    assert re.search(r"100 .*1k .*10k", text[-2])
    assert text[-1].strip() == "size"
    assert all(len(row) <= 90 for row in text)
    assert not any(row != row.rstrip() for row in text)


def test_without_colours_marks_tell_lines_apart_and_with_them_sixteen_suffice() -> None:
    drawn = _curves("lru", "arc")
    plain = "\n".join(_shown(drawn, 80))
    assert "\x1b" not in plain
    assert all(plain.count(mark) > 3 for mark in MARKS[:2])
    codes = re.findall(r"\x1b\[([0-9;]+)m", "\n".join(_shown(drawn, 80, colours=True)))
    assert {code for code in codes if code != "0"} <= {
        "1",
        "2",
        *(str(code) for code in (*range(30, 38), *range(90, 98))),
    }
    assert {"36", "33"} <= set(codes)


def test_more_names_than_rows_or_too_few_columns_stand_below() -> None:
    many = _shown(_curves(*(f"policy-{number}" for number in range(30))), 100)
    assert sum(row.count("policy-") for row in many[-12:]) == 30
    assert not any("policy-" in row for row in many[:20])
    narrow = _shown(_curves("a-very-long-name-of-a-policy"), 40)
    assert "a-very-long-name" in narrow[-1]
    assert all(len(row) <= 40 for row in narrow)


@pytest.mark.parametrize("width", [1, 20, 33, 80, 300])
def test_any_width_is_kept(width: int) -> None:
    for drawn in (_curves("lru"), figure(line("a", (5, 0.5))), figure()):
        assert all(len(row) <= max(20, width) for row in _shown(drawn, width))


def test_nothing_to_draw_is_said() -> None:
    assert "nothing to draw" in _shown(figure(line("a", (1, None))), 80)
    assert "nothing to draw" in svg(figure())


def _elements(text: str, tag: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    return list(root.iter(f"{SVG}{tag}"))


def test_svg_has_a_path_a_name_and_every_value_of_each_line() -> None:
    text = svg(_curves("lru", "arc"))
    names = [one.text for one in _elements(text, "text") if one.get("class") == "name"]
    assert names == ["lru", "arc"]
    told = [one.text for one in _elements(text, "title")]
    assert len(told) == 2 * len(SIZES)
    assert "lru\nsize: 2,700\nmiss ratio: 0.6" in told
    paths = [one for one in _elements(text, "path") if one.get("class") == "line"]
    assert len(paths) == 4  # each with a sample before its name


def test_dots_lie_where_the_values_are() -> None:
    text = svg(figure(line("a", (0, 0.0), (5, 0.5), (10, 1.0))))
    dots = [(float(one.get("cx", "")), float(one.get("cy", ""))) for one in _elements(text, "circle")][::2]
    assert dots[1] == pytest.approx(((dots[0][0] + dots[2][0]) / 2, (dots[0][1] + dots[2][1]) / 2), abs=0.1)
    assert dots[0][1] > dots[2][1]


def test_lines_beyond_the_eighth_are_dashed() -> None:
    paths = [one for one in _elements(svg(_curves(*"abcdefghij")), "path") if one.get("class") == "line"]
    assert [one.get("stroke-dasharray") is not None for one in paths[::2]] == [False] * 8 + [True] * 2


def test_a_long_line_stays_small() -> None:
    drawn = figure(
        Line(name="a", x=[float(x) for x in range(100_000)], y=[(x * 37 % 1000) / 1000 for x in range(100_000)])
    )
    assert len(svg(drawn)) < 80_000
    assert "<table>" not in page([drawn], title="t")


def test_a_page_stands_alone_and_trusts_no_name() -> None:
    text = page([_curves("<b>lru & co", "arc")], title="one <two>", notes=["kept in results.db"])
    assert "<b>lru" not in text and "&lt;b&gt;lru &amp; co" in text
    assert "<title>one &lt;two&gt;</title>" in text and "kept in results.db" in text
    assert not re.findall(r"(?:src|href)=|url\(|@import|<script|https?://", text)
    assert "prefers-color-scheme: dark" in text and COLOURS[0] in text
    assert text.count("<tr>") == 1 + len(SIZES)
    assert "<td>0.6</td>" in text


def test_a_picture_is_a_png_of_the_figures_below_each_other() -> None:
    one = figure_png.png([_curves("lru", "arc")])
    two = figure_png.png([_curves("lru", "arc"), figure(line("a", (5, 0.5)))])
    assert one[:8] == two[:8] == b"\x89PNG\r\n\x1a\n"
    sizes = [(int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) for png in (one, two)]
    assert sizes[0] == (1720, 940) and sizes[1] == (1720, 1880)
    assert figure_png.png([_curves("lru", "arc")]) == one


def test_a_picture_has_the_colours_of_its_lines() -> None:
    from matplotlib.image import imread

    pixels = imread(io.BytesIO(figure_png.png([_curves("lru", "arc")])))
    seen = {tuple(round(255 * float(part)) for part in pixel[:3]) for row in pixels[::3] for pixel in row[::3]}
    for colour in COLOURS[:2]:
        assert tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5)) in seen
    assert tuple(int(COLOURS[2][place : place + 2], 16) for place in (1, 3, 5)) not in seen


def test_without_matplotlib_a_picture_is_refused_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(Path(__file__).parent)])
    monkeypatch.delitem(__import__("sys").modules, "matplotlib", raising=False)
    monkeypatch.setattr("sys.path_importer_cache", {})
    with pytest.raises(UnavailableError, match="needs matplotlib") as error:
        figure_png.require_png()
    assert "recbench[plot]" in (error.value.hint or "")
