"""The control socket's wire: one JSON object a line, and addresses that fit into a Unix socket's 107 bytes.

Orchestrator to face: `started` or `failed` (to the face that launched it), `snapshot` (a whole Snapshot, the first
thing after attaching), `change` (what is new since the last message), `answer` (to a command). Face to orchestrator:
`{"command": "stop" | "kill" | "skip" | "retry" | "detach", "id": n, …}`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import (
    BenchError,
    DataError,
    ExitCode,
    Interrupted,
    RunFailed,
    StoreError,
    UnavailableError,
    UsageError,
)

WIRE_VERSION = 1
LONGEST_COMMAND = 1 << 16
_LONGEST_ADDRESS = 107  # sockaddr_un.sun_path, less its terminator
_KINDS: Mapping[str, type[BenchError]] = {
    kind.__name__: kind for kind in (RunFailed, UsageError, DataError, StoreError, UnavailableError, Interrupted)
}


def encode(type: str, **body: Any) -> bytes:
    """One line with its newline."""
    return line({"v": WIRE_VERSION, "type": type, **body})


def line(message: Mapping[str, Any]) -> bytes:
    """Any object as one line with its newline."""
    return json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"


def decode(text: bytes) -> dict[str, Any]:
    """The object of a line; ValueError where it is none."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def error_body(problem: BenchError) -> dict[str, Any]:
    """An error as the fields of a `failed` message."""
    return {
        "kind": type(problem).__name__,
        "message": problem.message,
        "hint": problem.hint,
        "details": list(problem.details),
        "exit_code": int(problem.exit_code),
    }


def error_of(body: Mapping[str, Any]) -> BenchError:
    """The error that a `failed` message carries, of the same class as where it was raised."""
    kind = _KINDS.get(str(body.get("kind")), RunFailed)
    return kind(
        str(body.get("message")),
        hint=body.get("hint"),
        details=body.get("details") or (),
        exit_code=ExitCode(body["exit_code"]) if body.get("exit_code") else None,
    )


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """An address of `path` that a Unix socket can be bound or connected to, however long the path is."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
