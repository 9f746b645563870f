from __future__ import annotations

from textual.app import App, ComposeResult

from harness.dashboard.themes import series_variables
from harness.dashboard.widgets.long_list import Column, LongList
from tests.dashboard.drive import drive

COLUMNS = (
    Column(key="a", title="a", width=10),
    Column(key="b", title="b", width=10, grow=1, drop=2),
    Column(key="c", title="c", width=10, right=True, drop=1),
)


class Alone(App[None]):
    """The list alone, with what it asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[tuple[int, int]] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return series_variables(self.current_theme)

    def compose(self) -> ComposeResult:
        yield LongList(COLUMNS)

    def on_long_list_wanted(self, event: LongList.Wanted) -> None:
        self.wanted.append((event.first, event.count))
        rows = range(event.first, event.first + event.count)
        event.rows.put(event.first, [((f"row {row}", ""), ("b", ""), (str(row), "")) for row in rows])


def lines(app: Alone) -> list[str]:
    rows = app.query_one(LongList)
    return [rows.render_line(y).text.rstrip() for y in range(rows.size.height)]


def test_arrows_and_letters_move_the_cursor_and_stop_at_the_ends() -> None:
    async def flow() -> None:
        app = Alone()
        async with app.run_test(size=(40, 10)) as pilot:
            rows = app.query_one(LongList)
            rows.focus()
            rows.show(5)
            await pilot.press("down", "j", "up")
            assert rows.cursor == 1
            await pilot.press("k", "k", "k")
            assert rows.cursor == 0
            await pilot.press("end", "down")
            assert rows.cursor == 4

    drive(flow)


def test_only_pages_that_are_seen_are_asked_for_and_each_once() -> None:
    async def flow() -> None:
        app = Alone()
        async with app.run_test(size=(60, 12)) as pilot:
            rows = app.query_one(LongList)
            rows.show(1_000_000)
            rows.focus()
            await pilot.pause(0.2)
            assert app.wanted == [(0, 100)]
            await pilot.press("end")
            await pilot.pause(0.2)
            assert app.wanted == [(0, 100), (999_900, 100)]
            assert lines(app)[-1].startswith("row 999999")
            await pilot.press("home", "down", "pagedown", "pageup")
            await pilot.pause()
            assert app.wanted == [(0, 100), (999_900, 100)]
            assert lines(app)[1].startswith("row 0")

    drive(flow)


def test_the_cursor_is_always_seen() -> None:
    async def flow() -> None:
        app = Alone()
        async with app.run_test(size=(60, 8)) as pilot:
            rows = app.query_one(LongList)
            rows.show(500)
            rows.focus()
            for keys in (["down"] * 9, ["pagedown"] * 3, ["up"] * 5, ["end"], ["pageup"], ["home"], ["k"], ["j"]):
                await pilot.press(*keys)
                await pilot.pause()
                assert rows.cursor is not None and rows.region_of_row(rows.cursor) is not None
            await pilot.resize_terminal(60, 4)
            await pilot.pause()
            assert rows.region_of_row(rows.cursor) is not None

    drive(flow)


def test_columns_give_way_by_importance_and_share_what_is_left() -> None:
    async def flow() -> None:
        app = Alone()
        async with app.run_test(size=(60, 6)) as pilot:
            rows = app.query_one(LongList)
            rows.show(3)
            await pilot.pause()
            assert lines(app)[0].split() == ["a", "b", "c"]
            assert rows.place_of("c") == (50, 10) and rows.place_of("b") == (12, 36)
            await pilot.resize_terminal(25, 6)
            await pilot.pause()
            assert lines(app)[0].split() == ["a", "c"] and rows.place_of("b") is None
            await pilot.resize_terminal(9, 6)
            await pilot.pause()
            assert lines(app)[0].split() == ["a"]

    drive(flow)


def test_an_empty_list_says_so_and_its_keys_do_nothing() -> None:
    async def flow() -> None:
        app = Alone()
        async with app.run_test(size=(40, 6)) as pilot:
            rows = app.query_one(LongList)
            rows.nothing = "no results yet"
            rows.show(0)
            rows.focus()
            await pilot.press("down", "end", "home", "pagedown")
            assert rows.cursor is None and "no results yet" in lines(app)[1]

    drive(flow)


def test_what_cannot_be_printed_and_wide_characters_keep_the_columns() -> None:
    from harness.dashboard.widgets.cells import fitted

    assert fitted("a\tb\nc", 6) == "a b c "
    assert fitted("量化模型", 5) == "量化…"
    assert fitted("abcdef", 4) == "abc…"
    assert fitted("ab", 4, right=True) == "  ab"
    assert fitted("ab", 0) == ""
