"""What a worker says to its parent: versioned JSON lines on a private channel, and their strict reader.

Every line carries `v`, `seq` (from 0, without gaps), `t` (monotonic seconds), `wall` (Unix seconds), `type`, `step`,
`samples` and `epoch` of the moment, and the fields of its type. The reader has no line-length limit, checks each line,
resynchronises at the next newline after garbage, and knows from `seq` whether anything was lost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION = 1
PHASES = ("setup", "warmup", "measure", "evaluate", "teardown")
_GARBAGE_SHOWN = 120

# type -> {field: (types, required)}; a field not listed is carried along untouched.
_NUMBER = (int, float)
_SCHEMA: Mapping[str, Mapping[str, tuple[tuple[type, ...], bool]]] = {
    "hello": {"pid": ((int,), True), "rank": ((int,), True), "python": ((str,), True)},
    "environment": {"values": ((dict,), True)},  # the worker's part of the fingerprint
    "cell": {"cell": ((str,), True), "run": ((str,), True), "state": ((str,), True)},  # begin, end, failed
    "data": {"fingerprint": ((str,), True), "kind": ((str,), True)},
    "engine": {"values": ((dict,), True)},
    "phase": {"name": ((str,), True), "state": ((str,), True), "seconds": (_NUMBER, False)},  # begin, end
    "window": {
        "phase": ((str,), True),
        "index": ((int,), True),
        "window_samples": ((int,), True),
        "seconds": (_NUMBER, True),
    },
    "metric": {"name": ((str,), True), "value": ((int, float, type(None)), True), "unit": ((str,), True)},
    "series": {"name": ((str,), True), "axis": ((str,), True), "x": ((list,), True), "y": ((list,), True)},
    "progress": {"phase": ((str,), True), "done": (_NUMBER, True), "unit": ((str,), True)},
    "log": {"level": ((str,), True), "text": ((str,), True)},
    "artifact": {"kind": ((str,), True), "path": ((str,), True)},
    "checkpoint": {"path": ((str,), True)},
    "error": {"message": ((str,), True), "kind": ((str,), True)},
    "done": {},
}


@dataclass(frozen=True, slots=True)
class Event:
    """One checked line."""

    type: str
    seq: int
    t: float
    wall: float
    step: int
    samples: int
    epoch: float
    body: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.body[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self.body.get(key, default)


@dataclass(frozen=True, slots=True)
class Garbage:
    """A line that is no event: why, and its beginning."""

    reason: str
    text: str


_ENVELOPE = ("v", "seq", "t", "wall", "type", "step", "samples", "epoch")


def encode(
    type: str, *, seq: int, t: float, wall: float, step: int, samples: int, epoch: float, body: Mapping[str, Any]
) -> bytes:
    """One line with its newline. Numbers that are not finite become null: JSON has none, and none is a measurement."""
    envelope = {
        "v": VERSION, "seq": seq, "t": t, "wall": wall, "type": type, "step": step, "samples": samples, "epoch": epoch,
    }  # fmt: skip
    return json.dumps(_finite({**body, **envelope}), allow_nan=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Event | Garbage:
    """The event of one line (without its newline), or why it is none."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return _garbage("not JSON", line)
    if not isinstance(data, dict):
        return _garbage("not an object", line)
    if data.get("v") != VERSION:
        return _garbage(f"version {data.get('v')!r}, expected {VERSION}", line)
    kind = data.get("type")
    if not isinstance(kind, str) or kind not in _SCHEMA:
        return _garbage(f"unknown type {kind!r}", line)
    for name, types in (
        ("seq", int),
        ("t", _NUMBER),
        ("wall", _NUMBER),
        ("step", int),
        ("samples", int),
        ("epoch", _NUMBER),
    ):
        if not isinstance(data.get(name), types) or isinstance(data.get(name), bool):
            return _garbage(f"{kind}: {name} is {data.get(name)!r}", line)
    body = {key: value for key, value in data.items() if key not in _ENVELOPE}
    for name, (allowed, required) in _SCHEMA[kind].items():
        if name not in body:
            if required:
                return _garbage(f"{kind}: {name} is missing", line)
        elif not isinstance(body[name], allowed) or (isinstance(body[name], bool) and bool not in allowed):
            return _garbage(f"{kind}: {name} is {body[name]!r}", line)
    return Event(kind, data["seq"], data["t"], data["wall"], data["step"], data["samples"], data["epoch"], body)


class LineReader:
    """Bytes in, events and garbage out. Keeps what is not yet a line; counts what was lost."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._next_seq = 0
        self.lost = 0
        self.garbage = 0

    def feed(self, chunk: bytes) -> Iterator[Event | Garbage]:
        """Everything that `chunk` completes, in order."""
        while True:
            head, newline, chunk = chunk.partition(b"\n")
            if not newline:
                if head:
                    self._pending.append(head)
                return
            line = b"".join((*self._pending, head))
            self._pending.clear()
            if line.strip():
                yield self._read(line)

    def close(self) -> Iterator[Garbage]:
        """At the end of the channel: an unfinished line is garbage."""
        if self._pending:
            line = b"".join(self._pending)
            self._pending.clear()
            self.garbage += 1
            yield _garbage("unfinished line", line)

    def _read(self, line: bytes) -> Event | Garbage:
        found = decode(line)
        if isinstance(found, Garbage):
            self.garbage += 1
            return found
        self.lost += max(0, found.seq - self._next_seq)
        self._next_seq = max(self._next_seq, found.seq + 1)
        return found


def _garbage(reason: str, line: bytes) -> Garbage:
    text = line[:_GARBAGE_SHOWN].decode("utf-8", "replace")
    return Garbage(reason, text + ("…" if len(line) > _GARBAGE_SHOWN else ""))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value
