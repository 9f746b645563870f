"""Graphcore's IPUs: by gcipuinfo under the Poplar SDK's Python, else by the text of gc-info; the keys are the same.

Runs in the orchestrator, beside the worker. Of all IPUs of the partition those count that a process of the run holds:
PopTorch chooses them itself, so there is no index to ask for. What a device does not say is "N/A" there and None here.
Source of keys and forms: Graphcore, "Command line tools" 1.2 to 1.4, "Device attributes", and "gcipuinfo", attributes.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from harness.telemetry.power import EnergyMeter, IntegralEnergy
from harness.telemetry.samples import NoTelemetry

GRAPHCORE_UNITS = {
    "utilisation": "share",
    "utilisation_session": "share",
    "power_w": "W",
    "temperature_board_c": "°C",
    "temperature_die_c": "°C",
    "clock_mhz": "MHz",
}
HINT = "enable the Poplar SDK, whose Python (--python) has gcipuinfo, or put its gc-info on the path"

_SCRIPT = Path(__file__).with_name("gcipuinfo_lines.py")
_START_S = 10.0  # for the first answer: the library looks for every IPU of the partition
_ANSWER_S = 2.0
_TOOL_S = 5.0
_TOOL_EVERY_S = 2.0  # gc-info is started once for each IPU
_NUMBER = re.compile(r"^([-+]?\d+(?:\.\d+)?)\s*([A-Za-z%/]*)$")
_LISTED = re.compile(r"^-\+-\s+Id:\s*\[(\d+)\],\s*(?:target|type):\s*\[([^\]]*)\]", re.MULTILINE)

Attributes = Mapping[str, str]
Read = Callable[[], Sequence[Attributes] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphcoreSample:
    """The IPUs of a run at one moment; all None before the run holds one.

    Utilisation is their mean, power their sum (None where one does not say), temperatures the highest, the clock the
    lowest. `utilisation` is over the driver's own period, `utilisation_session` since the process took the IPU.
    """

    t_s: float
    ipus: int
    utilisation: float | None
    utilisation_session: float | None
    power_w: float | None
    temperature_board_c: float | None
    temperature_die_c: float | None
    clock_mhz: float | None
    error_states: tuple[str, ...]
    other_pids: tuple[int, ...]  # that hold IPUs of the partition and are not the run's

    @property
    def slowed_by(self) -> tuple[str, ...]:
        """What an IPU reports of itself that is no health; Graphcore tells no reasons for a low clock."""
        return self.error_states


class GraphcoreSampler:
    """Asks `read` for every IPU's attributes. Made by `open_graphcore`; `close` it when the experiment ends."""

    def __init__(
        self,
        read: Read,
        *,
        source: str,
        close: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self._read = read
        self._close = close
        self._clock = clock
        self._own_pids: set[int] = set()

    def sample(self, own_pids: Iterable[int] = ()) -> GraphcoreSample:
        """One sample; `own_pids` are the run's processes."""
        self._own_pids = set(own_pids)
        devices = self._read() or ()
        held = [(device, number(device.get("user process id"))) for device in devices]
        own = [device for device, pid in held if pid is not None and int(pid) in self._own_pids]
        others = {int(pid) for _, pid in held if pid is not None and int(pid) not in self._own_pids}
        states = {device.get("ipu error state", "no errors") for device in own}
        return GraphcoreSample(
            t_s=self._clock(),
            ipus=len(own),
            utilisation=_mean_share(own, "ipu utilisation"),
            utilisation_session=_mean_share(own, "ipu utilisation (session)"),
            power_w=power_w(own),
            temperature_board_c=max(_numbers(own, "average board temp"), default=None),
            temperature_die_c=max(_numbers(own, "average die temp"), default=None),
            clock_mhz=min(_numbers(own, "clock"), default=None),
            error_states=tuple(sorted(states - {"no errors", "N/A", ""})),
            other_pids=tuple(sorted(others)),
        )

    def energy_meter(self) -> EnergyMeter:
        """By integrating the power of the run's IPUs; None in the end where one does not say."""
        return IntegralEnergy(lambda: self.sample(self._own_pids).power_w, source=self.source, clock=self._clock)

    def close(self) -> None:
        self._close()


def open_graphcore(
    python: str | None = None, *, tool: str = "gc-info", clock: Callable[[], float] = time.monotonic
) -> GraphcoreSampler | NoTelemetry:
    """gcipuinfo under `python` (this one when None), else `tool`. Never raises: without either it says why."""
    process = _Lines(python or sys.executable)
    if process.read(_START_S) is not None:
        return GraphcoreSampler(process.read, source="gcipuinfo", close=process.close, clock=clock)
    process.close()
    found = shutil.which(tool)
    if found is None:
        return NoTelemetry(f"gcipuinfo does not work in {python or sys.executable}, and there is no {tool}", HINT)
    reader = _Tool(found, clock)
    if reader.read() is None:
        return NoTelemetry(f"{found} lists no IPU", HINT)
    return GraphcoreSampler(reader.read, source="gc-info", clock=clock)


def parse_info(text: str) -> dict[str, str]:
    """The attributes in `gc-info -i -d ID`; empty where it is something else."""
    found: dict[str, str] = {}
    begun = False
    for line in text.splitlines():
        if line.strip() == "Device Info:":
            begun = True
        elif begun and line.startswith(" "):
            key, separator, value = line.strip().partition(": ")
            if separator:
                found[key] = value.strip()
    return found


def parse_listing(text: str) -> list[int]:
    """The ids of single IPUs in `gc-info -l`; the rest of the list are groups of them."""
    return [int(name) for name, target in _LISTED.findall(text) if "multi" not in target.lower()]


def number(text: str | None) -> float | None:
    """The number in "17.8 C", "1850MHz", "0.00%" or "38641"; None of "N/A" and anything else."""
    found = _NUMBER.match((text or "").strip())
    return None if found is None else float(found[1])


def power_w(devices: Sequence[Attributes]) -> float | None:
    """Of all these IPUs. Where an IPU does not tell its own ("ipu power"), nothing is made up from its board's."""
    values = [number(device.get("ipu power")) for device in devices]
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _numbers(devices: Sequence[Attributes], key: str) -> list[float]:
    return [value for device in devices if (value := number(device.get(key))) is not None]


def _mean_share(devices: Sequence[Attributes], key: str) -> float | None:
    values = _numbers(devices, key)
    return fmean(values) / 100 if values else None


class _Lines:
    """The script under the SDK's Python: a line in, a line out."""

    def __init__(self, python: str) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        try:
            self._process = subprocess.Popen(
                [python, str(_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:
            return

    def read(self, timeout_s: float = _ANSWER_S) -> Sequence[Attributes] | None:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        try:
            process.stdin.write(b"\n")
            process.stdin.flush()
        except OSError:
            return None
        limit = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            left = limit - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                return None
            chunk = os.read(process.stdout.fileno(), 1 << 16)
            if not chunk:
                return None
            self._unread += chunk
        line, _, self._unread = self._unread.rpartition(b"\n")  # an answer that came too late is behind us
        try:
            answer = json.loads(line.rpartition(b"\n")[2])
        except ValueError:
            return None
        return answer if isinstance(answer, list) else None

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was not written yet goes nowhere
                    continue


class _Tool:
    """gc-info, at most every two seconds; between them the last answer holds."""

    def __init__(self, tool: str, clock: Callable[[], float]) -> None:
        self._tool = tool
        self._clock = clock
        self._ids: list[int] | None = None
        self._last: Sequence[Attributes] | None = None
        self._at = float("-inf")

    def read(self) -> Sequence[Attributes] | None:
        now = self._clock()
        if now - self._at < _TOOL_EVERY_S:
            return self._last
        self._at = now
        if self._ids is None:
            self._ids = parse_listing(self._run("-l"))
        found = [parse_info(self._run("-i", "-d", str(name))) for name in self._ids]
        self._last = [attributes for attributes in found if attributes] or None
        return self._last

    def _run(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [self._tool, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TOOL_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout
