"""How a run ended, in a word and a sentence, and what the whole experiment returns."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import ExitCode
from harness.execution.supervise import RankEnd
from harness.store.records import RunStatus

FATAL_KINDS = ("usage", "data", "unavailable")  # errors that would hit every repeat alike
_FAILURE_CODES = {"usage": ExitCode.USAGE, "data": ExitCode.USAGE, "unavailable": ExitCode.UNAVAILABLE}
_ENDED: Mapping[str, str] = {"timeout": "timed out", "interrupted": "was interrupted", "lost": "was lost"}
ExperimentStatus = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `fatal`: the error would hit every repeat of its cell alike."""

    status: RunStatus
    reason: str | None = None
    hint: str | None = None
    exit_code: ExitCode = ExitCode.RUN_FAILED
    fatal: bool = False


OK = Outcome("ok", exit_code=ExitCode.OK)


def error_outcome(error: Mapping[str, Any]) -> Outcome:
    """A run whose worker told its own error."""
    kind = str(error.get("kind"))
    hint = error.get("hint")
    return Outcome(
        "failed",
        str(error.get("message")),
        str(hint) if hint else None,
        _FAILURE_CODES.get(kind, ExitCode.RUN_FAILED),
        kind in FATAL_KINDS,
    )


def end_outcome(ends: Sequence[RankEnd], log_path: Path, oom_kills: int | None) -> Outcome:
    """A run that neither finished nor told an error, by how its processes ended (in the order of their ends).

    `oom_kills` is how often the out-of-memory killer struck meanwhile.
    """
    bad = next((end for end in ends if not end.clean), None)
    if bad is None:
        return Outcome("crashed", "the worker ended without having run it", hint=f"its log is {log_path}")
    who = "the worker" if len(ends) == 1 else f"rank {bad.rank} of the worker"
    if bad.signal is not None:
        reason = f"{who} was killed by {signal_name(bad.signal)}"
        if bad.lingered:
            reason = f"{who} closed its channel without a word and did not end"
        elif bad.signal == signal.SIGKILL:
            reason += _why_killed(oom_kills)
        return Outcome("crashed", reason, hint=f"its log is {log_path}")
    return Outcome("crashed", f"{who} ended with exit code {bad.exit_code} without a word", f"its log is {log_path}")


def _why_killed(oom_kills: int | None) -> str:
    if oom_kills is None:
        return ", from outside or for lack of memory: the kernel does not say"
    if oom_kills:
        return ": the machine ran out of memory (the kernel's out-of-memory killer struck meanwhile)"
    return " from outside (the kernel's out-of-memory killer did not strike)"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True, slots=True)
class Ending:
    """What the experiment says at its end."""

    status: ExperimentStatus
    exit_code: ExitCode
    message: str
    hint: str | None = None


def ending(
    outcomes: Iterable[tuple[tuple[str, int], Outcome]],
    *,
    planned: int,
    stopped: bool,
    fatal: Outcome | None = None,
    storage: str | None = None,
) -> Ending:
    """The end of an experiment from the outcomes of its runs, each under (cell id, repeat), in their order.

    A repeat that failed and was then retried counts as it ended last. `storage`: why results could not be written.
    """
    last = dict(outcomes)
    good = sum(1 for outcome in last.values() if outcome.status == "ok")
    runs = "1 run" if planned == 1 else f"{planned} runs"
    if storage is not None:
        return Ending("failed", ExitCode.RUN_FAILED, storage)
    if stopped and good < planned:
        return Ending("interrupted", ExitCode.INTERRUPTED, f"stopped after {good} of {runs}")
    if fatal is not None:
        return Ending("failed", fatal.exit_code, str(fatal.reason), fatal.hint)
    bad = [outcome for outcome in last.values() if outcome.status not in ("ok", "skipped")]
    if bad:
        codes = {outcome.exit_code for outcome in bad}
        code = codes.pop() if len(codes) == 1 and not good else ExitCode.RUN_FAILED
        if planned == 1:
            return Ending(
                "failed", code, f"the run {_ENDED.get(bad[0].status, bad[0].status)}: {bad[0].reason}", bad[0].hint
            )
        return Ending("failed", code, f"{len(bad)} of {runs} did not end well; the first: {_sentence(bad[0])}")
    skipped = planned - good
    return Ending("done", ExitCode.OK, f"{runs} done" if not skipped else f"{good} of {runs} done, {skipped} skipped")


def _sentence(outcome: Outcome) -> str:
    return f"{outcome.reason} ({outcome.hint})" if outcome.hint else str(outcome.reason)
