"""Learning rates by update: the unit of a file is what was said, epochs or updates."""

from __future__ import annotations

import pytest

from harness.errors import DataError
from workloads.din.schedule import make_schedule, read_schedule

ORIGINAL = "0:0.6\n10:0.5\n20:0.4\n30:0.3\n100:0.1\n"  # learning_rate_schedule_file.txt of graphcore/examples


def _made(path=None, unit="epochs", factor=1.0, loss=1.0):
    return make_schedule(rate=0.1, file=path, unit=unit, epoch_updates=7, epoch_factor=factor, loss_factor=loss)


def test_without_a_file_the_rate_is_constant():
    assert [_made().at(update) for update in (0, 6, 7, 999)] == [0.1] * 4


@pytest.mark.parametrize(("unit", "each"), [("epochs", 7), ("updates", 1)])
def test_a_file_counts_what_was_said(tmp_path, unit, each):
    path = tmp_path / "schedule.txt"
    path.write_text(ORIGINAL)
    schedule = _made(path, unit)
    assert schedule.at(0) == schedule.at(10 * each - 1) == 0.6
    assert schedule.at(10 * each) == 0.5
    assert schedule.at(20 * each - 1) == 0.5
    assert schedule.at(100 * each) == schedule.at(10_000) == 0.1


def test_the_rate_is_halved_after_every_epoch():
    schedule = _made(factor=0.5)
    assert [schedule.at(update) for update in (0, 6, 7, 13, 14)] == [0.1, 0.1, 0.05, 0.05, 0.025]


def test_half_the_loss_is_half_the_rate(tmp_path):
    path = tmp_path / "schedule.txt"
    path.write_text(ORIGINAL)
    assert _made(loss=0.5).at(3) == 0.05
    assert _made(path, loss=0.5).at(70) == 0.25


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "does not begin at place 0"),
        ("1:0.5", "does not begin at place 0"),
        ("0:0.5 0:0.4", "'0:0.4' behind place 0, expected ascending places"),
        ("0:0.5 x", "the entry 'x', expected a place and a rate like 10:0.5"),
        ("0:0", "the entry '0:0'"),
        ("0:nan", "the entry '0:nan'"),
        ("0:-1", "the entry '0:-1'"),
        ("0.5:1", "the entry '0.5:1'"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "schedule.txt"
    path.write_text(text)
    with pytest.raises(DataError) as refused:
        read_schedule(path)
    assert sentence in refused.value.message


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt cannot be read"):
        read_schedule(tmp_path / "none.txt")
