from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.execution.supervise import RankEnd
from harness.execution.verdict import OK, Outcome, end_outcome, ending, error_outcome

LOG = Path("log.txt")
FAILED = Outcome("failed", "it broke")


def end(rank: int = 0, exit_code: int | None = 0, signal: int | None = None, done: bool = False) -> RankEnd:
    return RankEnd(rank=rank, pid=1, exit_code=exit_code, signal=signal, said_done=done)


@pytest.mark.parametrize(
    ("ends", "kills", "reason"),
    [
        ([end(exit_code=None, signal=11)], 0, "the worker was killed by SIGSEGV"),
        ([end(exit_code=None, signal=9)], 1, "the machine ran out of memory"),
        ([end(exit_code=None, signal=9)], 0, "from outside (the kernel's out-of-memory killer did not strike)"),
        ([end(exit_code=None, signal=9)], None, "from outside or for lack of memory: the kernel does not say"),
        ([replace(end(exit_code=None, signal=9), lingered=True)], 0, "closed its channel without a word"),
        ([end(exit_code=None, signal=64)], 0, "killed by "),
        ([end(exit_code=77)], 0, "ended with exit code 77 without a word"),
        ([end(exit_code=0)], 0, "ended with exit code 0 without a word"),
        ([end(1, None, 6), end(0, None, 15)], 0, "rank 1 of the worker was killed by SIGABRT"),
        ([end(0, 0, done=True), end(1, 3)], 0, "rank 1 of the worker ended with exit code 3"),
    ],
)
def test_a_worker_that_ends_without_a_word_has_crashed(ends: list[RankEnd], kills: int | None, reason: str) -> None:
    outcome = end_outcome(ends, LOG, kills)
    assert outcome.status == "crashed"
    assert reason in str(outcome.reason)


@pytest.mark.parametrize(
    ("kind", "code", "fatal"),
    [
        ("usage", 2, True),
        ("data", 2, True),
        ("unavailable", 5, True),
        ("failed", 1, False),
        ("internal", 1, False),
        ("?", 1, False),
    ],
)
def test_an_error_that_hits_every_repeat_alike_is_fatal(kind: str, code: int, fatal: bool) -> None:
    outcome = error_outcome({"kind": kind, "message": "no", "hint": None})
    assert (outcome.exit_code, outcome.fatal, outcome.status) == (code, fatal, "failed")


def runs(*outcomes: Outcome) -> list[tuple[tuple[str, int], Outcome]]:
    return [(("cell", repeat), outcome) for repeat, outcome in enumerate(outcomes)]


def test_all_well() -> None:
    assert ending(runs(OK, OK), planned=2, stopped=False).exit_code == ExitCode.OK


def test_one_failure_fails_the_experiment() -> None:
    found = ending(runs(OK, FAILED, OK), planned=3, stopped=False)
    assert (found.status, found.exit_code) == ("failed", 1)
    assert found.message == "1 of 3 runs did not end well; the first: it broke"


def test_a_retried_run_counts_as_it_ended_last() -> None:
    found = ending([*runs(OK, FAILED), (("cell", 1), OK)], planned=2, stopped=False)
    assert found.exit_code == 0


def test_stopped_is_130_unless_everything_was_done() -> None:
    assert ending(runs(OK, Outcome("interrupted", "x")), planned=3, stopped=True).exit_code == 130
    assert ending(runs(OK, OK), planned=2, stopped=True).exit_code == 0
    assert ending([], planned=2, stopped=True).message == "stopped after 0 of 2 runs"


def test_a_fatal_error_gives_its_own_code_and_sentence() -> None:
    fatal = Outcome("failed", "no such column", "see --help", ExitCode.USAGE, True)
    found = ending(runs(fatal), planned=5, stopped=False, fatal=fatal)
    assert (found.exit_code, found.message, found.hint) == (2, "no such column", "see --help")


def test_results_that_cannot_be_written_come_before_everything() -> None:
    found = ending(runs(OK), planned=2, stopped=True, storage="results.db: the disk is full")
    assert (found.exit_code, found.message) == (1, "results.db: the disk is full")


def test_skipped_runs_are_no_failure() -> None:
    found = ending(runs(OK, Outcome("skipped", "by the person")), planned=2, stopped=False)
    assert (found.exit_code, found.message) == (0, "1 of 2 runs done, 1 skipped")
