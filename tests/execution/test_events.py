"""Events survive the wire; everything else is garbage that names itself."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution.events import Event, Garbage, LineReader, decode, encode

STAMP = {"seq": 0, "t": 1.0, "wall": 2.0, "step": 3, "samples": 4, "epoch": 0.5}


def line(type: str = "log", seq: int = 0, **body: object) -> bytes:
    return encode(type, **{**STAMP, "seq": seq}, body=body or {"level": "info", "text": "x"})


@given(st.text(), st.integers(0, 2**40), st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_encoded_is_decoded(text: str, seq: int, t: float) -> None:
    raw = encode("log", **{**STAMP, "seq": seq, "t": t}, body={"level": "info", "text": text})
    assert raw.count(b"\n") == 1
    event = decode(raw[:-1])
    assert isinstance(event, Event)
    assert (event.seq, event.t, event["text"]) == (seq, t, text)


def test_a_number_that_is_not_finite_becomes_none() -> None:
    raw = line("metric", name="auc", value=math.nan, unit="", extra=[math.inf, {"a": -math.inf}])
    event = decode(raw[:-1])
    assert isinstance(event, Event)
    assert event["value"] is None and event["extra"] == [None, {"a": None}]


@pytest.mark.parametrize(
    "raw, reason",
    [
        (b"Warning: something", "not JSON"),
        (b"[1, 2]", "not an object"),
        (b'{"v": 9}', "version 9"),
        (b'{"v": 1, "type": "shout"}', "unknown type 'shout'"),
        (json.dumps({"v": 1, "type": "done", **STAMP, "seq": "1"}).encode(), "seq is '1'"),
        (json.dumps({"v": 1, "type": "done", **STAMP, "t": True}).encode(), "t is True"),
        (json.dumps({"v": 1, "type": "window", "phase": "measure", **STAMP}).encode(), "index is missing"),
        (
            json.dumps({"v": 1, "type": "metric", "name": "a", "unit": "", "value": "1", **STAMP}).encode(),
            "value is '1'",
        ),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_line_that_is_no_event_says_why(raw: bytes, reason: str) -> None:
    found = decode(raw)
    assert isinstance(found, Garbage)
    assert reason in found.reason
    assert len(found.text) <= 121


@given(st.lists(st.integers(1, 40), max_size=30))
def test_the_reader_does_not_care_how_bytes_are_cut(cuts: list[int]) -> None:
    stream = b"".join(line(seq=seq) for seq in range(5))
    reader, found, at = LineReader(), [], 0
    for cut in [*cuts, len(stream)]:
        found += list(reader.feed(stream[at : at + cut]))
        at += cut
    assert [event.seq for event in found if isinstance(event, Event)] == [0, 1, 2, 3, 4]
    assert reader.lost == reader.garbage == 0


def test_the_reader_resynchronises_after_garbage_and_counts_what_is_lost() -> None:
    reader = LineReader()
    found = list(reader.feed(line(seq=0) + b"\x00\xffnonsense\n" + line(seq=1) + b"\n" + line(seq=5)))
    assert [type(item).__name__ for item in found] == ["Event", "Garbage", "Event", "Event"]
    assert (reader.garbage, reader.lost) == (1, 3)


def test_a_line_longer_than_any_buffer_is_read_whole() -> None:
    raw = line("log", level="info", text="y" * 5_000_000)
    reader, found = LineReader(), []
    for at in range(0, len(raw), 65_536):
        found += list(reader.feed(raw[at : at + 65_536]))
    assert len(found) == 1 and len(found[0]["text"]) == 5_000_000  # type: ignore[index]


def test_an_unfinished_last_line_is_garbage() -> None:
    reader = LineReader()
    assert list(reader.feed(line()[:-4])) == []
    assert [item.reason for item in reader.close()] == ["unfinished line"]
