from __future__ import annotations

import pytest
from rich.color import Color, ColorSystem

from harness.dashboard.themes import OUR_THEMES, SERIES, SERIES_ANSI, SERIES_LIGHT, series_variables


@pytest.mark.parametrize("colours", [SERIES], ids=["dark"])
def test_sixteen_colours_still_tell_the_series_apart(colours: tuple[str, ...]) -> None:
    numbers = [Color.parse(colour).downgrade(ColorSystem.STANDARD).number for colour in colours]
    assert len(set(numbers)) == len(colours)
    assert not set(numbers) & {0, 7, 8, 15}  # the greys are for what is behind


@pytest.mark.parametrize("colours", [SERIES, SERIES_LIGHT, SERIES_ANSI])
def test_every_theme_has_six(colours: tuple[str, ...]) -> None:
    assert len(set(colours)) == 6


@pytest.mark.parametrize("colours", [SERIES, SERIES_LIGHT])
def test_256_colours_tell_them_apart(colours: tuple[str, ...]) -> None:
    assert len({Color.parse(colour).downgrade(ColorSystem.EIGHT_BIT).number for colour in colours}) == 6


def test_a_light_theme_gets_dark_colours() -> None:
    light = next(theme for theme in OUR_THEMES if not theme.dark)
    assert series_variables(light)["series-1"] == SERIES_LIGHT[0]
