"""What every workload must keep, run against its real class under the real measurement loop.

A module of tests makes a `Case` and calls these functions; nothing here knows a particular workload.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.registry import Registry
from harness.settings import build, settings_of
from harness.spec import RunSettings
from tests.fakes.devices import StillDevice
from tests.fakes.measure import Bench, measured, metrics


@dataclass(frozen=True, kw_only=True)
class Case:
    """A small configuration of one mode. `exact`: the same seed must give the same numbers to the last bit.

    `quality`: it measures some, so that there is something to repeat.
    """

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    plugins: Sequence[Path] = ()
    device: Callable[[], Any] = StillDevice
    exact: bool = True
    quality: bool = True

    def bench(self, folder: Path, repeat: int = 0, **values: Any) -> Bench:
        device = self.device()
        device.open(threads=1, seed=repeat)
        return Bench(folder, self.name, device=device, plugins=self.plugins, repeat=repeat, **{**self.values, **values})


def check_description(case: Case) -> None:
    """Modes, defaults and metrics are whole, and no key means two things."""
    description = Registry(case.plugins).workload(case.name)
    own = {item.name for item in settings_of(description.config)}
    shared = {item.name for item in settings_of(RunSettings)}
    assert not own & shared, f"{own & shared} are settings of the harness"
    assert description.modes and description.version >= 1 and description.summary
    for mode, facts in description.modes.items():
        build(description.config, mode, {})
        assert facts.timing_scopes
    for mode, defaults in description.run_defaults.items():
        assert mode == "*" or mode in description.modes
        assert set(defaults) <= shared | own
    names = [metric.name for metric in description.metrics]
    assert len(names) == len(set(names))
    assert sum(metric.role == "primary" for metric in description.metrics) <= 2
    assert set(description.aliases.values()) <= shared | own
    assert not set(description.aliases) & (shared | own), "another word is a setting itself"
    assert set(description.axes) <= own
    if description.figure is not None:
        assert description.figure.over in own
        assert {description.figure.metric, description.figure.at} <= set(names)


def check_description_is_free_of(case: Case, module: str) -> None:
    """Reading the description, as the command line does, imports no heavy library."""
    script = (
        "import sys; from pathlib import Path; from harness.registry import Registry; "
        f"Registry([Path(p) for p in {[str(path) for path in case.plugins]!r}]).workload({case.name!r}); "
        f"sys.exit({module!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def check_samples_are_counted_once(case: Case, folder: Path) -> None:
    bench = case.bench(folder)
    events = bench.run()
    end = measured(events)
    windows = [event for event in events if event.type == "window" and event["phase"] == "measure"]
    assert end["segment_samples"] > 0
    assert windows or bench.spec.mode_kind == "driven", "no window was told"
    if windows:
        assert sum(window["window_samples"] for window in windows) == end["segment_samples"]


def check_rows_are_identified(case: Case, folder: Path) -> None:
    events = case.bench(folder).run()
    assert len([event for event in events if event.type == "data"]) == 1


def check_quality_repeats(case: Case, folder: Path) -> None:
    """The same seeds give the same quality; speed and memory may differ."""
    first, second = (_quality(case.bench(folder / str(turn)).run()) for turn in range(2))
    assert first or not case.quality, "no quality was measured"
    assert first == second


def check_resume_equals_an_uninterrupted_run(case: Case, folder: Path, every: int) -> None:
    """State saved on the way and loaded into a new instance ends where the whole run ends."""
    from harness.execution import checkpoint

    whole = case.bench(folder / "whole", checkpoint_every=every).run()
    saved = [event for event in whole if event.type == "checkpoint"]
    assert saved, "no checkpoint was written"
    state = checkpoint.load(Path(saved[0]["path"]))
    rest = case.bench(folder / "rest").run(state)
    assert measured(rest)["segment_samples"] == measured(whole)["segment_samples"]
    assert _quality(rest) == _quality(whole)


def _quality(events: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in metrics(events).items()
        if not name.endswith(("_s", "_bytes")) and name != "throughput"
    }
