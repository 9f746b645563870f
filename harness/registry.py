"""Which workloads, devices and commands there are: names as text first, then entry points, then `--plugin` files.

Nothing is imported until it is asked for by name, so a broken plug-in or vendor package breaks only itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.api import CommandGroup, Description, Device
from harness.errors import UnavailableError, UsageError, did_you_mean

WORKLOADS: Mapping[str, str] = {  # the first is where a newcomer begins
    "dlrm": "workloads.dlrm.config:DESCRIPTION",
    "din": "workloads.din.config:DESCRIPTION",
    "cachesim": "workloads.cachesim.config:DESCRIPTION",
}
DEVICES: Mapping[str, str] = {
    "cpu": "harness.devices.cpu:CpuDevice",
    "cuda": "harness.devices.cuda:CudaDevice",
    "npu": "harness.devices.npu:NpuDevice",
    "ipu": "harness.devices.ipu:IpuDevice",
}
COMMANDS: Mapping[str, str] = {
    "cache": "workloads.cachesim.commands.description:GROUP",
}
WORKLOAD_GROUP = "recbench.workloads"
DEVICE_GROUP = "recbench.devices"
COMMAND_GROUP = "recbench.commands"


class Registry:
    """The names known to one invocation. `plugins` are Python files given by `--plugin`."""

    def __init__(self, plugins: Iterable[Path] = ()) -> None:
        self._workloads: dict[str, str | Description] = dict(WORKLOADS)
        self._devices: dict[str, str | type] = dict(DEVICES)
        self._commands: dict[str, str] = dict(COMMANDS)
        for group, table in (
            (WORKLOAD_GROUP, self._workloads),
            (DEVICE_GROUP, self._devices),
            (COMMAND_GROUP, self._commands),
        ):
            for entry in entry_points(group=group):
                table.setdefault(entry.name, entry.value)
        self.plugins = tuple(Path(path).resolve() for path in plugins)
        for path in self.plugins:
            self._add_plugin(path)

    def workload_names(self) -> list[str]:
        return sorted(self._workloads)

    def first_workload(self) -> str:
        """Where a form begins when nobody has named one."""
        return next(iter(self._workloads))

    def device_names(self) -> list[str]:
        return list(self._devices)

    def command_names(self) -> list[str]:
        return sorted(self._commands)

    def command_group(self, name: str) -> CommandGroup:
        """The commands that a workload contributes under this word. UsageError where they do not load."""
        if name not in self._commands:
            raise UsageError(f"unknown command {name!r}", hint=did_you_mean(name, self._commands))
        found = load(self._commands[name], f"command {name!r}")
        if not isinstance(found, CommandGroup):
            raise UsageError(f"command {name!r} gives a {type(found).__name__}, expected a harness.api.CommandGroup")
        return found

    def workload(self, name: str) -> Description:
        """The description of a workload. UsageError for an unknown name or a plug-in that does not import."""
        if name not in self._workloads:
            raise UsageError(f"unknown workload {name!r}", hint=did_you_mean(name, self._workloads))
        found = self._workloads[name]
        if isinstance(found, str):
            found = load(found, f"workload {name!r}")
        if not isinstance(found, Description):
            raise UsageError(f"workload {name!r} gives a {type(found).__name__}, expected a harness.api.Description")
        return found

    def workload_class(self, name: str) -> Any:
        """The workload's class; on the worker's side only, since it may import torch."""
        description = self.workload(name)
        if isinstance(description.workload, str):
            return load(description.workload, f"workload {name!r}", install=description.install)
        return description.workload

    def device(self, selector: str) -> Device:
        """The device of `cpu`, `cuda`, `cuda:1`, …; imports no torch. UsageError for an unknown name or index."""
        name, index = parse_device(selector)
        if name not in self._devices:
            raise UsageError(f"unknown device {selector!r}", hint=did_you_mean(name, self._devices))
        found = self._devices[name]
        make = load(found, f"device {name!r}") if isinstance(found, str) else found
        device: Device = make(index)
        return device

    def _add_plugin(self, path: Path) -> None:
        module = load_plugin(path)
        workloads = getattr(module, "WORKLOADS", ())
        devices = getattr(module, "DEVICES", ())
        if not workloads and not devices:
            raise UsageError(
                f"plug-in {path} defines neither WORKLOADS nor DEVICES",
                hint="a plug-in lists its harness.api.Description objects in WORKLOADS, its device classes in DEVICES",
            )
        for description in workloads:
            if not isinstance(description, Description):
                raise UsageError(f"plug-in {path}: WORKLOADS holds a {type(description).__name__}, not a Description")
            self._workloads[description.name] = description
        for device in devices:
            self._devices[device.name] = device


def parse_device(selector: str) -> tuple[str, int | None]:
    """`cuda:1` as ("cuda", 1); `cpu` as ("cpu", None)."""
    name, separator, index = selector.partition(":")
    if not separator:
        return name, None
    if not index.isdecimal():
        raise UsageError(f"device {selector!r} has no number behind the colon", hint="write it like cuda:0")
    return name, int(index)


def load_plugin(path: Path) -> ModuleType:
    """Imports one file under a name of its own. UsageError where it is missing or raises."""
    if not path.is_file():
        raise UsageError(f"plug-in {path} is not a file")
    name = f"recbench_plugin_{path.stem}"
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"plug-in {path} is not a Python file", hint="its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as problem:
        del sys.modules[name]
        raise UsageError(
            f"plug-in {path} does not import: {type(problem).__name__}: {problem}",
            hint="run it with --debug to see where",
        ) from problem
    return module


def load(place: str, what: str, *, install: str = "") -> Any:
    """What a place as text names. UnavailableError for a package that is not installed, where `install` says how to get
    it; UsageError where it does not import for another reason."""
    module_name, _, attribute = place.partition(":")
    try:
        module = importlib.import_module(module_name)
        found = module
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as problem:
        package = (problem.name or "").partition(".")[0]
        if not install or not package or package == module_name.partition(".")[0]:
            raise UsageError(f"{what} ({place}) does not import: {type(problem).__name__}: {problem}") from problem
        raise UnavailableError(f"{what} needs the package {package}, which is not installed", hint=install) from problem
    except Exception as problem:
        raise UsageError(f"{what} ({place}) does not import: {type(problem).__name__}: {problem}") from problem
    return found
