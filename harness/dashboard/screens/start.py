"""A new experiment from a form: every setting of the run and of the workload, checked while one types.

The form is `harness.dashboard.form`; this screen shows it as one list, edits a value where it stands, shows the
command line that would do the same, and starts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from harness.analysis.words import counted
from harness.dashboard.form import Field, Form, hint_of, offered_profiles, workloads
from harness.dashboard.form_rows import NONE, SPECIAL, help_of, rows_of, special_help, special_text
from harness.dashboard.screens.base import BenchScreen
from harness.dashboard.screens.pick import Pick
from harness.dashboard.widgets.long_list import Column, LongList
from harness.dashboard.widgets.row_editor import RowEditor
from harness.errors import BenchError

_MUTED = "$foreground 60%"


class StartScreen(BenchScreen):
    NAME = "start"
    SUMMARY = (
        "Every setting of an experiment. Enter edits a value, space goes to its next choice, backspace takes it back. "
        "The line at the bottom is the command that does the same; r runs it."
    )
    TERMS: ClassVar[Mapping[str, str]] = {
        "profile": "a named TOML file of settings",
        "origin": "where a value comes from: a flag (typed here), BENCH_… in the environment, a profile, a default",
        "repeats": "runs of the same configuration, each in a process of its own",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "change", "edit"),
        Binding("space", "next", "next choice"),
        Binding("backspace,u", "undo", "take back"),
        Binding("r", "run", "run"),
        Binding("p", "profile", "profile"),
        Binding("w", "workload", "workload"),
        Binding("slash", "filter", "find", key_display="/", show=False),
        Binding("y", "copy", "copy command", show=False),
        Binding("escape", "back", "clear", show=False),
    ]
    DEFAULT_CSS = """
    StartScreen {
        layers: base edit;
        #editor { layer: edit; }
        #find { height: 1; border: none; padding: 0 1; background: $surface; }
        #both { height: 1fr; }
        #fields { width: 1fr; padding: 0 1; }
        #help { width: 44; height: 100%; padding: 0 1; border-left: vkey $panel-lighten-1; }
        #foot { height: auto; background: $surface; padding: 0 1; }
        #words { width: 1fr; height: auto; }
        #command { height: auto; max-height: 4; }
        #verdict { height: auto; max-height: 2; }
        #go { width: auto; min-width: 9; margin: 0 0 0 1; }
    }
    StartScreen.-normal #help { width: 32; }
    StartScreen.-narrow {
        #both { layout: vertical; }
        #help { width: 100%; height: 3; border-left: none; border-top: none; background: $panel; }
        #command { max-height: 2; }
    }
    StartScreen.-flat #help { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._form: Form | None = None
        self._rows: list[str | None] = []  # a name for each row, None for a heading
        self._fields: dict[str, Field] = {}
        self._editing: str | None = None
        self._before = 0
        self._starting = False

    def body(self) -> Iterable[Widget]:
        columns = (
            Column(key="name", title="setting", width=20, grow=1, most=24),
            Column(key="value", title="value", width=16, grow=3),
            Column(key="unit", title="unit", width=7, drop=2),
            Column(key="origin", title="from", width=14, grow=1, most=22, drop=1),
        )
        yield Input(placeholder="/ find a setting", id="find", compact=True)
        yield Horizontal(
            LongList(columns, id="fields", nothing="no setting is called so"),
            VerticalScroll(Static("", id="said"), id="help"),
            id="both",
        )
        yield Horizontal(
            Vertical(Static("", id="command"), Static("", id="verdict"), id="words"),
            Button("run (r)", id="go", variant="primary", compact=True),
            id="foot",
        )

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield RowEditor(id="editor")

    def on_mount(self) -> None:
        self.query_one("#help").can_focus = False
        self.query_one(LongList).focus()
        if self._form is None:
            self._take(lambda: Form(self.dashboard.registry, self.dashboard.registry.first_workload()))

    def receive(self, **what: Any) -> None:
        """`workload` and `profile` to begin with."""
        begun = self._form.workload if self._form else self.dashboard.registry.first_workload()
        workload = str(what.get("workload") or begun)
        profile = what.get("profile")
        self._take(lambda: Form(self.dashboard.registry, workload).with_profile(profile))

    @property
    def form(self) -> Form:
        assert self._form is not None
        return self._form

    # Showing

    def _take(self, make: Any) -> bool:
        """A changed form, or its problem as a toast; True where it was taken."""
        try:
            form: Form = make()
            fields = form.fields
        except BenchError as problem:
            self.dashboard.tell(problem)
            return False
        self._form = form
        self._fields = {one.item.name: one for one in fields}
        self._show()
        return True

    def _show(self) -> None:
        rows = self.query_one(LongList)
        name = self.named
        self._rows, cells = rows_of(self.form, self.query_one("#find", Input).value.strip().lower())
        at = self._rows.index(name) if name in self._rows else next((i for i, one in enumerate(self._rows) if one), 0)
        self._before = at
        rows.put_all(cells, at)
        self._show_help()
        self._show_foot()

    @property
    def named(self) -> str | None:
        """The setting under the cursor."""
        cursor = self.query_one(LongList).cursor
        return self._rows[cursor] if cursor is not None and cursor < len(self._rows) else None

    @on(LongList.Moved)
    def _moved(self, event: LongList.Moved) -> None:
        """Headings are stepped over."""
        if event.index is None or event.index >= len(self._rows):
            return
        if self._rows[event.index] is None:
            down = event.index >= self._before or event.index == 0
            at = event.index + (1 if down else -1)
            self._before = event.index
            event.rows.cursor = at if 0 <= at < len(self._rows) else event.index + 1
            return
        self._before = event.index
        self._show_help()

    def _show_help(self, problem: str | None = None, text: str | None = None) -> None:
        name = self.named
        if name is None or self._form is None:
            return
        said = self.query_one("#said", Static)
        if name in SPECIAL:
            content = special_help(name, narrow=self._narrow)
        else:
            field = self._fields[name]
            content = help_of(field, problem or field.problem, narrow=self._narrow, form=self.form)
        fits = content.get_height({}, max(1, said.size.width)) == said.size.height
        said.update(content, layout=not fits)  # a layout draws the whole screen anew

    @property
    def _narrow(self) -> bool:
        return self.has_class("-narrow")

    def _show_foot(self) -> None:
        self.query_one("#command", Static).update(
            Content.assemble(("$ ", _MUTED), (self.form.command_text(self.dashboard.database), "bold"))
        )
        verdict, go = self.query_one("#verdict", Static), self.query_one("#go", Button)
        problem = self.form.problem
        go.disabled = problem is not None or self._starting
        if self._starting:
            verdict.update(Content.styled("starting…", _MUTED))
        elif problem is not None:
            hint = f"  {problem.hint}" if problem.hint else ""
            verdict.update(Content.assemble((f"✗ {problem.message}", "$text-error"), (hint, _MUTED)))
        else:
            spec = self.form.spec
            assert spec is not None
            repeats = counted(spec.settings.repeats, "run")
            verdict.update(
                Content.assemble(("✓ ready  ", "$text-success"), (f"{repeats} of {spec.workload} {spec.mode} on "
                                 f"{spec.device}, clock: {spec.settings.timing_scope}", _MUTED))
            )  # fmt: skip

    def on_resize(self) -> None:
        if self._form is not None:
            self._close_editor()
            self.call_after_refresh(self._show_help)

    # Changing

    @on(LongList.Chosen)
    def _chosen(self) -> None:
        self.action_change()

    def action_change(self) -> None:
        name = self.named
        if name is None:
            return
        if name == "workload":
            self.action_workload()
        elif name == "profile":
            self.action_profile()
        elif name in SPECIAL:
            self._edit(name, special_text(self.form, name), SPECIAL[name])
        elif self._fields[name].choices and name != "device":
            field = self._fields[name]
            choices = [(one, one) for one in field.choices]
            if field.item.optional and name != "mode":
                choices.append(("none", "none"))
            self.app.push_screen(Pick(name, choices, field.text), self._picked(name))
        else:
            field = self._fields[name]
            self._edit(name, "" if field.text == NONE else field.text, hint_of(field))

    def _picked(self, name: str) -> Any:
        def picked(value: str | None) -> None:
            if value is not None:
                self._take(lambda: self.form.with_value(name, value))

        return picked

    def _edit(self, name: str, value: str, hint: str) -> None:
        rows = self.query_one(LongList)
        place = rows.place_of("value")
        if rows.cursor is None or place is None:
            return
        self._editing = name
        self.query_one(RowEditor).begin(rows, rows.cursor, "", value, hint, indent=place[0])

    @on(RowEditor.Typed)
    def _typed(self, event: RowEditor.Typed) -> None:
        """Checked with every key."""
        if self._editing is None or self._editing in SPECIAL:
            return
        problem = self.form.check(self._editing, event.value)
        self.query_one(RowEditor).set_class(problem is not None, "-wrong")
        self._show_help(problem)
        verdict = self.query_one("#verdict", Static)
        if problem is not None:
            verdict.update(Content.styled(f"✗ {problem}", "$text-error"))
        else:
            verdict.update(Content.styled("enter takes it, escape leaves it as it was", _MUTED))

    @on(RowEditor.Saved)
    def _saved(self, event: RowEditor.Saved) -> None:
        name = self._editing
        if name is None:
            return
        text = event.value.strip()
        if name in SPECIAL:
            make = (lambda: self.form.with_tags(text)) if name == "tags" else (lambda: self.form.with_note(text))
            if not self._take(make):
                self.query_one(RowEditor).resume()
                return
        elif self.form.check(name, text) is not None:
            self.query_one(RowEditor).resume()
            return
        elif text != self._fields[name].text or self._fields[name].typed:
            self._take(lambda: self.form.with_value(name, text))
        self._close_editor()

    @on(RowEditor.Left)
    def _left(self) -> None:
        self._close_editor()

    def _close_editor(self) -> None:
        if self._editing is None:
            return
        self._editing = None
        self.query_one(RowEditor).end()
        self.query_one(LongList).focus()
        self._show_help()
        self._show_foot()

    def action_next(self) -> None:
        """The next of a setting's choices."""
        name = self.named
        if name is None:
            return
        if name in SPECIAL or not self._fields[name].choices:
            self.action_change()
            return
        choices = self._fields[name].choices
        at = choices.index(self._fields[name].text) + 1 if self._fields[name].text in choices else 0
        self._take(lambda: self.form.with_value(name, choices[at % len(choices)]))

    def action_undo(self) -> None:
        name = self.named
        if name == "profile":
            self._take(lambda: self.form.with_profile(None))
        elif name == "tags":
            self._take(lambda: self.form.with_tags(""))
        elif name == "note":
            self._take(lambda: self.form.with_note(""))
        elif name is not None and name != "workload":
            self._take(lambda: self.form.with_value(name, None))

    def action_workload(self) -> None:
        choices = [(name, f"{name:<12} {summary}") for name, summary in workloads(self.dashboard.registry)]

        def picked(name: str | None) -> None:
            if name is not None and name != self.form.workload:
                self._take(lambda: self.form.with_workload(name))

        self.app.push_screen(Pick("Workload", choices, self.form.workload), picked)

    def action_profile(self) -> None:
        choices = [("", "none: defaults only")]
        choices += [(name, f"{name:<22} {text}") for name, workload, text in offered_profiles()
                    if workload in ("", self.form.workload)]  # fmt: skip

        def picked(name: str | None) -> None:
            if name is not None:
                self._take(lambda: self.form.with_profile(name or None))

        self.app.push_screen(Pick(f"Profile for {self.form.workload}", choices, self.form.profile_name or ""), picked)

    # Finding, copying, running

    @on(Input.Changed, "#find")
    def _finding(self) -> None:
        if self._form is not None:
            self._show()

    @on(Input.Submitted, "#find")
    def _found(self) -> None:
        self.query_one(LongList).focus()

    def action_filter(self) -> None:
        self.query_one("#find", Input).focus()

    def action_back(self) -> None:
        find = self.query_one("#find", Input)
        find.value = ""
        self.query_one(LongList).focus()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.form.command_text(self.dashboard.database))
        self.notify("copied the command", timeout=3)

    @on(Button.Pressed, "#go")
    def _pressed(self) -> None:
        self.action_run()

    def action_run(self) -> None:
        if self._starting or self._form is None:
            return
        if self.form.problem is not None:
            self.dashboard.tell(self.form.problem)
            return
        self._starting = True
        self._show_foot()
        self._start(self.form)

    @work(exclusive=True, group="start", exit_on_error=False)
    async def _start(self, form: Form) -> None:
        try:
            await self.dashboard.begin(form.plan(self.dashboard.database))
        except BenchError as problem:
            self.dashboard.tell(problem)
        finally:
            self._starting = False
            self._show_foot()
