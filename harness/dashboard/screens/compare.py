"""Is B better than A? Pick the two from a list, see every repeat, the interval against the tolerance, and the verdict.

All reading and computing is done in thread workers (`harness.dashboard.sides`); the page only draws an Answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import get_current_worker

from harness.dashboard import exports, sides
from harness.dashboard.marks import Marks
from harness.dashboard.screens.base import BenchScreen
from harness.dashboard.screens.chooser import CellChooser
from harness.dashboard.screens.pick import Pick
from harness.dashboard.sides import Answer, Choice
from harness.dashboard.widgets.comparison_view import ComparisonView
from harness.dashboard.widgets.long_list import Cell, Column, LongList, Tone
from harness.dashboard.words import local_time
from harness.errors import BenchError
from harness.store.records import ReferenceRecord

_FORMATS = (("markdown", "Markdown, for a pull request or a report"), ("csv", "CSV, one row a metric"),
            ("json", "JSON, everything"))  # fmt: skip


@dataclass
class Answered(Message):
    """The comparison of what is marked."""

    a: str
    b: str | None
    answer: Answer | None
    problem: BenchError | None = None


class CompareScreen(BenchScreen):
    NAME = "compare"
    SUMMARY = (
        "Is B better than A? Mark two configurations with space (A is the baseline). Every repeat is a dot; the bar is "
        "the ratio's interval, the shaded middle what counts as the same."
    )
    TERMS: ClassVar[Mapping[str, str]] = {
        "better, worse": "the whole interval lies beyond the tolerance, and the test agrees",
        "same": "the whole interval lies inside the tolerance",
        "inconclusive": "neither: more repeats, or a quieter machine, would tell",
        "interleaved": "A and B took turns, so that what the machine did hit both alike",
        "drift": "what two experiments may lie apart although nothing changed",
        "◇ published": "a figure from elsewhere: by ratio, never with a verdict",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "mark", "mark A/B", key_display="space"),
        Binding(
            "p", "pin", "baseline", tooltip="the configuration under the cursor is A; without a list, A and B swap"
        ),
        Binding("e", "export", "export"),
        Binding("y", "copy", "copy markdown"),
        Binding("f", "force", "force", show=False, tooltip="compare in spite of what differs; the page says so"),
        Binding("x", "swap", "swap A and B", show=False),
        Binding("l", "list", "list"),
        Binding("slash", "filter", "filter", key_display="/", show=False),
        Binding("v", "curves", "curves", show=False),
        Binding("r", "read", "read again", show=False),
        Binding("tab", "other", "list or page", show=False),
        Binding("escape", "back", "clear", show=False),
    ]
    DEFAULT_CSS = """
    CompareScreen {
        #choose { width: 51; border-right: vkey $panel-lighten-1; }
        #page { width: 1fr; height: 100%; scrollbar-size-vertical: 1; scrollbar-background: $surface;
            scrollbar-color: $panel-lighten-2; }
        #page:focus { background-tint: $foreground 2%; }
        #state { height: auto; padding: 0 1; color: $foreground 60%; }
    }
    CompareScreen.-normal #choose { width: 36; }
    CompareScreen.-narrow #choose { width: 100%; border-right: none; }
    CompareScreen.-list-hidden #choose { display: none; }
    CompareScreen.-narrow.-list-shown #page { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._force = False
        self._references: tuple[ReferenceRecord, ...] | None = None
        self._compared: tuple[str | None, str | None, bool] | None = None
        self._list: bool | None = None  # None: shown where there is room, or nothing to compare yet

    @property
    def marks(self) -> Marks:
        return self.dashboard.marks

    @property
    def answer(self) -> Answer | None:
        return self.query_one(ComparisonView).answer

    def body(self) -> Iterable[Widget]:
        columns = (
            Column(key="mark", title="", width=1), Column(key="date", title="date", width=11, drop=2),
            Column(key="what", title="workload", width=11, grow=1, most=18),
            Column(key="device", title="on", width=6, grow=1, most=10, drop=1),
            Column(key="name", title="name", width=7, grow=3),
            Column(key="runs", title="n", width=2, right=True, drop=3),
        )  # fmt: skip
        yield Horizontal(
            CellChooser(columns, self._row), VerticalScroll(Static("", id="state"), ComparisonView(), id="page")
        )

    @property
    def _chooser(self) -> CellChooser:
        return self.query_one(CellChooser)

    def on_mount(self) -> None:
        self._chooser.rows.focus()
        self.action_read()

    def on_screen_resume(self) -> None:
        self._chooser.redraw()
        self._compare()
        self._arrange()

    def receive(self, **what: Any) -> None:
        """`a` and `b`: the cells to compare, by id."""
        self.marks.a, self.marks.b = what.get("a", self.marks.a), what.get("b", self.marks.b)
        self._force = False
        self._list = None
        self._chooser.redraw()
        self._compare()

    # What there is to choose

    def action_read(self) -> None:
        if self._chooser.read():
            self._compared = None
            self._compare()

    @on(CellChooser.Failed)
    def _nothing(self, event: CellChooser.Failed) -> None:
        self._state(event.reason)

    @on(CellChooser.Came)
    def _came(self) -> None:
        self._compare()

    def _row(self, one: Choice) -> Sequence[Cell]:
        run, first = one.summary, self._first
        letter = self.marks.letter(one.cell_id)
        quiet = one.ok == 0 or (first is not None and not one.comparable_with(first))
        plain: Tone = "dim" if quiet else ""
        return (
            (letter, "a" if letter == "A" else "b"),
            (local_time(run.started_at or run.created_at), "dim"),
            (f"{run.workload} {run.mode}", plain),
            (run.device, plain),
            (one.name, plain),
            (str(one.ok), "dim" if one.ok else "bad"),
        )

    @property
    def _first(self) -> Choice | None:
        """The baseline, which the others are comparable with or not."""
        return self._chooser.find(self.marks.a)

    # Comparing

    def _compare(self) -> None:
        a, b = self.marks.a, self.marks.b
        if a is None and b is not None:
            self.marks.a, self.marks.b = b, None
            a, b = b, None
        wanted = (a, b, self._force)
        if wanted == self._compared:
            return
        self._compared = wanted
        self._arrange()
        if a is None:
            self.query_one(ComparisonView).show(None)
            self._state("space marks A, the baseline, and then B")
            return
        self._state("comparing…" if self.answer is None else "")
        self._work_out(self.dashboard.database, a, b, self._force)

    @work(thread=True, group="answer", exclusive=True, exit_on_error=False)
    def _work_out(self, path: Path, a: str, b: str | None, force: bool) -> None:
        worker = get_current_worker()
        if self._references is None:
            self._references = sides.load_references()
        try:
            answer = sides.answer(path, self.dashboard.registry, a, b, force=force, published=self._references)
            found = Answered(a, b, answer)
        except BenchError as problem:
            found = Answered(a, b, None, problem)
        if not worker.is_cancelled:
            self.post_message(found)

    @on(Answered)
    def _answered(self, found: Answered) -> None:
        if (found.a, found.b) != (self.marks.a, self.marks.b):
            return
        self._state("")
        self.query_one(ComparisonView).show(found.answer, found.problem)
        self.query_one("#page", VerticalScroll).scroll_home(animate=False)

    def _arrange(self) -> None:
        """On a narrow screen the list makes room for the page, and the other way round."""
        narrow = self.has_class("-narrow")
        shown = self._list if self._list is not None else not narrow or not self.marks.both
        self._chooser.settle(shown, self.query_one("#page"))

    def on_resize(self) -> None:
        self.call_after_refresh(self._arrange)

    def _state(self, text: str) -> None:
        state = self.query_one("#state", Static)
        state.update(text)
        state.display = bool(text)

    # Keys

    def action_mark(self) -> None:
        one = self._chooser.current
        if one is None:
            return
        self.marks.toggle(one.cell_id)
        self._marked()

    @on(LongList.Chosen)
    def _chosen(self) -> None:
        self.action_mark()

    def action_pin(self) -> None:
        one = self._chooser.current
        if not self._chooser.rows.has_focus or one is None:
            self.action_swap()
            return
        self.marks.pin(one.cell_id)
        self._marked()

    def action_swap(self) -> None:
        if self.marks.both:
            self.marks.a, self.marks.b = self.marks.b, self.marks.a
            self._marked()

    def _marked(self) -> None:
        self._force = False
        if self.marks.both:
            self._list = None
        self._chooser.redraw()
        self._compare()

    def action_force(self) -> None:
        if self.answer is not None and self.answer.problem is not None:
            self._force = True
            self._compare()

    def action_list(self) -> None:
        self._list = not self.has_class("-list-shown")
        self._arrange()

    def action_other(self) -> None:
        rows, page = self._chooser.rows, self.query_one("#page")
        if self.has_class("-narrow"):
            self.action_list()
        elif rows.has_focus:
            page.focus()
        else:
            rows.focus()

    def action_filter(self) -> None:
        self._list = True
        self._arrange()
        self._chooser.field.focus()

    def action_back(self) -> None:
        """Out of the filter; then nothing is marked."""
        if self._chooser.step_back():
            return
        if self.marks.a is not None or self.marks.b is not None:
            self.marks.a = self.marks.b = None
            self._list = None
            self._marked()

    async def action_curves(self) -> None:
        if self.marks.a is not None:
            cells = [cell for cell in (self.marks.a, self.marks.b) if cell is not None]
            await self.dashboard.open("curves", cells=cells)

    def action_copy(self) -> None:
        comparison = self.answer.comparison if self.answer is not None else None
        if comparison is None:
            self.notify("nothing is compared yet", severity="warning", timeout=3)
            return
        self.app.copy_to_clipboard(exports.text_of(comparison, "markdown"))
        self.notify("copied as Markdown", timeout=3)

    def action_export(self) -> None:
        if self.answer is None or self.answer.comparison is None:
            self.notify("nothing is compared yet", severity="warning", timeout=3)
            return
        self.app.push_screen(Pick("Export as", _FORMATS), self._export)

    def _export(self, form: str | None) -> None:
        comparison = self.answer.comparison if self.answer is not None else None
        if comparison is None or form is None:
            return
        try:
            path = exports.write(comparison, form, Path.cwd())  # type: ignore[arg-type]
        except BenchError as problem:
            self.dashboard.tell(problem)
        else:
            self.notify(f"saved {path.name}", timeout=5)
