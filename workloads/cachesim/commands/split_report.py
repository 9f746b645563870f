"""A split of a budget as a terminal, `--json` and a file show it, with the settings to paste into TorchRec."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api import UsageError
from workloads.cachesim.commands.text import (
    byte_text,
    percent,
    round_byte_text,
    share_text,
    shortened,
    table_lines,
    wrapped,
)
from workloads.cachesim.curves.split import Split
from workloads.cachesim.traces.writers import whole_file

TABLES_SHOWN = 30
ALGORITHMS = {"lru": "LRU", "fbgemm-lfu": "LFU"}  # of FBGEMM's cache


@dataclass(frozen=True, slots=True)
class Rival:
    """Another way to share the budget out; `split` None where it cannot, and why."""

    name: str
    split: Split | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The optimal split and all it is shown beside. `more` and `less` have a budget larger or smaller by `step`."""

    policy: str
    best: Split
    rivals: Sequence[Rival]
    row_bytes: Sequence[int]
    in_bytes: bool  # else the budget is in rows
    unique: Sequence[int]  # [T] distinct rows that are looked up
    heights: Sequence[int | None]  # [T] rows of the tables
    step: int
    more: Split
    less: Split
    complete: bool  # the curves know every size

    def load_factor(self, table: int) -> float | None:
        """Rounded up in the last digit that is written, so that the rows fit."""
        height = self.heights[table]
        rows = self.best.shares[table].rows
        return None if height is None else min(1.0, math.ceil(10**6 * rows / height) / 10**6)

    def size(self, amount: int) -> str:
        return round_byte_text(amount) if self.in_bytes else f"{amount:,} rows"


def table_heights(heights: Sequence[int | None], unique: Sequence[int], names: Sequence[str]) -> list[int]:
    """The rows of each table. UsageError where the schema does not tell."""
    found = []
    for height, own, name in zip(heights, unique, names, strict=True):
        if height is None:
            raise UsageError(
                f"a share of the tables needs the number of rows of table {name!r}, which is not known",
                hint="give --schema FILE with the rows of each table",
            )
        found.append(max(height, own))
    return found


def lines(plan: Plan, width: int) -> Iterator[str]:
    """The tables that get most, the comparison, what the budget is worth, and the settings."""
    width = max(width, 60)
    best = plan.best
    tables = sum(1 for rows in plan.unique if rows)
    budget = plan.size(best.budget_bytes)
    yield from wrapped(f"{budget} for {plan.policy} caches of {_counted(tables, 'table')}, split for most hits", width)
    yield ""
    yield from _shares(plan, width)
    yield ""
    yield from _comparison(plan, width)
    yield ""
    for sentence in _worth(plan):
        yield from wrapped(sentence, width)
    yield ""
    yield from _settings(plan, width)


def _shares(plan: Plan, width: int) -> Iterator[str]:
    order = sorted(
        (place for place, rows in enumerate(plan.unique) if rows), key=lambda place: -plan.best.shares[place].bytes
    )
    heads = ["table", "requests", "rows cached", "of its rows", *(["bytes"] if plan.in_bytes else []), "hit ratio"]
    rows = []
    for place in order[:TABLES_SHOWN]:
        share = plan.best.shares[place]
        rows.append(
            [
                shortened(share.table, 20),
                f"{share.requests:,}",
                f"{share.rows:,}",
                share_text(share.rows / plan.unique[place]),
                *([byte_text(share.bytes)] if plan.in_bytes else []),
                percent(_ratio(share.hits, share.requests)),
            ]
        )
    best = plan.best
    total = sum(share.rows for share in best.shares)
    rows.append(
        [
            "all",
            f"{best.requests:,}",
            f"{total:,}",
            share_text(total / max(1, sum(plan.unique))),
            *([byte_text(best.bytes)] if plan.in_bytes else []),
            percent(best.hit_ratio),
        ]
    )
    found = table_lines(heads, rows, width, fixed=1, left=1)
    if len(order) > TABLES_SHOWN:
        found.insert(len(found) - 1, f"… and {len(order) - TABLES_SHOWN:,} more tables with less (--output, --json)")
    yield from found


def _comparison(plan: Plan, width: int) -> Iterator[str]:
    best = plan.best
    rows = [["optimal split", percent(best.hit_ratio), f"{best.requests - best.hits:,}", ""]]
    reasons = []
    for rival in plan.rivals:
        if rival.split is None:
            reasons.append(f"{rival.name} is left out: {rival.reason}")
            continue
        misses, least = rival.split.requests - rival.split.hits, best.requests - best.hits
        more = "" if misses == least or not least else f"{(misses - least) / least:+.1%}".replace("%", " %")
        rows.append([rival.name, percent(rival.split.hit_ratio), f"{misses:,}", more])
    yield from table_lines(["", "hit ratio", "misses", ""], rows, width, fixed=1, left=1)
    for reason in reasons:
        yield from wrapped(reason, width)
    bound = percent(best.most_hits / best.requests if best.requests else None, 3)
    known = "" if plan.complete else " of the sizes that were run"
    yield f"no split{known} hits more than {bound}"


