from __future__ import annotations

import pytest
from textual.color import Color

from harness.dashboard.themes import OUR_THEMES, series_variables
from harness.dashboard.widgets.line_chart import Level, Line, Plot, draw
from harness.dashboard.widgets.paint import Palette, palette_of


def _palette() -> Palette:
    theme = OUR_THEMES[0]
    variables = {**theme.to_color_system().generate(), **series_variables(theme)}
    return palette_of(variables, Color.parse("#0e1116"), ansi=False)


def _text(plot: Plot, width: int = 60, height: int = 12) -> list[str]:
    strips = draw(plot, width, height, _palette())
    assert len(strips) == height
    assert {strip.cell_length for strip in strips} == {width}
    assert all(len(strip.text) == width for strip in strips)
    return [strip.text for strip in strips]


def _line(*values: float | None, style: str = "series-1", behind: bool = False) -> Line:
    return Line(tuple(float(index) for index in range(len(values))), values, style, behind=behind)


def test_axes_have_round_ticks_on_both_sides() -> None:
    text = _text(Plot((_line(58_000.0, 60_500.0, 61_000.0),), x_unit="s"))
    assert any("60k┤" in row for row in text)
    assert "00:01" in text[-1]


@pytest.mark.parametrize(("width", "height"), [(4, 1), (10, 2), (18, 3), (19, 4), (200, 60), (1, 1), (0, 1)])
def test_any_size_is_filled_exactly(width: int, height: int) -> None:
    plot = Plot((_line(1.0, 5.0, 3.0),), (Level(4.0, "best possible"),), x_unit="samples")
    strips = draw(plot, width, height, _palette())
    assert len(strips) == height
    assert all(strip.cell_length == width for strip in strips)


def test_a_level_is_dashed_and_named() -> None:
    text = _text(Plot((_line(0.70, 0.75, 0.78),), (Level(0.8125, "best possible"),)))
    named = next(row for row in text if row.rstrip().endswith("best possible"))
    dashes = named.partition("│")[2].partition("best")[0].strip()
    assert len(dashes) > 20
    assert len(set(dashes) - {" "}) == 1  # the same two dots in every second cell


def test_earlier_lines_lie_behind() -> None:
    plot = Plot((_line(1.0, 1.0, style="series-1"), _line(1.0, 1.0, style="faint", behind=True)), y_range=(0.0, 2.0))
    palette = _palette()
    styles = {
        segment.style
        for strip in draw(plot, 30, 8, palette)
        for segment in strip
        if "⠤" in segment.text or "⠒" in segment.text
    }
    assert palette.style("series-1") in styles
    assert palette.style("faint") not in styles


def test_nothing_says_why() -> None:
    assert any("waits for its turn" in row for row in _text(Plot(empty="waits for its turn")))


def test_a_logarithmic_axis_is_even_in_powers() -> None:
    line = Line(tuple(10.0**power for power in range(7)), tuple(power / 6 for power in range(7)), "series-1")
    axis = _text(Plot((line,), x_unit="rows", log_x=True), width=100)[-1]
    places = [axis.index(label) for label in ("1 ", "100 ", "10k")]
    assert abs((places[1] - places[0]) - (places[2] - places[1])) <= 3


def test_a_cursor_crosses_the_chart() -> None:
    text = _text(Plot((_line(1.0, 1.0, 1.0),), cursor=1.0, y_range=(0.0, 2.0)))
    columns = [row.rindex("│") for row in text[:-1] if row.count("│") > 1 or ("┤" in row and "│" in row)]
    assert len(set(columns)) == 1


def test_times_until_now() -> None:
    line = Line((-60.0, -30.0, 0.0), (10.0, 50.0, 20.0))
    axis = _text(Plot((line,), x_unit="s ago", x_range=(-60.0, 0.0), y_range=(0.0, 100.0)))[-1]
    assert axis.rstrip().endswith("now")
    assert "40 s" in axis
