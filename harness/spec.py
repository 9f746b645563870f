"""RunSpec: the resolved, frozen description of a cell, with the origin of every value.

`RunSettings` are the harness's own settings; a workload's Config holds the rest. `resolve` lays the sources over each
other (strongest first: --set, flags, environment, profile, ./bench.toml, user configuration, defaults) and checks
every key and value once.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from harness import settings
from harness.api import Description, TimingScope
from harness.errors import UsageError, did_you_mean
from harness.metrics import SHARED_METRICS
from harness.settings import setting, settings_of

_MEASUREMENT = "Measurement"
_STOPPING = "Stopping"
_DATA = "Data and seeds"
_PROCESS = "Processes"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What the harness itself needs to know of a cell. Keys of `[run]` in a profile; each is also a flag."""

    device: str = setting("cpu", help="where to run: cpu, cuda[:i], npu[:i], ipu or a plug-in", group=_MEASUREMENT)
    mode: str | None = setting(
        None, help="what to do; the first mode of the workload when not given", group=_MEASUREMENT
    )
    repeats: int = setting(
        5,
        minimum=1,
        help="runs of each cell, each in a process of its own",
        group=_MEASUREMENT,
        kind="free",
        source="an exact test of five against five can reach p = 0.008; three against three never reaches 0.05",
    )
    timing_scope: TimingScope = setting("compute", help="what the clock covers", group=_MEASUREMENT, kind="identity")
    warmup: str = setting(
        "auto",
        help="auto (until steady), none, or a number of steps; never counted in throughput",
        group=_MEASUREMENT,
        kind="identity",
    )
    warmup_cap_s: float = setting(
        10.0, minimum=0.0, unit="s", help="longest automatic warm-up", group=_MEASUREMENT, kind="identity"
    )
    window_s: float = setting(
        1.0, minimum=0.01, unit="s", help="length of one window of throughput", group=_MEASUREMENT, kind="free"
    )
    evaluate_every: int | None = setting(
        None,
        minimum=1,
        unit="samples",
        help="evaluate during training each so many samples",
        group=_MEASUREMENT,
        kind="identity",
    )
    steps: int | None = setting(
        None, minimum=1, help="stop after so many measured steps", group=_STOPPING, kind="identity"
    )
    samples: int | None = setting(
        None, minimum=1, help="stop after so many samples, warm-up counted", group=_STOPPING, kind="identity"
    )
    epochs: float | None = setting(
        None, minimum=0.0, help="stop after so many passes over the training rows", group=_STOPPING, kind="identity"
    )
    seconds: float | None = setting(
        None, minimum=0.0, unit="s", help="stop after so many measured seconds", group=_STOPPING, kind="identity"
    )
    target: str | None = setting(
        None,
        help='stop when an evaluation reaches a quality, e.g. "auc>=0.80"; gives time_to_target_s. Evaluates twenty '
        "times an epoch unless --evaluate-every says otherwise",
        group=_STOPPING,
        kind="identity",
    )
    time_limit: str | None = setting(
        None, help="end a run after so long, whatever it does: 90s, 10m, 2h", group=_STOPPING, kind="free"
    )
    hang_limit: str = setting(
        "5m", help="kill a worker that has said nothing for so long", group=_STOPPING, kind="free"
    )
    data: Path | None = setting(
        None, help="a data file or folder; built-in data when not given", group=_DATA, kind="free"
    )
    seed: int = setting(0, minimum=0, help="repeat k initialises and orders with seed + k", group=_DATA, kind="free")
    data_seed: int = setting(0, minimum=0, help="fixes generated rows for a whole experiment", group=_DATA, kind="free")
    init_from: Path | None = setting(None, help="a checkpoint to start from", group=_DATA)
    checkpoint: bool = setting(
        False, help="save a checkpoint when a run ends, for --init-from and --mode eval", group=_DATA, kind="free"
    )
    checkpoint_every: int | None = setting(
        None, minimum=1, unit="samples", help="save a checkpoint each so many samples", group=_DATA, kind="free"
    )
    threads: int | None = setting(
        None, minimum=1, help="threads of the worker; all allowed cores when not given", group=_PROCESS
    )
    cpus: str | None = setting(None, help="cores the worker may use, e.g. 0-3,6", group=_PROCESS)
    ranks: int = setting(1, minimum=1, help="worker processes that make one run together", group=_PROCESS)
    jobs: int = setting(
        1,
        minimum=1,
        help="runs that go on side by side, each in a worker with its part of the cores; nothing is timed then",
        group=_PROCESS,
        kind="free",
    )
    python: Path | None = setting(
        None,
        help="another Python for the worker (a vendor's torch); recbench must be installed there. On ipu: the Poplar "
        "SDK's Python, which needs no recbench",
        group=_PROCESS,
    )

    def __post_init__(self) -> None:
        if self.warmup not in ("auto", "none") and not self.warmup.isdecimal():
            raise UsageError(f"warmup = {self.warmup!r} is neither auto, none nor a number of steps")
        if self.target is not None:
            parse_target(self.target)
        for name in ("time_limit", "hang_limit"):
            text = getattr(self, name)
            if text is not None:
                parse_duration(text, name)
        if self.cpus is not None:
            parse_cpus(self.cpus)


