"""The process that runs under the Poplar SDK's Python: started from the bundle, talked to, and ended.

What libraries print there goes to this process's own standard error and so to the run's log; the last lines are kept,
so that a process that dies is quoted. Silence is not judged here: the harness's `hang_limit` and `time_limit` do.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from harness import paths
from harness.devices.ipu_bundle.wire import Wire
from harness.errors import RunFailed, UsageError

BUNDLE = Path(__file__).with_name("ipu_bundle")
_START = "import sys; sys.path[0] = sys.argv[1]; from ipu_bundle.serve import main; sys.exit(main(sys.argv[2:]))"
_LINES_KEPT = 30
_LINES_QUOTED = 3
_END_S = 10.0  # PopTorch lets go of its IPUs at exit
_TICK_S = 0.25
_COMPILED = re.compile(r"Graph compilation:\s+(\d+)%")  # PopTorch's progress bar, the only word of its compiler


class IpuProcess:
    """One process under `python`. `facts` are what it found, its `ipu_bundle/facts.py`."""

    def __init__(self, python: str) -> None:
        self.python = python
        self.compiled: float | None = None  # share of the graph, as PopTorch's bar says
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._folder = Path(tempfile.mkdtemp(prefix="recbench-ipu-"))
        self._models = 0
        gather_bundle(self._folder)
        ours, theirs = socket.socketpair()
        command = [python, "-c", _START, str(self._folder), "--channel", str(theirs.fileno())]
        command += ["--parent", str(os.getpid())]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=child_environment(),
                pass_fds=(theirs.fileno(),),
            )
        except OSError as problem:
            ours.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise RunFailed(
                f"the interpreter {python} does not start: {problem.strerror}", hint="check --python"
            ) from None
        finally:
            theirs.close()
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=_pump, args=(self._process.stdout, weakref.ref(self)), daemon=True)
        self._reader.start()
        self._wire = Wire(ours)
        self._finalizer = weakref.finalize(self, _end, self._process, ours, self._reader, self._folder)
        self.facts: dict[str, Any] = self.wait_for("hello")["facts"]

    @property
    def pid(self) -> int:
        return self._process.pid

    def add_model(self, files: Iterable[Path]) -> Path:
        """A folder of its own in the bundle with these files in it. UsageError where two have one name."""
        self._models += 1
        folder = self._folder / f"model-{self._models}"
        folder.mkdir()
        for file in files:
            if (folder / file.name).exists():
                raise UsageError(
                    f"two of the model's files are called {file.name}: in the bundle they lie side by side"
                )
            shutil.copyfile(file, folder / file.name)
        return folder

    def post(self, request: str, **body: Any) -> None:
        """Asks without waiting. RunFailed where the process is gone."""
        try:
            self._wire.send(do=request, **body)
        except OSError:
            while True:  # what it said before it went: its own error tells more than a broken pipe
                self._read(None)

    def take(self, timeout_s: float | None = 0.0) -> dict[str, Any] | None:
        """The next answer; None where none has come. RunFailed for an error, garbage, or the end of the process."""
        return self._read(timeout_s)

    def wait_for(self, name: str, tick: Callable[[], None] | None = None) -> dict[str, Any]:
        """The next answer, which must be of this name; `tick` is called while it is waited for."""
        while True:
            message = self._read(None if tick is None else _TICK_S)
            if message is not None:
                break
            assert tick is not None
            tick()
        if message["say"] != name:
            raise self._strange(f"{message['say']!r} where {name!r} was due")
        return message

    def end(self) -> None:
        """Ends it, by force if it must be; safe to call twice."""
        self._finalizer()

    def quote(self) -> str:
        """The last lines that it printed, as a part of a sentence."""
        self._reader.join(1.0)
        said = [line for line in self._lines if line.strip()][-_LINES_QUOTED:]
        return f"; it last said: {' | '.join(said)}" if said else ""

    def printed(self, text: str) -> None:
        """A piece of its output, from the reader's thread."""
        found = _COMPILED.findall(text)
        if found:
            self.compiled = int(found[-1]) / 100
            return
        self._lines.append(text.rstrip())
        sys.stderr.write(text + "\n")  # the run's log
        sys.stderr.flush()

    def _read(self, timeout_s: float | None) -> dict[str, Any] | None:
        try:
            message = self._wire.receive(timeout_s)
        except EOFError:
            raise self._gone() from None
        except ValueError as garbage:
            raise self._strange(repr(str(garbage))) from None
        if message is None:
            return None
        if "say" not in message:
            raise self._strange(repr(message))
        if message["say"] == "error":
            raise error_of(message)
        return message

    def _gone(self) -> RunFailed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2.0)
        status = self._process.poll()
        if status is None:
            how = "closed its channel without a word"
        elif status < 0:
            how = f"was killed by {_signal_name(-status)}"
        else:
            how = f"ended with exit status {status}"
        return RunFailed(
            f"the IPU's process ({self.python}) {how}{self.quote()}", hint="its output is in the run's log"
        )

    def _strange(self, what: str) -> RunFailed:
        self.end()
        return RunFailed(
            f"the IPU's process ({self.python}) said what is no answer: {what}{self.quote()}",
            hint="its channel cannot be trusted any more, so it was ended; its output is in the run's log",
        )


def error_of(message: dict[str, Any]) -> RunFailed:
    """PopTorch's error, its words unchanged; the recovery action (poptorch.RecoverableError) belongs to them."""
    kind, text = str(message.get("kind")), str(message.get("text") or "without a word")
    if kind == "Refused":
        return RunFailed(text, hint="files, factory and arguments come from the model's portable()")
    own = f"poptorch.{kind}" if str(message.get("module", "")).startswith("poptorch") else kind
    action = message.get("recovery_action") if kind == "RecoverableError" else None
    details = [f"{name}: {message[name]}" for name in ("type", "location") if message.get(name)]
    if action:
        return RunFailed(
            f"{own}: {text} (recovery action: {action})",
            hint=f"the IPU needs a {action} before it runs again; see gc-reset and the fabric's manual",
            details=details,
        )
    return RunFailed(f"{own}: {text}", hint="its traceback is in the run's log", details=details)


def gather_bundle(folder: Path) -> None:
    """The files of the bundle, as a package on their own."""
    target = folder / BUNDLE.name
    target.mkdir()
    for file in sorted(BUNDLE.glob("*.py")):
        shutil.copyfile(file, target / file.name)


def child_environment() -> dict[str, str]:
    """Ours; our own checkout is taken off the path, since nothing of it runs there."""
    environment = dict(os.environ)
    checkout = paths.checkout()
    own = {str(checkout)} if checkout is not None else set()
    rest = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part and part not in own]
    environment["PYTHONPATH"] = os.pathsep.join(rest)
    if not rest:
        del environment["PYTHONPATH"]
    return environment


def _pump(pipe: IO[bytes], owner: weakref.ref[IpuProcess]) -> None:
    """Hands on what is printed, by lines and by the carriage returns of progress bars."""
    text = ""
    with pipe:
        while chunk := os.read(pipe.fileno(), 1 << 16):
            *whole, text = re.split(r"[\r\n]", text + chunk.decode(errors="replace"))
            process = owner()
            for line in whole if process is not None else ():
                assert process is not None
                if line.strip():
                    process.printed(line)
            del process
        process = owner()
        if text.strip() and process is not None:
            process.printed(text)


def _end(process: subprocess.Popen[bytes], channel: socket.socket, reader: threading.Thread, folder: Path) -> None:
    channel.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if reader is not threading.current_thread():
        reader.join(1.0)
    shutil.rmtree(folder, ignore_errors=True)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
