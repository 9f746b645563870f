"""The worker's end of the channel."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest

from harness.execution.channel import ORPHANED, Channel
from harness.execution.events import Event, LineReader


class Pair:
    def __init__(self) -> None:
        self.parent, child = socket.socketpair()
        self.left: list[int] = []
        self.channel = Channel(child.detach(), leave=self.left.append)

    def tell(self, **line: object) -> None:
        self.parent.sendall(json.dumps(line).encode() + b"\n")

    def wait(self, condition: object) -> None:
        for _ in range(200):
            if condition():  # type: ignore[operator]
                return
            time.sleep(0.01)
        raise AssertionError("it never came")


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.channel.close()
    made.parent.close()


def test_the_first_line_says_what_to_run_and_later_lines_command(pair: Pair) -> None:
    pair.tell(type="start", cells=[1])
    assert pair.channel.receive_start()["cells"] == [1]
    pair.tell(type="skip_cell")
    pair.wait(lambda: pair.channel.skip_requested)
    assert not pair.channel.stop_requested
    pair.tell(type="stop")
    pair.wait(lambda: pair.channel.stop_requested)


def test_every_event_is_stamped_with_where_the_run_is(pair: Pair) -> None:
    pair.channel.step, pair.channel.samples, pair.channel.epoch = 3, 30, 0.5
    pair.channel.send("log", level="info", text="a\nb")
    pair.channel.send("done")
    first, second = LineReader().feed(pair.parent.recv(4096))
    assert isinstance(first, Event) and isinstance(second, Event)
    assert (first.seq, first.step, first.samples, first.epoch, first["text"]) == (0, 3, 30, 0.5, "a\nb")
    assert second.seq == 1 and second.t >= first.t


def test_a_worker_whose_parent_is_gone_leaves_at_once(pair: Pair) -> None:
    pair.tell(type="start")
    pair.channel.receive_start()
    pair.parent.close()
    pair.wait(lambda: pair.left == [ORPHANED])


def test_closing_is_not_being_orphaned(pair: Pair) -> None:
    pair.tell(type="start")
    pair.channel.receive_start()
    pair.channel.close()
    assert pair.left == []