DEFAULT_SECONDS = 10.0  # of a steady mode that is given no end
STOP_KEYS = ("steps", "samples", "epochs", "seconds")
PROTOCOL_KEYS = tuple(item.name for item in settings_of(RunSettings) if item.kind == "identity")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One cell, resolved. JSON in, JSON out, so that a worker, a socket and the database all read the same thing."""

    workload: str
    workload_version: int
    mode: str
    mode_kind: Literal["steady", "pass", "driven"]
    settings: RunSettings
    params: Mapping[str, Any]
    profile: str | None = None
    label: str = ""
    plugins: tuple[Path, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def device(self) -> str:
        return self.settings.device

    @property
    def protocol(self) -> dict[str, Any]:
        """How it is measured: part of a result's identity."""
        plain = settings.jsonable(self.settings)
        return {name: plain[name] for name in PROTOCOL_KEYS if name != "timing_scope"}

    @property
    def params_hash(self) -> str:
        """Names the configuration: neither seeds, nor paths, nor repeats are in it."""
        plain = settings.jsonable(self.settings)
        kept = {name: plain[name] for name in (*PROTOCOL_KEYS, "device", "threads", "cpus", "ranks")}
        body = [self.workload, self.workload_version, self.mode, kept, dict(self.params)]
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        return {
            "workload": self.workload,
            "workload_version": self.workload_version,
            "mode": self.mode,
            "mode_kind": self.mode_kind,
            "settings": settings.jsonable(self.settings),
            "params": dict(self.params),
            "profile": self.profile,
            "label": self.label,
            "plugins": [str(path) for path in self.plugins],
            "origins": dict(self.origins),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunSpec:
        body = dict(data)
        body["settings"] = settings.build(RunSettings, body["mode"], body["settings"], where="a stored spec")
        body["plugins"] = tuple(Path(path) for path in body["plugins"])
        return cls(**body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Values from one place. `origin` is what --dry-run prints beside them: `--set`, `profile demo`, …

    Neighbours of the same `layer` are equally strong: each flag is a source with an origin of its own, and all of them
    are the layer `flags`.
    """

    origin: str
    values: Mapping[str, Any]
    layer: str = ""


def resolve(
    description: Description,
    sources: Sequence[Source],
    *,
    profile: str | None = None,
    label: str = "",
    plugins: Sequence[Path] = (),
) -> RunSpec:
    """One RunSpec from the sources, strongest first. A value of None counts as not given.

    The stop conditions are one group: the strongest source (or layer of them) that names any decides about all.

    Raises UsageError naming the key, its place and the nearest known key.
    """
    run_keys = {item.name: item for item in settings_of(RunSettings)}
    param_keys = {item.name: item for item in settings_of(description.config)}
    for key in run_keys.keys() & param_keys.keys():
        raise UsageError(
            f"workload {description.name!r} declares {key!r}, which is a setting of every run",
            hint="give it another name",
        )
    sources = [
        replace(source, values=settings.renamed(source.values, description.aliases, where=source.origin))
        for source in sources
    ]
    chosen: dict[str, Any] = {}
    origins: dict[str, str] = {}
    layer, ended = "", False
    for source in sources:
        if not source.layer or source.layer != layer:
            layer, ended = source.layer, any(chosen.get(key) is not None for key in STOP_KEYS)
        for key, value in source.values.items():
            if key not in run_keys and key not in param_keys:
                raise UsageError(
                    f"unknown key {key!r} in {source.origin} for workload {description.name!r}",
                    hint=did_you_mean(key, [*run_keys, *param_keys, *description.aliases]),
                )
            if value is not None and key not in chosen and not (ended and key in STOP_KEYS):
                item = run_keys.get(key) or param_keys[key]
                chosen[key] = settings.check(item, value, where=source.origin)
                origins[key] = source.origin
    mode = chosen.get("mode") or description.default_mode
    if mode not in description.modes:
        raise UsageError(
            f"workload {description.name!r} has no mode {mode!r}", hint=did_you_mean(mode, description.modes)
        )
    defaults = {**description.run_defaults.get("*", {}), **description.run_defaults.get(mode, {})}
    ended = any(chosen.get(key) is not None for key in STOP_KEYS)
    for key, value in defaults.items():
        if key not in chosen and not (ended and key in STOP_KEYS):
            chosen[key] = value
            origins[key] = f"workload {description.name}"
    chosen["mode"] = mode
    if description.modes[mode].kind == "steady" and not any(chosen.get(key) for key in STOP_KEYS):
        chosen["seconds"] = DEFAULT_SECONDS
        origins["seconds"] = "default"
    run_settings = settings.build(
        RunSettings, mode, {key: value for key, value in chosen.items() if key in run_keys}, where="the run"
    )
    if run_settings.jobs > 1 and description.modes[mode].kind != "pass":
        raise UsageError(
            f"jobs = {run_settings.jobs} ({origins['jobs']}): {description.name} {mode} is a measurement of time, and "
            "runs side by side would take it from each other",
            hint="leave jobs at 1; runs of a mode that passes once over its work, as in cachesim, may go side by side",
        )
    if run_settings.target is not None:
        known = {*SHARED_METRICS, *(metric.name for metric in description.metrics)}
        wanted = parse_target(run_settings.target).metric
        if wanted not in known:
            raise UsageError(
                f"target = {run_settings.target!r} names {wanted!r}, which no evaluation of {description.name} gives",
                hint=did_you_mean(wanted, known),
            )
    scopes = description.modes[mode].timing_scopes
    if run_settings.timing_scope not in scopes:
        raise UsageError(
            f"{description.name} {mode} cannot be timed as {run_settings.timing_scope!r}",
            hint="timing scopes here: " + ", ".join(scopes),
        )
    config: Any = settings.build(
        description.config,
        mode,
        {key: value for key, value in chosen.items() if key in param_keys},
        where=f"workload {description.name}",
    )
    for key in (*run_keys, *param_keys):
        origins.setdefault(key, "default")
    return RunSpec(
        workload=description.name,
        workload_version=description.version,
        mode=mode,
        mode_kind=description.modes[mode].kind,
        settings=run_settings,
        params=settings.jsonable(config),
        profile=profile,
        label=label,
        plugins=tuple(plugins),
        origins=origins,
    )


def resolve_cells(
    description: Description,
    sources: Sequence[Source],
    *,
    profile: str | None = None,
    label: str = "",
    plugins: Sequence[Path] = (),
) -> list[RunSpec]:
    """One RunSpec, or one for each combination of the values of the workload's axes, labelled by them.

    The strongest source that gives an axis gives all its values, in their order.
    """
    sources = [
        replace(source, values=settings.renamed(source.values, description.aliases, where=source.origin))
        for source in sources
    ]
    axes: list[list[Source]] = []
    for key, part in description.axes.items():
        source = next((one for one in sources if one.values.get(key) is not None), None)
        if source is not None:
            text = str(source.values[key])
            values = list(part(text))
            if values and values != [text]:
                axes.append([Source(origin=source.origin, values={key: value}) for value in values])
    cells = []
    for chosen in itertools.product(*axes):
        named = ", ".join(f"{key}={value}" for one in chosen for key, value in one.values.items())
        cells.append(resolve(description, [*chosen, *sources], profile=profile, label=named or label, plugins=plugins))
    return cells


def config_of(description: Description, spec: RunSpec) -> Any:
    """The workload's Config of a spec."""
    return settings.build(description.config, spec.mode, spec.params, where="a stored spec")


_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(s|m|h|d)?$")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TARGET = re.compile(r"^\s*([a-z][a-z0-9_]*)\s*(>=|<=)\s*([-+0-9.eE]+)\s*$")


@dataclass(frozen=True, slots=True)
class Target:
    """A quality to reach."""

    metric: str
    at_least: bool
    value: float

    def reached(self, value: float | None) -> bool:
        if value is None:
            return False
        return value >= self.value if self.at_least else value <= self.value


def parse_target(text: str) -> Target:
    """`auc>=0.80` or `log_loss<=0.45`."""
    match = _TARGET.match(text)
    if match is None:
        raise UsageError(f"target {text!r} is not like auc>=0.80")
    try:
        return Target(match[1], match[2] == ">=", float(match[3]))
    except ValueError:
        raise UsageError(f"target {text!r}: {match[3]!r} is not a number") from None


def parse_duration(text: str, name: str = "duration") -> float:
    """Seconds of `90s`, `10m`, `2h`, `1d` or a bare number of seconds."""
    match = _DURATION.match(text.strip())
    if match is None:
        raise UsageError(f"{name} = {text!r} is not a time like 90s, 10m or 2h")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def parse_cpus(text: str) -> tuple[int, ...]:
    """`0-3,6` as (0, 1, 2, 3, 6)."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"cpus = {text!r} is not a list of cores like 0-3,6")
        found.update(range(int(first), int(last if dash else first) + 1))
    if not found:
        raise UsageError(f"cpus = {text!r} names no core", hint="write the smaller number first: 0-3")
    return tuple(sorted(found))


def describe(spec: RunSpec) -> list[tuple[str, Any, str]]:
    """(key, value, origin) of every setting, harness first: what --dry-run and the dashboard show."""
    rows = [(name, value, spec.origins.get(name, "default")) for name, value in asdict(spec.settings).items()]
    return rows + [(name, value, spec.origins.get(name, "default")) for name, value in spec.params.items()]
