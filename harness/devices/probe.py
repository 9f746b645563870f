"""Asks a device whether it can run, in a child process: a vendor's package may crash, hang or print on import.

The child writes one JSON object into an inherited file, apart from whatever libraries print. Anything else than that
object (a signal, a time-out, garbage) becomes `Unavailable(state="broken")` with one sentence, so that no vendor's
package can break a command. One command: `python -m harness.devices.probe cuda`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import IO

from harness import paths
from harness.api import Available, Device, Unavailable
from harness.registry import Registry

PACKAGES = ("torch", "numpy", "triton", "nvidia-ml-py", "torch-npu", "poptorch")
TIMEOUT_S = 30.0
_STATES = ("not installed", "no card", "not built", "broken")
_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The device's answer, and which packages its interpreter has (None: not installed; empty: it did not say)."""

    verdict: Available | Unavailable
    versions: Mapping[str, str | None] = field(default_factory=dict)
    python: str | None = None


def probe_in_child(
    selector: str,
    plugins: Iterable[Path] = (),
    python: str | Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Available | Unavailable:
    """What `probe()` of this device says, under the interpreter its worker would have.

    Raises UsageError for an unknown device or a plug-in that does not import; a device that crashes is a verdict.
    """
    return examine_in_child(selector, plugins, python, timeout_s).verdict


def examine_in_child(
    selector: str,
    plugins: Iterable[Path] = (),
    python: str | Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Probed:
    """As `probe_in_child`, with the versions found there."""
    files = tuple(Path(path).resolve() for path in plugins)
    device = Registry(files).device(selector)
    own = str(python) if python is not None else device.interpreter()
    foreign = bool(getattr(device, "foreign", False))
    interpreter = sys.executable if own is None or foreign else own
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as noise:
        command = [interpreter, "-P", "-m", "harness.devices.probe", selector, "--channel", str(answer.fileno())]
        command += ["--limit", str(timeout_s)]
        command += [part for path in files for part in ("--plugin", str(path))]
        command += ["--python", own] if foreign and own is not None else []
        try:
            child = subprocess.Popen(
                command,
                env=_child_environment(device),
                stdin=subprocess.DEVNULL,
                stdout=noise,
                stderr=noise,
                pass_fds=(answer.fileno(),),
                start_new_session=True,
            )
        except OSError as problem:
            return _broken(f"the interpreter {interpreter} does not start: {problem.strerror}", hint="check --python")
        try:
            status = child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)  # a group of its own, whose leader is not reaped yet
            child.wait()
            return _broken(f"the probe of {selector} hung: no answer in {timeout_s:g} s", hint=_retry(selector))
        return _read_answer(selector, interpreter, status, answer, noise)


def main(argv: Sequence[str] | None = None) -> int:
    """The child's side."""
    parser = argparse.ArgumentParser(prog="harness.devices.probe")
    parser.add_argument("selector")
    parser.add_argument("--channel", type=int, default=1)
    parser.add_argument("--limit", type=float, default=TIMEOUT_S)
    parser.add_argument("--plugin", type=Path, action="append", default=[])
    parser.add_argument("--python")
    arguments = parser.parse_args(argv)
    signal.setitimer(signal.ITIMER_REAL, arguments.limit + 1.0)  # ends a child that has lost its parent
    device = make_device(Registry(arguments.plugin), arguments.selector, arguments.python)
    try:
        verdict = device.probe()
    except Exception as problem:  # noqa: BLE001  # whatever a vendor's package raises is told to the person
        verdict = Unavailable(
            reason=f"the probe of {arguments.selector} failed: {type(problem).__name__}: {problem}",
            hint=_retry(arguments.selector),
            state="broken",
        )
    body = {
        "available": isinstance(verdict, Available),
        "verdict": dataclasses.asdict(verdict),
        "versions": {} if arguments.python else package_versions(),
        "python": platform.python_version(),
    }
    with os.fdopen(arguments.channel, "w", closefd=False) as channel:
        channel.write(json.dumps(body, default=str) + "\n")
    return 0


def make_device(registry: Registry, selector: str, python: str | None) -> Device:
    """The device, with the person's `--python` where recbench itself does not run under it (`foreign`)."""
    device = registry.device(selector)
    if python is not None and getattr(device, "foreign", False):
        vars(device)["python"] = python
    return device


def package_versions() -> dict[str, str | None]:
    """What is installed beside this interpreter, from the metadata; imports none of it."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def _child_environment(device: Device) -> dict[str, str]:
    """Ours and the device's. A checkout is put on the path, since it need not be installed to be run."""
    environment = {**os.environ, **device.environment()}
    checkout = paths.checkout()
    if checkout is not None:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(checkout), environment.get("PYTHONPATH"))))
    return environment


def _read_answer(selector: str, interpreter: str, status: int, answer: IO[bytes], noise: IO[bytes]) -> Probed:
    answer.seek(0)
    text = answer.read().decode(errors="replace")
    if status < 0:
        return _broken(f"the probe of {selector} was killed by {_signal_name(-status)}", hint=_retry(selector))
    if status != 0:
        return _broken(*_why_it_ended(selector, interpreter, status, _last_line(noise)))
    try:
        body = json.loads(text)
        verdict: Available | Unavailable
        if body["available"]:
            verdict = Available(**body["verdict"])
        else:
            verdict = Unavailable(**body["verdict"])
            if verdict.state not in _STATES:
                raise ValueError(verdict.state)
        return Probed(verdict=verdict, versions=dict(body["versions"]), python=str(body["python"]))
    except (ValueError, KeyError, TypeError):
        return _broken(f"the probe of {selector} gave no readable answer", hint=_retry(selector))


def _why_it_ended(selector: str, interpreter: str, status: int, said: str) -> tuple[str, str]:
    if said.lower().replace(":", "").startswith("unknown option -p"):  # 3.8 writes a colon, 3.9 and 3.10 do not
        return f"{interpreter} is older than Python 3.11, which recbench needs", "name a newer Python with --python"
    if "No module named 'harness" in said or "No module named harness" in said:
        return (
            f"{interpreter} has no recbench",
            f"install it there: {interpreter} -m pip install recbench (the base needs no torch)",
        )
    because = f": {said}" if said else ""
    return f"the probe of {selector} ended with exit status {status}{because}", _retry(selector)


def _last_line(noise: IO[bytes]) -> str:
    size = noise.seek(0, os.SEEK_END)
    noise.seek(max(0, size - _TAIL_BYTES))
    lines = [line.strip() for line in noise.read().decode(errors="replace").splitlines() if line.strip()]
    unknown = [line for line in lines if line.lower().startswith("unknown option")]  # a usage text follows it
    return (unknown or lines[-1:] or [""])[0]


def _broken(reason: str, hint: str) -> Probed:
    return Probed(verdict=Unavailable(reason=reason, hint=hint, state="broken"))


def _retry(selector: str) -> str:
    return f"see what it prints: python -m harness.devices.probe {selector}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


if __name__ == "__main__":
    sys.exit(main())
