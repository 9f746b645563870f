from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.analysis.compare import Options, compare
from harness.analysis.keys import ParamClass
from harness.analysis.sides import finished_runs
from harness.comparable import param_classes
from harness.dashboard import sides
from harness.dashboard.screens.pick import Pick
from harness.dashboard.widgets.comparison_view import ComparisonView, page
from harness.dashboard.widgets.long_list import LongList
from harness.registry import Registry
from harness.report import comparison as report
from harness.store import edits
from harness.store.queries import Store
from tests.dashboard.drive import NARROW, WIDE, check_golden, drive
from tests.dashboard.stage import Staged, staged

SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x45"])
Size = tuple[int, int]


def cells(path: Path, tag: str) -> list[str]:
    with Store(path) as store:
        _, identifier = store.resolve(tag, ("experiment",))
        return [cell.id for cell in store.experiment(identifier).cells]


async def marked(app: Staged, a: str, b: str) -> None:
    await app.app.open("compare", a=a, b=b)
    await app.settle()


@SIZES
def test_golden(example: Path, size: Size) -> None:
    a, b = cells(example, "batch-size")

    async def flow() -> None:
        async with staged("compare", example, size) as app:
            await marked(app, a, b)
            check_golden(f"compare-{size[0]}x{size[1]}", app.text())

    drive(flow)


@SIZES
def test_space_picks_a_and_b_and_the_verdict_comes_in_words(example: Path, size: Size) -> None:
    async def flow() -> None:
        async with staged("compare", example, size) as app:
            assert "space marks A" in app.text() or size == NARROW
            await app.keys("slash")
            await app.type("batch-size")
            await app.keys("enter", "space", "down", "space")
            text = app.text()
            assert "▼ B is slower ×0.64" in text and "batch_size 512 → 128" in text
            answer = app.screen.answer
            expected = compare(answer.a, answer.b, Options(param_classes=answer_classes()))
            assert answer.comparison == expected

    drive(flow)


def answer_classes() -> dict[str, ParamClass]:
    return param_classes(Registry(), "dlrm")


@SIZES
def test_p_changes_the_baseline_and_x_swaps(example: Path, size: Size) -> None:
    a, b = cells(example, "batch-size")

    async def flow() -> None:
        async with staged("compare", example, size) as app:
            await marked(app, a, b)
            assert "▲ B is faster" in app.text()
            await app.keys("x")
            assert (app.app.marks.a, app.app.marks.b) == (b, a)
            assert "▼ B is slower" in app.text()
            if size == NARROW:
                await app.keys("l")
            rows = app.screen.query_one(LongList)
            rows.focus()
            rows.cursor = next(place for place, one in enumerate(app.screen._chooser.choices) if one.cell_id == a)
            await app.keys("p")
            assert (app.app.marks.a, app.app.marks.b) == (a, b)

    drive(flow)


def test_every_repeat_is_a_dot(example: Path) -> None:
    a, b = cells(example, "batch-size")
    answer = sides.answer(example, Registry(), a, b)
    lines = page(answer, 100).plain.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("throughput"))
    for letter, line in zip("AB", lines[start + 1 : start + 3], strict=True):
        assert line.strip().startswith(letter)
        drawn = line[26:]
        assert 1 <= sum(drawn.count(sign) for sign in "•●○") <= 10
        side = answer.a if letter == "A" else answer.b
        assert side is not None and len(finished_runs(side, letter)) == 10


@pytest.mark.parametrize("width", [50, 60, 78, 92, 138])
def test_no_drawn_line_is_wider_than_the_page(example: Path, width: int) -> None:
    a, b = cells(example, "batch-size")
    answer = sides.answer(example, Registry(), a, b, published=sides.load_references())
    prose = ("interleaved", "not compared", "·", "equal", "  and", "◇ published", "A ", "B ", "▲", "=")
    for line in page(answer, width).plain.splitlines():
        assert len(line) <= width or line.startswith(prose), line


def test_references_are_beside_it_marked_and_without_a_verdict(example: Path) -> None:
    a, b = cells(example, "baseline"), cells(example, "card")

    async def flow() -> None:
        async with staged("compare", example, WIDE) as app:
            await marked(app, a[0], b[0])
            lines = [line.lstrip(" │") for line in app.text().splitlines()]
            published = [line for line in lines if "◇ throughput" in line or "◇ auc" in line]
            assert published and all("×" in line or "–" in line or "+" in line or "−" in line for line in published)
            assert not any(word in line for line in published for word in ("faster", "slower", "better", "worse"))
            one = app.screen.answer.beside[0]
            assert one.a is not None and one.a.metrics[0].verdict is None

    drive(flow)


def test_what_cannot_be_compared_says_why_and_f_forces_it(example: Path) -> None:
    a, b = cells(example, "baseline"), cells(example, "criteo")

    async def flow() -> None:
        async with staged("compare", example, WIDE) as app:
            await marked(app, a[0], b[0])
            text = app.text()
            assert "cannot be compared" in text and "data.fingerprint" in text
            await app.keys("y")
            assert app.app.clipboard == ""
            await app.keys("f")
            assert "FORCED" in app.text()
            assert app.screen.answer.comparison.forced
            await app.keys("x")
            assert "cannot be compared" in app.text()  # what was forced was another question

    drive(flow)


def test_one_side_alone_is_shown_with_its_references(example: Path) -> None:
    async def flow() -> None:
        async with staged("compare", example, WIDE) as app:
            await app.app.open("compare", a=cells(example, "baseline")[0], b=None)
            await app.settle()
            assert "B is free" in app.text() and "◇ throughput" in app.text()
            await app.keys("escape")
            assert app.app.marks.a is None and "space marks A" in app.text()

    drive(flow)


@pytest.mark.parametrize(("choice", "ending"), [("m", "md"), ("c", "csv"), ("j", "json")])
def test_e_exports_into_the_working_folder_and_never_over_a_file(example: Path, choice: str, ending: str) -> None:
    a, b = cells(example, "batch-size")

    async def flow() -> None:
        async with staged("compare", example, NARROW) as app:
            await marked(app, a, b)
            for _ in range(2):
                await app.keys("e")
                assert isinstance(app.app.screen, Pick)
                if choice != "m":
                    await app.press(choice)
                await app.keys("enter")
            names = sorted(path.name for path in Path.cwd().iterdir())
            stem = f"compare-{a[:6]}-{b[:6]}"
            assert names == sorted([f"{stem}.{ending}", f"{stem}-2.{ending}"])
            comparison = app.screen.answer.comparison
            text = Path(f"{stem}.{ending}").read_text()
            if ending == "json":
                assert json.loads(text)["comparisons"][0]["headline"] == comparison.headline
            else:
                assert text == (report.markdown if ending == "md" else report.csv_text)([comparison])

    drive(flow)


def test_y_copies_markdown(example: Path) -> None:
    a, b = cells(example, "batch-size")

    async def flow() -> None:
        async with staged("compare", example, WIDE) as app:
            await app.keys("y", "e")
            assert app.app.clipboard == "" and not isinstance(app.app.screen, Pick)
            await marked(app, a, b)
            await app.keys("y")
            assert app.app.clipboard == report.markdown([app.screen.answer.comparison])

    drive(flow)


def test_narrow_shows_the_list_or_the_page_and_l_and_tab_change_them(example: Path) -> None:
    a, b = cells(example, "batch-size")

    async def flow() -> None:
        async with staged("compare", example, NARROW) as app:
            rows, view = app.screen.query_one(LongList), app.screen.query_one(ComparisonView)
            assert rows.region and not view.region
            await marked(app, a, b)
            assert view.region and not rows.region
            await app.keys("l")
            assert rows.region and not view.region
            await app.keys("tab")
            assert view.region and not rows.region
            await app.keys("v")
            assert app.app.current_name == "curves"

    drive(flow)


def test_a_cell_deleted_meanwhile_is_told(own: Path) -> None:
    async def flow() -> None:
        async with staged("compare", own, WIDE) as app:
            await marked(app, "nothing-such", cells(own, "card")[0])
            assert "'nothing-such'" in app.text() and "bench list" in app.text()

    drive(flow)


@pytest.mark.parametrize("name", ["compare", "curves"])
def test_r_reads_the_choices_again(own: Path, name: str) -> None:
    async def flow() -> None:
        async with staged(name, own, WIDE) as app:
            rows = app.screen.query_one(LongList)
            before = rows.total
            with Store(own) as store:
                newest = store.list_experiments(limit=2)[1].id
            edits.delete_experiment(own, newest)
            await app.keys("r")
            assert rows.total == before - 1

    drive(flow)


def test_without_a_database_it_says_how_to_begin(tmp_path: Path) -> None:
    async def flow() -> None:
        async with staged("compare", tmp_path / "results.db", NARROW) as app:
            assert "no results yet" in app.text()
            await app.keys("space", "p", "x", "f", "e", "y", "v", "tab", "l")

    drive(flow)
