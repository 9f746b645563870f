"""The work of a contributed command, in a child process: `run_job` starts it and listens, `main` is the child.

The child may import numba or torch, crash, or be interrupted; this side only reads its lines. stdout of the child is
left to libraries and goes to stderr; what the work says comes through a pipe of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Literal

from harness import paths, settings
from harness.api import Answer, Figure, Line
from harness.errors import BenchError, ExitCode, RunFailed
from harness.execution import wire
from harness.execution.commands import own_environment
from harness.registry import Registry, load

_EVERY_S = 0.2  # between two reports of progress

Progress = Callable[[float, float | None, str], None]
Log = Callable[[str, str], None]


def run_job(
    group: str, command: str, values: Mapping[str, Any], *, width: int, progress: Progress, log: Log, debug: bool
) -> Answer:
    """Carries out `bench GROUP COMMAND`. Raises what the work raised; RunFailed where the child died."""
    reader, writer = os.pipe()
    body = {"group": group, "command": command, "values": dict(values), "width": width, "debug": debug}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "harness.execution.job", str(writer)],
        stdin=subprocess.PIPE,
        stdout=sys.stderr.fileno() if _has_descriptor(sys.stderr) else subprocess.DEVNULL,
        env=own_environment(),
        pass_fds=(writer,),
    )
    os.close(writer)
    answer: Answer | None = None
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:  # it died before it read: what follows says so
            process.stdin.write(wire.line(body))
        with os.fdopen(reader, "rb") as lines:
            for text in lines:
                told = wire.decode(text)
                if told["type"] == "progress":
                    progress(told["done"], told["total"], told["unit"])
                elif told["type"] == "log":
                    log(told["text"], told["level"])
                elif told["type"] == "failed":
                    raise wire.error_of(told)
                elif told["type"] == "answer":
                    answer = Answer(
                        lines=told["lines"],
                        value=told["value"],
                        figures=[
                            Figure(**{**one, "lines": [Line(**line) for line in one["lines"]]})
                            for one in told["figures"]
                        ],
                    )
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if answer is None:
        status = process.returncode
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise RunFailed(
            f"the process of bench {group} {command} {how} and gave no answer",
            hint="it may have run out of memory" if status == -9 else "run it again with --debug",
        )
    return answer


class PipeJob:
    """`harness.api.Job` of the child."""

    def __init__(self, descriptor: int, width: int) -> None:
        self.width = width
        self.cache_dir = paths.cache_dir()
        self._pipe = os.fdopen(descriptor, "wb", buffering=0)
        self._reported = 0.0

    def progress(self, done: float, total: float | None, unit: str) -> None:
        now = time.monotonic()
        if now - self._reported >= _EVERY_S or done == total:
            self._reported = now
            self.send("progress", done=done, total=total, unit=unit)

    def log(self, text: str, level: Literal["info", "warning"] = "info") -> None:
        self.send("log", text=text, level=level)

    def send(self, type_: str, /, **facts: Any) -> None:
        self._pipe.write(wire.line({"type": type_, **facts}))


def main() -> int:
    """The child: one request on stdin, answered through the pipe whose number is the argument."""
    request = json.loads(sys.stdin.readline())
    job = PipeJob(int(sys.argv[1]), request["width"])
    try:
        found = Registry().command_group(request["group"])
        command = next(one for one in found.commands if one.name == request["command"])
        config: Any = settings.build(command.config, "", request["values"], where=f"bench {found.name} {command.name}")
        answer: Answer = load(command.work, f"bench {found.name} {command.name}", install=found.install)(config, job)
        figures = [asdict(figure) for figure in answer.figures]
        job.send("answer", lines=list(answer.lines), value=dict(answer.value), figures=figures)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BenchError as problem:
        if request["debug"]:
            traceback.print_exc()
        job.send("failed", **wire.error_body(problem))
    except Exception as problem:  # noqa: BLE001 -- whatever it was, the parent must hear of it
        if request["debug"]:
            traceback.print_exc()
        text = f"{type(problem).__name__}: {problem}".strip().splitlines()[0]
        job.send("failed", **wire.error_body(RunFailed(f"bench {request['group']} {request['command']}: {text}")))
    return ExitCode.OK


def _has_descriptor(stream: Any) -> bool:
    try:
        return isinstance(stream.fileno(), int)
    except (OSError, ValueError, AttributeError):
        return False


if __name__ == "__main__":
    sys.exit(main())
