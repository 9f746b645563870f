"""The form of a new experiment as rows of a list, and the words beside the row that is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

from harness.dashboard.form import Field, Form, hint_of
from harness.dashboard.widgets.long_list import Cell, Tone

NONE = "–"
SPECIAL: Mapping[str, str] = {  # rows that are no settings
    "workload": "what is measured",
    "profile": "a named file of settings below what is typed here; its values stand in the list",
    "tags": "words to find this experiment by, separated by spaces",
    "note": "a remark kept with this experiment",
}
_HEAD = "What to run"
_MUTED = "$foreground 60%"


def rows_of(form: Form, wanted: str) -> tuple[list[str | None], list[Sequence[Cell]]]:
    """(names, rows), by group, of those with `wanted` in their name or group; a heading has None for a name."""
    names: list[str | None] = []
    rows: list[Sequence[Cell]] = []

    def add(group: str, some: Sequence[tuple[str, Sequence[Cell]]]) -> None:
        kept = [one for one in some if wanted in one[0] or wanted in group.lower()]
        if kept:
            names.append(None)
            rows.append(((group, "group"),))
        for name, line in kept:
            names.append(name)
            rows.append(line)

    add(_HEAD, [(name, _special(form, name)) for name in SPECIAL])
    for group in dict.fromkeys(one.item.group for one in form.fields):
        add(group, [(one.item.name, _line(one)) for one in form.fields if one.item.group == group])
    return names, rows


def special_text(form: Form, name: str) -> str:
    texts = {"workload": form.workload, "profile": form.profile_name or "", "tags": " ".join(form.tags),
             "note": form.note or ""}  # fmt: skip
    return texts[name]


def special_help(name: str, *, narrow: bool) -> Content:
    return Content.assemble((name, "bold"), "  " if narrow else "\n\n", SPECIAL[name])


def _special(form: Form, name: str) -> Sequence[Cell]:
    value = special_text(form, name)
    chosen = bool(value) and name != "workload"
    return (
        (f"  {name}", ""), (value or NONE, "strong" if value else "dim"), ("", ""),
        ("chosen here" if chosen else "", "busy"),
    )  # fmt: skip


def _line(field: Field) -> Sequence[Cell]:
    tone: Tone = "bad" if field.problem else "strong" if field.origin != "default" else ""
    origin = "typed here" if field.typed else field.origin
    if field.item.base_type is bool and field.text in ("true", "false"):
        shown = "● on" if field.text == "true" else "○ off"
    else:
        shown = field.text
    return (
        (f"  {field.item.name}", ""),
        (f"{shown}  ✗" if field.problem else shown, tone if field.text != NONE else "dim"),
        (field.item.unit or "", "dim"),
        (origin, "busy" if field.typed else "reference" if origin != "default" else "dim"),
    )


def help_of(field: Field, problem: str | None, *, narrow: bool, form: Form) -> Content:
    """What a setting is, may be, is now, and means in a comparison; or its flag, bounds and sentence in two lines."""
    item = field.item
    head = Content.assemble((item.flag, "bold"), "  ", (hint_of(field), _MUTED))
    wrong = Content.styled(problem, "$text-error") if problem else None
    if narrow:
        return Content("\n").join([head, wrong or Content(item.help)])
    lines = [Content.styled(item.name, "bold"), Content(""), Content(item.help), Content("")]
    if wrong is not None:
        lines += [wrong, Content("")]
    lines.append(Content.assemble(("may be   ", _MUTED), hint_of(field)))
    if item.name == "mode":
        lines += [Content.assemble((f"  {name}  ", "bold"), (mode.help, _MUTED))
                  for name, mode in form.description.modes.items()]  # fmt: skip
    else:
        lines.append(Content.assemble(("default  ", _MUTED), _default(field, form)))
    lines.append(Content.assemble(("now      ", _MUTED), (field.text, "bold"), (f"  ({field.origin})", _MUTED)))
    lines.append(Content.assemble(("flag     ", _MUTED), item.flag))
    meaning = {"identity": "must match in a comparison", "subject": "may be the question of a comparison",
               "free": "changes no number"}[item.kind]  # fmt: skip
    lines.append(Content.assemble(("compare  ", _MUTED), meaning))
    if item.source:
        lines += [Content(""), Content.styled("why this default", _MUTED), Content.styled(item.source, _MUTED)]
    return Content("\n").join(lines)


def _default(field: Field, form: Form) -> str:
    mode = form.base.mode if form.base is not None else form.description.default_mode
    value = field.item.default_in(mode)
    if value is None:
        return "none"
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
