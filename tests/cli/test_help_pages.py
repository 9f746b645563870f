"""Help pages name a value only where a flag takes one, and list what comes first, first."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Bench


@pytest.mark.parametrize(
    "command", ["", "list", "run dlrm", "sweep dlrm", "cache sample", "profiles list"], ids=lambda text: text or "bench"
)
def test_no_flag_without_a_value_names_one(bench: Bench, command: str) -> None:
    page = bench(*command.split(), "--help").out
    assert "--help" in page and not [word for word in ("<bool>", "<str>", "<list", "<path") if word in page]


def test_the_commands_that_measure_come_in_order_of_use(bench: Bench) -> None:
    rows = [line[2:].split() for line in bench("--help").out.splitlines() if line[:2] == "│ " and line[2] != " "]
    measure = ("run", "sweep", "ab", "rerun", "stop")
    assert [row[0] for row in rows if row[0] in measure] == list(measure)
