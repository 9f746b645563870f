"""The one tree of errors: a sentence for the person, a hint, and the exit code that scripts rely on.

Raised early, caught once in `harness.cli.app.main` (and in the worker, which sends it to its parent).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What `bench` returns; an API for scripts and gates."""

    OK = 0
    RUN_FAILED = 1
    USAGE = 2
    REGRESSION = 3
    INCONCLUSIVE = 4
    UNAVAILABLE = 5
    NOTHING_COMPARED = 6
    INTERRUPTED = 130


class BenchError(Exception):
    """A problem told in one sentence (what, where, what was expected), with a hint on what to do.

    `details` are further lines for the person (the keys that differ, say); they are not part of the sentence.
    """

    exit_code: ExitCode = ExitCode.RUN_FAILED

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        exit_code: ExitCode | None = None,
        details: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(details)
        if exit_code is not None:
            self.exit_code = exit_code


class RunFailed(BenchError):
    """A run could not be carried to its end (a worker died, the disk is full)."""

    exit_code = ExitCode.RUN_FAILED


class UsageError(BenchError):
    """Wrong input: a flag, a profile, a data file, a database or a plug-in."""

    exit_code = ExitCode.USAGE


class DataError(UsageError):
    """A data file is missing, empty, truncated or not what its format says; names file, line and column."""


class StoreError(UsageError):
    """The results database cannot be used: locked, read-only, corrupt, newer, or no database at all."""


class UnavailableError(BenchError):
    """A device or a dependency is not there; the hint says how to get it."""

    exit_code = ExitCode.UNAVAILABLE


class NothingCompared(BenchError):
    """No two results could be compared; the details list what differs."""

    exit_code = ExitCode.NOTHING_COMPARED


class Interrupted(BenchError):
    """The person stopped it."""

    exit_code = ExitCode.INTERRUPTED


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, or None when nothing is close."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.55)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, else lists what is known."""
    choices = sorted(known)
    near = nearest(word, choices)
    if near is not None:
        return f"did you mean {near!r}?"
    return "known: " + ", ".join(choices) if choices else "none is known here"
