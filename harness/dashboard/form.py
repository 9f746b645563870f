"""The form of a new experiment: fields from a workload's Config and the run settings, checked as one types.

    form = Form(registry, "dlrm").with_profile("demo").with_value("batch", "512")
    form.spec            # the RunSpec, or None while something is wrong
    form.command()       # bench run dlrm --profile demo --batch 512

Values are laid over each other as the command line lays them: what is typed here stands where its flags stand. Knows
nothing of Textual.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from harness import profiles, settings, sources
from harness.analysis.words import setting_text
from harness.api import Description
from harness.errors import BenchError, UsageError
from harness.execution.plan import Plan, make_plan
from harness.profiles import Profile
from harness.registry import Registry
from harness.settings import Setting, settings_of
from harness.spec import RunSettings, RunSpec, resolve
from harness.store.resolve import check_tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting as the form shows it. `typed`: the person changed it here; `problem` is one sentence."""

    item: Setting
    text: str
    origin: str
    typed: bool
    choices: tuple[str, ...]
    problem: str | None = None


@dataclass(frozen=True)
class Form:
    """What was chosen so far. Immutable; every change gives a new one."""

    registry: Registry
    workload: str
    profile_name: str | None = None
    typed: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    note: str | None = None

    def with_workload(self, name: str) -> Form:
        """Another workload; what was typed for settings of every run stays."""
        kept = {item.name for item in settings_of(RunSettings)} - {"mode"}
        typed = {key: value for key, value in self.typed.items() if key in kept}
        return replace(self, workload=name, profile_name=None, typed=typed)

    def with_profile(self, name: str | None) -> Form:
        """The profile's values below what was typed; its workload where it has one."""
        if name is None:
            return replace(self, profile_name=None)
        workload = profiles.load(name).workload_name or self.workload
        form = self if workload == self.workload else self.with_workload(workload)
        return replace(form, profile_name=name)

    def with_value(self, name: str, text: str | None) -> Form:
        """`text` as it was typed, none where it is empty; None takes the setting back to where it came from."""
        typed = {key: value for key, value in self.typed.items() if key != name}
        if text is None:
            return replace(self, typed=typed)
        optional = any(item.optional for item in self.items if item.name == name)
        return replace(self, typed={**typed, name: text or ("none" if optional else "")})

    def with_tags(self, text: str) -> Form:
        """Words separated by spaces or commas. UsageError for one that cannot be a tag."""
        return replace(self, tags=tuple(dict.fromkeys(check_tag(tag) for tag in text.replace(",", " ").split())))

    def with_note(self, text: str) -> Form:
        return replace(self, note=text.strip() or None)

    @cached_property
    def description(self) -> Description:
        return self.registry.workload(self.workload)

    @cached_property
    def items(self) -> tuple[Setting, ...]:
        """The harness's own settings, then the workload's."""
        return sources.all_settings(self.description)

    @cached_property
    def profile(self) -> Profile | None:
        return profiles.load(self.profile_name) if self.profile_name is not None else None

    @cached_property
    def _resolved(self) -> tuple[RunSpec | None, BenchError | None]:
        try:
            return self._resolve(self.typed), None
        except BenchError as problem:
            return None, problem

    @property
    def spec(self) -> RunSpec | None:
        return self._resolved[0]

    @property
    def problem(self) -> BenchError | None:
        """The first thing that is wrong with the whole, None where it can start."""
        return self._resolved[1]

    @cached_property
    def base(self) -> RunSpec | None:
        """What holds without the values that are wrong, so that the rest of the form keeps its values."""
        if self.spec is not None:
            return self.spec
        good = {item.name: self.typed[item.name] for item in self.items
                if item.name in self.typed and self.check(item.name, self.typed[item.name]) is None}  # fmt: skip
        for typed in (good, {key: good[key] for key in ("mode",) if key in good}, {}):
            try:
                return self._resolve(typed)
            except BenchError:
                continue
        return None

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Every setting with its value and where it comes from."""
        return tuple(self._field(item) for item in self.items)

    def check(self, name: str, text: str) -> str | None:
        """What is wrong with a value of one setting, None where it may stand."""
        item = next(one for one in self.items if one.name == name)
        try:
            settings.check(item, text or None, where="the form")
        except UsageError as problem:
            return _short(problem)
        choices = self._choices(item)
        if name == "mode" and text and text not in choices:
            return f"{self.workload} has no mode {text!r}: {', '.join(choices)}"
        if name == "device":
            try:
                self.registry.device(text)
            except BenchError as problem:
                return _short(problem)
        if name in ("data", "init_from") and text and text != "none":
            try:
                sources.check_path(self.description, name, Path(text).expanduser(), what=text)
            except BenchError as problem:
                return _short(problem)
        return None

    def command(self) -> list[str]:
        """The words of the command line that does the same."""
        words = ["bench", "run", self.workload]
        if self.profile_name is not None:
            words += ["--profile", self.profile_name]
        for item in self.items:
            text = self.typed.get(item.name)
            if text is None:
                continue
            if item.base_type is bool:
                words.append(item.flag if text.lower() in ("true", "on", "yes", "1") else f"--no-{item.flag[2:]}")
            else:
                words += [item.flag, text]
        for tag in self.tags:
            words += ["--tag", tag]
        if self.note is not None:
            words += ["--note", self.note]
        for plugin in self.registry.plugins:
            words += ["--plugin", str(plugin)]
        return words

    def command_text(self, database: Path | None = None) -> str:
        words = self.command()
        if database is not None and database != Path("results.db"):
            words += ["--db", str(database)]
        return shlex.join(words)

    def plan(self, database: Path) -> Plan:
        """The plan to launch. Raises what is wrong."""
        if self.problem is not None:
            raise self.problem
        assert self.spec is not None
        return make_plan(
            [self.spec], command="run", database=database, argv=self.command()[1:], face="dashboard", tags=self.tags,
            note=self.note,
        )  # fmt: skip

    def _resolve(self, typed: Mapping[str, str]) -> RunSpec:
        spec = resolve(
            self.description,
            sources.laid_out(self.registry, self.description, flags=typed, profile=self.profile),
            profile=self.profile_name,
            label=self.profile_name or self.workload,
            plugins=self.registry.plugins,
        )
        sources.check(self.registry, self.description, spec)
        return spec

    def _field(self, item: Setting) -> Field:
        text, origin = "–", "default"
        if self.base is not None:
            value = self.base.params.get(item.name, getattr(self.base.settings, item.name, None))
            text, origin = setting_text(value), self.base.origins.get(item.name, "default")
        typed = item.name in self.typed
        problem = None
        if typed:
            problem = self.check(item.name, self.typed[item.name])
            if problem is not None:
                text, origin = self.typed[item.name], item.flag
        return Field(
            item=item, text=text, origin=origin, typed=typed, choices=self._choices(item), problem=problem,
        )  # fmt: skip

    def _choices(self, item: Setting) -> tuple[str, ...]:
        if item.base_type is bool:
            return ("true", "false")
        if item.name == "mode":
            return tuple(self.description.modes)
        if item.name == "device":
            return tuple(self.registry.device_names())
        return tuple(str(choice) for choice in item.choices)


def workloads(registry: Registry) -> Sequence[tuple[str, str]]:
    """(name, summary) of every workload, and what is wrong with one that does not import."""
    found = []
    for name in registry.workload_names():
        try:
            found.append((name, registry.workload(name).summary))
        except BenchError as problem:
            found.append((name, problem.message))
    return found


def offered_profiles() -> Sequence[tuple[str, str, str]]:
    """(name, workload, description) of every profile that can be read."""
    found = []
    for name in profiles.names():
        try:
            profile = profiles.load(name)
        except BenchError:
            continue
        found.append((name, profile.workload_name or "", profile.description))
    return found


def hint_of(field: Field) -> str:
    """What may be typed: its kind, unit and bounds."""
    item = field.item
    if item.base_type is bool:
        return "on or off"
    parts = ["one of " + ", ".join(field.choices) if field.choices else item.describe_type()]
    if item.unit:
        parts.append(f"in {item.unit}")
    if item.minimum is not None and item.maximum is not None:
        parts.append(f"from {item.minimum:g} to {item.maximum:g}")
    elif item.minimum is not None:
        parts.append(f"at least {item.minimum:g}")
    elif item.maximum is not None:
        parts.append(f"at most {item.maximum:g}")
    if item.optional and item.name != "mode":
        parts.append("or none")
    return ", ".join(parts)


def _short(problem: BenchError) -> str:
    text = problem.message.replace(" in the form", "")
    hint = problem.hint if problem.hint and problem.hint.startswith("did you mean") else None
    return f"{text}; {hint}" if hint else text