def _worth(plan: Plan) -> Iterator[str]:
    best = plan.best
    if best.hits_per_byte is None or (plan.more.hits == best.hits and best.bytes < best.budget_bytes):
        yield f"the caches take {plan.size(best.bytes)}: more of the budget buys no hit"
        return
    if plan.in_bytes:
        yield f"the last byte bought {_short(best.hits_per_byte)} hits, {_short(best.hits_per_byte * 10**6)} a MB"
    else:
        yield f"the last row bought {_short(best.hits_per_byte)} hits"
    gain, loss = plan.more.hits - best.hits, best.hits - plan.less.hits
    step = plan.size(plan.step)
    yield f"{step} more would buy {_points(gain, best)}; {step} less would cost {_points(loss, best)}"


def _settings(plan: Plan, width: int) -> Iterator[str]:
    algorithm = ALGORITHMS.get(plan.policy)
    if algorithm is None:
        sentence = f"FBGEMM's cache knows LRU and LFU, so there are no settings to paste for {plan.policy}"
        yield from wrapped(sentence, width)
        return
    used = [place for place, rows in enumerate(plan.unique) if rows]
    factors = {plan.best.shares[place].table: plan.load_factor(place) for place in used}
    unknown = next((name for name, factor in factors.items() if factor is None), None)
    if unknown is not None:
        sentence = (
            f"TorchRec's load factors need the rows of table {unknown!r}: give --schema FILE with the rows of each"
        )
        yield from wrapped(sentence, width)
        return
    if len(factors) > TABLES_SHOWN:
        yield f"the {len(factors):,} load factors for TorchRec are in --output FILE.json or .csv"
        return
    yield "to paste for TorchRec (constraints of EmbeddingShardingPlanner):"
    yield "load_factors = {"
    for name, factor in factors.items():
        yield f"    {json.dumps(name, ensure_ascii=False)}: {factor:.6g},"
    yield "}"
    yield "constraints = {"
    yield "    table: ParameterConstraints("
    yield '        compute_kernels=["fused_uvm_caching"],'
    yield f"        cache_params=CacheParams(algorithm=CacheAlgorithm.{algorithm}, load_factor=load_factor),"
    yield "    )"
    yield "    for table, load_factor in load_factors.items()"
    yield "}"
    if any(not factor for factor in factors.values()):
        yield 'where the load factor is 0, no cache is worth it: compute_kernels=["fused_uvm"]'


def to_json(plan: Plan) -> dict[str, Any]:
    best = plan.best
    return {
        "policy": plan.policy,
        "unit": "bytes" if plan.in_bytes else "rows",
        "budget": best.budget_bytes,
        "used": best.bytes,
        "requests": best.requests,
        "hits": best.hits,
        "hit_ratio": best.hit_ratio,
        "most_hits": best.most_hits,
        "hits_per_unit": best.hits_per_byte,
        "step": plan.step,
        "hits_with_a_step_more": plan.more.hits,
        "hits_with_a_step_less": plan.less.hits,
        "tables": [_table(plan, place) for place in range(len(plan.unique))],
        "others": [
            {
                "name": rival.name,
                "hits": None if rival.split is None else rival.split.hits,
                "hit_ratio": None if rival.split is None else rival.split.hit_ratio,
                "rows": None if rival.split is None else [share.rows for share in rival.split.shares],
                "reason": rival.reason,
            }
            for rival in plan.rivals
        ],
    }


def write_plan(plan: Plan, path: Path) -> None:
    """As CSV the tables alone, as JSON all."""
    with whole_file(path) as file:
        if path.suffix.lower() == ".json":
            file.write(json.dumps(to_json(plan), indent=1).encode() + b"\n")
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, list(_table(plan, 0)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(_table(plan, place) for place in range(len(plan.unique)))
        file.write(text.getvalue().encode())


def _table(plan: Plan, place: int) -> dict[str, Any]:
    share = plan.best.shares[place]
    return {
        "table": share.table,
        "requests": share.requests,
        "unique": plan.unique[place],
        "rows": share.rows,
        "bytes": share.bytes if plan.in_bytes else None,
        "hits": share.hits,
        "hit_ratio": _ratio(share.hits, share.requests),
        "load_factor": plan.load_factor(place),
    }


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _points(hits: int, split: Split) -> str:
    return f"{100 * hits / max(split.requests, 1):.3g} points"


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
