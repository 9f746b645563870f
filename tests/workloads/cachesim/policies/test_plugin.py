"""A user's own policies: pure Python and compiled, the same counts as ours, and errors that say where."""

from __future__ import annotations

import numpy as np
import pytest

from harness.api import RunFailed, UsageError
from tests.workloads.cachesim.policies.traces import drifting
from workloads.cachesim.policies import registry
from workloads.cachesim.policies.plugin import load_policies
from workloads.cachesim.policies.simulate import prepare, simulate

TWO_LRUS = '''
from collections import OrderedDict

import numpy as np


class SlowLru:
    """LRU as taught.

    More words.
    """

    name = "slow-lru"

    def __init__(self, capacity: int, n_rows: int) -> None:
        self.capacity = capacity
        self.rows = OrderedDict()

    def access(self, row: int) -> bool:
        if row in self.rows:
            self.rows.move_to_end(row)
            return True
        if len(self.rows) == self.capacity:
            self.rows.popitem(last=False)
        self.rows[row] = None
        return False


class QuickFifo:
    @staticmethod
    def start(capacity, n_rows):
        return np.zeros(n_rows, dtype=np.int64), np.array([capacity, capacity])

    @staticmethod
    def access(state, row):
        stamps, clock = state
        if stamps[row] > clock[0] - clock[1]:
            return True
        clock[0] += 1
        stamps[row] = clock[0]
        return False


class _Helper:
    def access(self, row):
        return True
'''


def write(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    return path


def test_a_file_gives_its_public_policies(tmp_path):
    slow, quick = load_policies(write(tmp_path, TWO_LRUS))
    assert (slow.name, slow.summary) == ("slow-lru", "LRU as taught.")
    assert (quick.name, quick.summary) == ("quickfifo", "from mine.py")
    assert [policy.name for policy in registry.select("quickfifo,lru", extra=(slow, quick))] == ["quickfifo", "lru"]
    assert registry.select("all", extra=(slow, quick))[-2:] == (slow, quick)


def test_both_kinds_count_as_the_same_rule_of_ours(tmp_path):
    ids = drifting(5000, 200, seed=9)
    for policy, same in zip(load_policies(write(tmp_path, TWO_LRUS)), ("lru", "fifo"), strict=True):
        mask, wanted = np.zeros(len(ids), dtype=np.uint8), np.zeros(len(ids), dtype=np.uint8)
        found = simulate(policy, ids, 200, 30, mask=mask, warmup=100)
        assert found.hits == simulate(same, ids, 200, 30, mask=wanted, warmup=100).hits
        assert (mask == wanted).all()
        assert found.evictions is None
        assert found.insertions is None
        assert found.bypassed is None
        prepare(policy)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\n", "has no policy"),
        ("raise ValueError('oh no')\n", "does not import: ValueError: oh no"),
        ("class Lru:\n    def access(self, row): return False\n", "policy 'lru' .* the name is taken"),
        (
            "class A:\n    def access(self, row): return False\n",
            r"cannot be called as `__init__\(self, capacity, n_rows\)",
        ),
        (
            "class A:\n    def __init__(self, capacity, n_rows): pass\n    def access(self): return False\n",
            r"cannot be called as `access\(self, row\)`",
        ),
        (
            "class A:\n    @staticmethod\n    def start(capacity, n_rows): 0\n    def access(self, row): 1\n",
            "`access` must be a @staticmethod beside `start`",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, text, told):
    with pytest.raises(UsageError, match=told):
        load_policies(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="is not a file"):
        load_policies(tmp_path / "none.py")
    (tmp_path / "policy.txt").write_text("")
    with pytest.raises(UsageError, match="is not a Python file"):
        load_policies(tmp_path / "policy.txt")


INTERPRETED = "class Bad:\n    def __init__(self, capacity, n_rows): {start}\n    def access(self, row): {access}\n"
COMPILED = (
    "import numpy as np\nclass Bad:\n    @staticmethod\n    def start(capacity, n_rows): return np.zeros(3)\n"
    "    @staticmethod\n    def access(state, row): {access}\n"
)


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        (INTERPRETED.format(start="pass", access="return 1 // 0"), RunFailed, "request 0, row 0: ZeroDivisionError"),
        (INTERPRETED.format(start="1 // 0", access="return False"), RunFailed, "failed at its start: ZeroDivision"),
        (INTERPRETED.format(start="pass", access="return None"), RunFailed, r"access\(0\) gave None at request 0"),
        (INTERPRETED.format(start="pass", access="return row == 2"), RunFailed, "claims a hit at request 2 on row 2"),
        (COMPILED.format(access="return row == 2"), RunFailed, "claims a hit at request 2 on row 2"),
        (COMPILED.format(access="return state[row] > 0"), RunFailed, "between requests 0 and 5: IndexError"),
        (COMPILED.format(access="return state.no_such_thing"), UsageError, "does not compile: TypingError"),
    ],
)
def test_a_policy_that_fails_says_where(tmp_path, text, kind, told):
    (policy,) = load_policies(write(tmp_path, text))
    with pytest.raises(kind, match=told):
        simulate(policy, np.arange(5, dtype=np.int32), 5, 2)
