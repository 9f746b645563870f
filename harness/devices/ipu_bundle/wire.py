"""Messages between the harness and the IPU's process: one object of JSON a line, over a socket of their own.

What libraries print goes to standard output and error, never here.
"""

from __future__ import annotations

import json
import socket
from typing import Any


class Wire:
    """One end of the socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._unread = b""

    def send(self, **message: Any) -> None:
        self._end.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next message; None when `timeout_s` have passed without one.

        Raises EOFError where the other end is gone, ValueError (with the line) where a line is no message.
        """
        while b"\n" not in self._unread:
            self._end.settimeout(timeout_s)
            try:
                chunk = self._end.recv(1 << 16)
            except (BlockingIOError, socket.timeout):  # not one error before Python 3.10
                return None
            except ConnectionError:
                chunk = b""
            finally:
                self._end.settimeout(None)
            if not chunk:
                raise EOFError("the other end is gone")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise ValueError(line[:200].decode(errors="replace"))
        return message

    def close(self) -> None:
        self._end.close()
