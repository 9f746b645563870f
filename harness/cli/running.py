"""Which experiments are alive on this machine now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.errors import UsageError
from harness.execution.launch import RunningExperiment, running
from harness.ids import short_id


def alive() -> Mapping[str, RunningExperiment]:
    """By id: experiments whose own process holds its lock, whatever database they write to."""
    return {one.id: one for one in running()}


def running_id(text: str | None, database: Path) -> str:
    """The full id of a running experiment: by the beginning of its id, a tag or @latest; the only one where no text is
    given. UsageError where it does not run."""
    from harness.store.queries import Store

    living = alive()
    if text is None:
        if len(living) == 1:
            return next(iter(living))
        raise UsageError(
            "nothing runs" if not living else f"{len(living)} experiments run: which one?",
            hint=", ".join(short_id(identifier) for identifier in living) or None,
        )
    matching = [identifier for identifier in living if len(text) >= 3 and identifier.startswith(text)]
    if len(matching) == 1:
        return matching[0]
    with Store(database) as store:
        identifier = store.resolve(text, ("experiment",))[1]
    if identifier not in living:
        raise UsageError(
            f"experiment {short_id(identifier)} does not run now", hint="bench list --running shows what does"
        )
    return identifier
