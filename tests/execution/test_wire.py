from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.errors import BenchError, DataError, ExitCode, RunFailed, StoreError, UnavailableError, UsageError
from harness.execution import wire


@pytest.mark.parametrize("kind", [RunFailed, UsageError, DataError, StoreError, UnavailableError])
def test_an_error_crosses_the_wire_as_itself(kind: type[BenchError]) -> None:
    sent = kind("line 3 is broken", hint="mend it", details=["a", "b"])
    got = wire.error_of(wire.decode(wire.encode("failed", **wire.error_body(sent))))
    assert type(got) is kind
    assert (got.message, got.hint, got.details, got.exit_code) == (
        sent.message,
        sent.hint,
        sent.details,
        sent.exit_code,
    )


def test_an_unknown_kind_keeps_its_exit_code() -> None:
    got = wire.error_of({"kind": "Weather", "message": "rain", "exit_code": 5})
    assert isinstance(got, RunFailed)
    assert got.exit_code == ExitCode.UNAVAILABLE


@pytest.mark.parametrize("text", [b"[]", b"3", b"{", b"\xff"])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        wire.decode(text)


def test_an_address_may_be_longer_than_a_socket_allows(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        with wire.short_address(path) as address:
            server.bind(address)
        server.listen()
        with wire.short_address(path) as address:
            client.connect(address)
    assert path.is_socket()
