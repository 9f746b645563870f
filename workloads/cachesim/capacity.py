"""How large a cache is, as people say it, and as rows: `10000`, `40GB`, `0.1`, `10%`, `tables:20%`.

| text                 | meaning                                                                           |
|----------------------|-----------------------------------------------------------------------------------|
| `10000`, `10k`       | rows                                                                              |
| `512MB`, `2GiB`      | bytes, charged by the widest row in a unified cache, by a table's own in others   |
| `0.1`, `10%`         | a share of the distinct rows of the trace                                         |
| `tables:0.2`         | a share of all rows of the tables (FBGEMM's `cache_load_factor`)                  |

A number with a point is a share, one without is a count of rows. No numpy here: the command line reads it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from harness.api import UsageError

Kind = Literal["rows", "bytes", "unique", "tables"]

_EXAMPLES = "write rows (10000), bytes (40GB), a share of the distinct rows (0.1 or 10%) or of the tables (tables:20%)"
_NUMBER = re.compile(r"^(\d[\d_]*(?:\.\d*)?|\.\d+)\s*([A-Za-z%]*)$")
_COUNTS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_BYTES = {
    unit.lower(): factor
    for power, letter in enumerate("KMGT", start=1)
    for unit, factor in ((f"{letter}B", 1000**power), (f"{letter}iB", 1024**power))
} | {"b": 1}


@dataclass(frozen=True, slots=True)
class Capacity:
    """A cache size. `value` is rows, bytes or a share, by `kind`; `text` is what was written."""

    kind: Kind
    value: Fraction
    text: str


def parse_capacity(text: str) -> Capacity:
    """Raises UsageError for what is no size, for nothing at all, and for a share above 1."""
    word = text.strip()
    of_tables = word.startswith("tables:")
    match = _NUMBER.match(word.removeprefix("tables:").strip())
    if match is None:
        raise UsageError(f"capacity {text!r} is no cache size", hint=_EXAMPLES)
    number, unit = Fraction(match[1].replace("_", "")), match[2]
    if unit == "%" or (unit == "" and "." in match[1]):
        share = number / 100 if unit == "%" else number
        found = Capacity("tables" if of_tables else "unique", share, word)
        if share > 1:
            raise UsageError(f"capacity {text!r} is more than all rows", hint=_EXAMPLES)
    elif of_tables:
        raise UsageError(f"capacity {text!r}: what follows 'tables:' is no share", hint="like tables:0.2 or tables:20%")
    elif unit in _COUNTS:
        found = Capacity("rows", number * _COUNTS[unit], word)
        if found.value.denominator != 1:
            raise UsageError(f"capacity {text!r} is no whole number of rows", hint=_EXAMPLES)
    elif unit.lower() in _BYTES:
        found = Capacity("bytes", number * _BYTES[unit.lower()], word)
    else:
        raise UsageError(f"capacity {text!r} has the unknown unit {unit!r}", hint=_EXAMPLES)
    if found.value == 0:
        raise UsageError(f"capacity {text!r} is nothing, the smallest cache holds one row", hint=_EXAMPLES)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What sizes are measured against, for each table. `row_bytes` and `rows` are None where the schema is silent."""

    names: Sequence[str]
    unique: Sequence[int]  # distinct rows in the trace
    rows: Sequence[int | None]
    row_bytes: Sequence[int | None]


def unified_rows(capacity: Capacity, tables: Tables) -> int:
    """Rows of one cache for all tables. UsageError where the schema lacks what is needed, or not one row fits."""
    if capacity.kind == "rows":
        return int(capacity.value)
    if capacity.kind == "unique":
        return _share(capacity, sum(tables.unique), "the distinct rows")
    if capacity.kind == "tables":
        return _share(capacity, sum(_known(tables.rows, tables.names, "rows")), "the tables' rows")
    widest = max(_known(tables.row_bytes, tables.names, "row_bytes"))
    return _at_least_one(int(capacity.value // widest), f"{capacity.text} hold no row of {widest} bytes")


def table_rows(capacity: Capacity, tables: Tables) -> tuple[int, ...]:
    """Rows of each table's own cache, 0 for tables that are never looked up.

    A share is taken of each table; rows and bytes are split in proportion to the tables' distinct rows (their bytes),
    at least one row each, the remainder to the largest fractions. UsageError where that is impossible.
    """
    used = [number for number, unique in enumerate(tables.unique) if unique]
    found = [0] * len(tables.names)
    if capacity.kind in ("unique", "tables"):
        of = tables.unique if capacity.kind == "unique" else _known(tables.rows, tables.names, "rows")
        for number in used:
            found[number] = max(1, _rounded(capacity.value * of[number]))
        return tuple(found)
    costs = _known(tables.row_bytes, tables.names, "row_bytes") if capacity.kind == "bytes" else [1] * len(found)
    weights = [costs[number] * tables.unique[number] for number in used]
    least = sum(costs[number] for number in used)
    if capacity.value < least:
        what = "bytes" if capacity.kind == "bytes" else "rows"
        raise UsageError(
            f"capacity {capacity.text!r} is below one row for each of the {len(used)} tables that are looked up",
            hint=f"that takes {least:,} {what}; or share one cache (--caches unified)",
        )
    exact = {
        number: capacity.value * weight / sum(weights) / costs[number]
        for number, weight in zip(used, weights, strict=True)
    }
    for number in used:
        found[number] = max(1, math.floor(exact[number]))
    spent = sum(costs[number] * found[number] for number in used)
    for number in sorted(used, key=lambda each: (-found[each], each)):  # what the least row of small tables overdrew
        while spent > capacity.value and found[number] > 1:
            over = -(-math.ceil(spent - capacity.value) // costs[number])
            less = min(found[number] - 1, max(1, over))
            found[number] -= less
            spent -= less * costs[number]
    for number in sorted(used, key=lambda each: (-(exact[each] - math.floor(exact[each])), each)):
        if spent + costs[number] <= capacity.value and found[number] < exact[number]:
            found[number] += 1
            spent += costs[number]
    return tuple(found)


def _share(capacity: Capacity, of: int, what: str) -> int:
    return _at_least_one(_rounded(capacity.value * of), f"{capacity.text} of {what} ({of:,}) is less than one row")


def _rounded(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def _at_least_one(rows: int, sentence: str) -> int:
    if rows < 1:
        raise UsageError(sentence, hint="choose a larger capacity")
    return rows


def _known(values: Sequence[int | None], names: Sequence[str], what: Literal["rows", "row_bytes"]) -> list[int]:
    for value, name in zip(values, names, strict=True):
        if value is None:
            wanted = "bytes of a row (dim and dtype)" if what == "row_bytes" else "number of rows"
            raise UsageError(
                f"the {wanted} of table {name!r} must be known for this capacity, and is not",
                hint="give a schema with --schema: a TOML or CSV file with name, rows, dim and dtype",
            )
    return [value for value in values if value is not None]
