"""Policies from a user's own file: one class a policy, in pure Python for teaching, or compiled by numba for speed.

Every public class of the file that has an `access` is a policy, named by its `name` or else its own name in lower case.

    class Mru:                                            # pure Python: about a million requests a second
        \"\"\"Most recently used\"\"\"
        def __init__(self, capacity: int, n_rows: int) -> None: ...
        def access(self, row: int) -> bool: ...           # True for a hit; afterwards the row is in, or was refused

    class FastMru:                                        # compiled: it has a `start`
        \"\"\"Most recently used, compiled\"\"\"
        @staticmethod
        def start(capacity: int, n_rows: int): ...        # the state: an array, or a tuple of arrays
        @staticmethod
        def access(state, row: int) -> bool: ...          # what numba can compile; reads and writes the state

`may_refuse = True` on the class says that a miss may be left out of the cache, so the policy is compared with OPT with
bypass. A hit on a row that was never asked for before is impossible without prefetching, and is an error.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np

from harness.api import RunFailed, UsageError
from workloads.cachesim.policies import engine, registry
from workloads.cachesim.policies.engine import HITS, Bytes, RowIds, Setup
from workloads.cachesim.policies.registry import Policy

BYTES_A_ROW = 1  # the adaptor's own: which rows were asked for


def load_policies(path: Path) -> tuple[Policy, ...]:
    """The policies of a file. UsageError where it cannot be imported, has none, or one that does not fit."""
    found: list[Policy] = []
    for kind in _classes(_imported(path)):
        name = str(getattr(kind, "name", kind.__name__.lower()))
        place = f"policy {name!r} of {path}"
        if name in registry.names() or name in (policy.name for policy in found):
            raise UsageError(f"{place}: the name is taken", hint=f"set `name` on class {kind.__name__}")
        compiled = hasattr(kind, "start")
        _check_parameters(kind, compiled, place)
        adaptor = _Compiled if compiled else _Interpreted
        found.append(
            Policy(
                name=name,
                summary=(inspect.getdoc(kind) or f"from {path.name}").partition("\n")[0],
                engine=functools.partial(adaptor, kind, place),
                row_bytes=BYTES_A_ROW,
                may_refuse=bool(getattr(kind, "may_refuse", False)),
                counts_moves=False,
            )
        )
    if not found:
        raise UsageError(
            f"{path} has no policy",
            hint="a policy is a class with `access(self, row) -> bool`, or `start` and `access`",
        )
    return tuple(found)


class _Interpreted:
    """A pure Python policy: an object of the user's class, called for each request."""

    def __init__(self, kind: type, place: str, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._place = place
        self._position = 0
        self._seen = bytearray(setup.n_rows)
        try:
            self._policy = kind(setup.capacity, setup.n_rows)
        except Exception as problem:
            raise RunFailed(f"{place} failed at its start: {_told(problem)}") from problem

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        access, seen = self._policy.access, self._seen
        hits = 0
        for i, row in enumerate(ids.tolist()):
            try:
                hit = access(row)
            except Exception as problem:
                at = self._position + i
                raise RunFailed(f"{self._place} failed at request {at}, row {row}: {_told(problem)}") from problem
            if not isinstance(hit, bool | np.bool_):
                raise RunFailed(
                    f"{self._place}: access({row}) gave {hit!r} at request {self._position + i}, expected True or False"
                )
            if hit and not seen[row]:
                raise _impossible(self._place, self._position + i, row)
            seen[row] = 1
            hits += bool(hit)
            if mask.size:
                mask[i] = hit
        self._position += len(ids)
        self.counts[HITS] += hits


class _Compiled:
    """A policy that numba compiles: the state that `start` gives, and one loop around the user's `access`.

    Indices are checked, so a mistake in the user's code is an error and not a damaged memory.
    """

    def __init__(self, kind: Any, place: str, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._place = place
        self._position = 0
        self._seen = np.zeros(setup.n_rows, dtype=np.uint8)
        self._access = _compiled_access(kind)
        try:
            self._state = kind.start(setup.capacity, setup.n_rows)
        except Exception as problem:
            raise RunFailed(f"{place} failed at its start: {_told(problem)}") from problem

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        try:
            hits, impossible = _drive()(self._access, self._state, ids, mask, self._seen)
        except numba.core.errors.NumbaError as problem:
            raise UsageError(
                f"{self._place} does not compile: {_told(problem)}",
                hint="without `start`, the same rule runs as pure Python",
            ) from problem
        except Exception as problem:
            raise RunFailed(
                f"{self._place} failed between requests {self._position} and {self._position + len(ids)}: "
                f"{_told(problem)}"
            ) from problem
        if impossible >= 0:
            raise _impossible(self._place, self._position + impossible, int(ids[impossible]))
        self._position += len(ids)
        self.counts[HITS] += hits


@functools.cache
def _compiled_access(kind: Any) -> Any:
    access = kind.access
    return access if hasattr(access, "py_func") else numba.njit(nogil=True, boundscheck=True)(access)


@functools.cache
def _drive() -> Callable[..., tuple[int, int]]:
    def drive(access: Any, state: Any, ids: RowIds, mask: Bytes, seen: Bytes) -> tuple[int, int]:
        hits = 0
        for i in range(ids.size):
            row = np.int64(ids[i])
            hit = bool(access(state, row))
            if hit and seen[row] == 0:
                return hits, i
            seen[row] = 1
            hits += hit
            if mask.size > 0:
                mask[i] = hit
        return hits, -1

    compiled: Callable[..., tuple[int, int]] = numba.njit(nogil=True)(drive)
    return compiled


def _imported(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"policy file {path} is not a file")
    name = f"recbench_policies_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"policy file {path} is not a Python file", hint="its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as problem:
        del sys.modules[name]
        raise UsageError(f"policy file {path} does not import: {_told(problem)}") from problem
    return module


def _classes(module: ModuleType) -> Iterator[type]:
    for name, value in vars(module).items():
        own = inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")
        if own and callable(getattr(value, "access", None)):
            yield value


def _check_parameters(kind: type, compiled: bool, place: str) -> None:
    """UsageError where `access` or the constructor cannot be called as this module calls them."""
    access: Any = inspect.getattr_static(kind, "access")
    if compiled and not isinstance(access, staticmethod) and not hasattr(access, "py_func"):
        raise UsageError(f"{place}: `access` must be a @staticmethod beside `start`, with the arguments state and row")
    calls: list[tuple[str, Any, tuple[Any, ...]]] = (
        [
            ("start(capacity, n_rows)", getattr(kind, "start", None), (1, 1)),
            ("access(state, row)", _plain(kind), (0, 0)),
        ]
        if compiled
        else [("__init__(self, capacity, n_rows)", kind, (1, 1)), ("access(self, row)", _plain(kind), (None, 0))]
    )
    for expected, function, arguments in calls:
        try:
            inspect.signature(function).bind(*arguments)
        except TypeError as problem:
            raise UsageError(f"{place} cannot be called as `{expected}`: {problem}") from None


def _plain(kind: Any) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(kind.access, "py_func", kind.access)
    return function


def _impossible(place: str, position: int, row: int) -> RunFailed:
    return RunFailed(
        f"{place} claims a hit at request {position} on row {row}, which was never asked for before",
        hint="access must look the row up before it inserts it",
    )


def _told(problem: BaseException) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return f"{type(problem).__name__}: {' '.join(lines[:3])}" if lines else type(problem).__name__
