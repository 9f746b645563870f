"""Sorts everything known of two cells into identity, subject and nuisance, and says what differs.

- *identity* (data, protocol, timing scope, workload, its version, mode): must match, or nothing is compared.
- *subject* (device, driver, framework versions, precision, commit, parameters): may differ, and is the question.
- *nuisance* (governor, kernel, operating system, memory, CPU model, container limits): refused where both sides
  ran on the same device, because then nobody asked for it; load, temperature and the like are reported only.

Which environment key is which says `harness.telemetry.fingerprint`, beside the code that collects them; here is added
only that a CPU's own facts are the subject where the CPU is the device.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from harness.settings import settings_of
from harness.spec import RunSettings
from harness.store.records import CellRecord, ExperimentRecord, RunRecord
from harness.telemetry.fingerprint import classify, flatten

KeyClass = Literal["identity", "subject", "nuisance"]
ParamClass = Literal["identity", "subject", "free"]  # as `setting(kind=...)` declares them

_DATA_IDENTITY = ("fingerprint", "rows", "rules")
# Facts of the engine that say something of a result, and do not make it.
_TOLD = ("work", "warnings", "settings_to_paste")
# What the measured load of a run is summed up by, and to how many decimals it is worth a word.
_LOAD = {"load1": 0, "foreign_cpu_share": 1}
# Follows from the part of the cores that a worker got beside others, which nobody asked about.
_DEALT = (
    "environment.device.threads", "environment.device.threads_asked", "environment.device.cores_allowed",
    "environment.variables.*_NUM_THREADS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """One key's value on one side; `refusable` only matters for a nuisance."""

    key: str
    value: Any
    kind: KeyClass
    refusable: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """A key on which A and B do not agree; None is a value that one side does not have."""

    key: str
    a: Any
    b: Any
    kind: KeyClass
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Differences:
    """All that differs between two cells, sorted; `same_device` is what decides about nuisances."""

    identity: tuple[Difference, ...]
    subject: tuple[Difference, ...]
    nuisance: tuple[Difference, ...]
    same_device: bool

    @property
    def refused(self) -> tuple[Difference, ...]:
        return tuple(item for item in (*self.identity, *self.nuisance) if item.refused)


def differences(
    a: tuple[ExperimentRecord, CellRecord],
    b: tuple[ExperimentRecord, CellRecord],
    *,
    param_classes: Mapping[str, ParamClass] | None = None,
) -> Differences:
    """What differs between two cells. `param_classes`: which parameters are data or protocol, or change no number."""
    classes = param_classes or {}
    facts_a, facts_b = _facts(*a, classes), _facts(*b, classes)
    same_device = device_model(a[1]) == device_model(b[1])
    found: dict[KeyClass, list[Difference]] = {"identity": [], "subject": [], "nuisance": []}
    dealt = ran_side_by_side(a[1]) or ran_side_by_side(b[1])
    for key in dict.fromkeys([*facts_a, *facts_b]):
        if dealt and any(fnmatchcase(key, pattern) for pattern in _DEALT):
            continue
        one, other = facts_a.get(key), facts_b.get(key)
        value_a = None if one is None else one.value
        value_b = None if other is None else other.value
        if value_a == value_b:
            continue
        fact = one or other
        assert fact is not None
        kind = fact.kind
        refused = kind == "identity" or (kind == "nuisance" and fact.refusable and same_device)
        found[kind].append(Difference(key, value_a, value_b, kind, refused))
    return Differences(
        identity=tuple(found["identity"]),
        subject=tuple(found["subject"]),
        nuisance=tuple(found["nuisance"]),
        same_device=same_device,
    )


def ran_side_by_side(cell: CellRecord) -> bool:
    """Whether other runs of its experiment went on beside its own (`--jobs`), so that it has no timings."""
    return any("side_by_side" in run.contention for run in cell.runs)


def device_model(cell: CellRecord) -> tuple[str, str | None, str | None]:
    """What the device is: its family (`cuda` of `cuda:1`), its proven kind, and its name where recorded."""
    family = _family(cell)
    for run in _counted(cell):
        facts = flatten(run.environment)
        name = facts.get("device.name") or (facts.get("cpu.model") if family == "cpu" else None)
        if name is not None:
            return family, cell.device_kind, str(name)
    return family, cell.device_kind, None


def classify_environment(key: str, family: str) -> KeyClass | None:
    """The class of an environment key for a device of this family; None for what says nothing about speed."""
    kind = classify(key)
    if kind == "ignore":
        return None
    return "subject" if family == "cpu" and key.startswith("cpu.") else kind


def _facts(experiment: ExperimentRecord, cell: CellRecord, classes: Mapping[str, ParamClass]) -> dict[str, Fact]:
    return {fact.key: fact for fact in _iterate(experiment, cell, classes) if fact.value is not None}


def _iterate(experiment: ExperimentRecord, cell: CellRecord, classes: Mapping[str, ParamClass]) -> Iterator[Fact]:
    yield Fact("workload", cell.workload, "identity")
    yield Fact("workload_version", cell.workload_version, "identity")
    yield Fact("mode", cell.mode, "identity")
    yield Fact("timing_scope", cell.timing_scope, "identity")
    yield from (Fact(f"protocol.{key}", value, "identity") for key, value in flatten(cell.protocol).items())
    yield from _data_facts(experiment, cell)

    yield Fact("device", cell.device, "subject")
    yield Fact("device_kind", cell.device_kind, "subject")
    for key, value in flatten(cell.params).items():
        kind = classes.get(key, classes.get(key.split(".", 1)[0], "subject"))
        yield Fact(key, value, "nuisance" if kind == "free" else kind)
    for item in settings_of(RunSettings):
        if item.kind == "subject" and item.name not in ("device", "mode"):
            yield Fact(item.name, cell.settings.get(item.name), "subject")
    # The work of a step follows from the parameters, which are asked about themselves.
    engine = {key: value for key, value in cell.engine.items() if key not in _TOLD and not key.startswith("roofline_")}
    yield from (Fact(f"engine.{key}", value, "subject") for key, value in flatten(engine).items())
    yield Fact("git_commit", experiment.git_commit, "subject")
    yield Fact("git_dirty", experiment.git_dirty, "subject")
    yield Fact("harness_version", experiment.harness_version, "subject")

    yield from _environment_facts(cell)
    yield from _load_facts(cell)
    yield Fact("host", experiment.host, "nuisance")
    yield Fact("shared", experiment.shared, "nuisance")
    yield Fact("face", _one_or_all(run.face for run in _counted(cell)), "nuisance")


def _data_facts(experiment: ExperimentRecord, cell: CellRecord) -> Iterator[Fact]:
    for key, value in flatten(cell.data).items():
        if key in _DATA_IDENTITY:
            yield Fact(f"data.{key}", value, "identity")
        else:
            yield Fact(f"data.{key}", value, "nuisance")
    # Rows that nobody fingerprinted are told apart by their seed alone.
    kind: KeyClass = "nuisance" if cell.data.get("fingerprint") is not None else "identity"
    yield Fact("data_seed", experiment.data_seed, kind)


def _environment_facts(cell: CellRecord) -> Iterator[Fact]:
    flattened = [flatten(run.environment) for run in _counted(cell)]
    for key in dict.fromkeys(key for facts in flattened for key in facts):
        kind = classify_environment(key, _family(cell))
        if kind is not None:
            value = _one_or_all(facts.get(key) for facts in flattened)
            yield Fact(f"environment.{key}", value, kind, refusable=kind == "nuisance")


def _load_facts(cell: CellRecord) -> Iterator[Fact]:
    for key, decimals in _LOAD.items():
        values = [run.contention.get(key) for run in _counted(cell)]
        numbers = [value for value in values if isinstance(value, int | float)]
        if numbers:
            yield Fact(f"load.{key}", round(statistics.median(numbers), decimals), "nuisance")


def _family(cell: CellRecord) -> str:
    return cell.device.split(":", 1)[0]


def _counted(cell: CellRecord) -> list[RunRecord]:
    return [run for run in cell.runs if run.status == "ok"]


def _one_or_all(values: Iterable[Any]) -> Any:
    """The value all runs share, or every value there is, as text."""
    distinct = list(dict.fromkeys(value for value in values if value is not None))
    if len(distinct) <= 1:
        return distinct[0] if distinct else None
    return " | ".join(sorted(str(value) for value in distinct))
