"""What `bench cache split` does: shares a memory budget out among the caches of tables, beside two usual ways to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.api import Answer, Figure, Job, Line, UsageError
from workloads.cachesim.capacity import parse_capacity
from workloads.cachesim.commands.description import SplitConfig
from workloads.cachesim.commands.shared import (
    check_free,
    check_memory,
    chosen_policies,
    not_empty,
    read,
    warmup_requests,
)
from workloads.cachesim.commands.split_report import Plan, Rival, lines, table_heights, to_json, write_plan
from workloads.cachesim.curves.curve import Curve, size_grid
from workloads.cachesim.curves.make import make_curve, makes_every_size, state_bytes, table_lookups
from workloads.cachesim.curves.offload_stats import OffloadStats, offload_stats
from workloads.cachesim.curves.proposer import proposed_rows, working_set_bytes
from workloads.cachesim.curves.split import even_rows, given_split, split_budget
from workloads.cachesim.policies.registry import Policy
from workloads.cachesim.traces.trace import Trace

SUFFIXES = (".json", ".csv")
TABLE_REQUEST_BYTES = 16  # of `requests_by_table`, and as much for the statistics of TorchRec
FIGURE_POINTS = 17
FIGURE_ROWS = 50_000_000  # of all curves together; beyond that fewer budgets are drawn
FIGURE_SPAN = 16.0  # the smallest and the largest budget drawn, as a factor
LEAST_POINTS = 3


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget in bytes, or in rows that all cost 1 where `in_bytes` is False."""

    total: int
    row_bytes: tuple[int, ...]  # [T]
    in_bytes: bool


def split(config: SplitConfig, job: Job) -> Answer:
    """The optimal split, the even one, and what TorchRec's proposer would do."""
    policy = _one_policy(config)
    if config.budget is None:
        raise UsageError("no budget was named", hint="--budget 40GB, or rows (100000), or a share (10%)")
    parse_capacity(config.budget)
    if config.output is not None:
        if config.output.suffix.lower() not in SUFFIXES:
            raise UsageError(f"output = {config.output} is neither .json nor .csv")
        check_free(config.output, config.force)
    trace = not_empty(read(config, config.trace, job))
    warmup = warmup_requests(config.cache_warmup, trace)
    budget = _budget(config.budget, trace)
    _check_memory(trace, policy, config.jobs)
    stats, missing = _statistics(trace)
    unique = trace.table_unique().tolist()
    heights = _heights(trace)
    even = even_rows(heights, budget.row_bytes, budget.total)
    proposed = None if stats is None else proposed_rows(stats, budget.row_bytes, budget.total)
    if stats is not None and proposed is None:
        least = working_set_bytes(stats, budget.row_bytes)
        missing = f"it begins with the rows of one batch, {least:,} {'bytes' if budget.in_bytes else 'rows'}"
    curves = _curves(config, trace, policy, warmup, [even, *([] if proposed is None else [proposed])], job)
    best = split_budget(curves, budget.row_bytes, budget.total)
    rivals = [Rival("one load factor for all", given_split(curves, budget.row_bytes, budget.total, even, 0.0), None)]
    name = "TorchRec's proposer"
    if proposed is None:
        rivals.append(Rival(name, None, missing))
    else:
        rivals.append(Rival(name, given_split(curves, budget.row_bytes, budget.total, proposed, 0.0), None))
    step = _step(budget)
    plan = Plan(
        policy=policy.name,
        best=best,
        rivals=rivals,
        row_bytes=budget.row_bytes,
        in_bytes=budget.in_bytes,
        unique=unique,
        heights=[table.rows for table in trace.schema.tables],
        step=step,
        more=split_budget(curves, budget.row_bytes, budget.total + step),
        less=split_budget(curves, budget.row_bytes, budget.total - step),
        complete=all(curve.complete for curve in curves),
    )
    _say_what_is_beyond(plan, job)
    written = []
    if config.output is not None:
        write_plan(plan, config.output)
        written = [f"written: {config.output}"]
    return Answer(
        lines=[*lines(plan, job.width), *written],
        value={**to_json(plan), "trace": trace.source, "files": [str(config.output)] if config.output else []},
        figures=[_figure(curves, budget, heights, stats)],
    )


def _one_policy(config: SplitConfig) -> Policy:
    found = chosen_policies(config.policy, config.policy_file)
    if len(found) != 1:
        raise UsageError(f"policy {config.policy!r} is more than one, and a split is made for one")
    return found[0]


def _budget(text: str, trace: Trace) -> Budget:
    """Raises UsageError for bytes without a schema, and for a budget that holds no row."""
    capacity = parse_capacity(text)
    tables = trace.schema.tables
    unknown = [table.name for table in tables if table.dim is None or table.dtype is None]
    if capacity.kind == "bytes" and unknown:
        raise UsageError(
            f"a budget in bytes needs the bytes of a row, and dimension or type of table {unknown[0]!r} is not known",
            hint='--schema FILE: a TOML file with [default] dim = 128 and dtype = "fp16", say; or a budget in rows',
        )
    in_bytes = not unknown and capacity.kind != "rows"
    widths = trace.schema.row_bytes() if in_bytes else (1,) * trace.tables
    if capacity.kind in ("rows", "bytes"):
        total = int(capacity.value)
    else:
        rows: Sequence[int] = trace.table_unique().tolist()
        if capacity.kind == "tables":
            rows = [table_heights([table.rows], [0], [table.name])[0] for table in tables]
        total = int(capacity.value * sum(count * width for count, width in zip(rows, widths, strict=True)))
    if total < min(widths):
        least = f"{min(widths):,} bytes" if in_bytes else "1"
        raise UsageError(f"a budget of {text} holds no row: the narrowest takes {least}", hint="choose a larger budget")
    return Budget(total, widths, in_bytes)


def _statistics(trace: Trace) -> tuple[tuple[OffloadStats, ...] | None, str | None]:
    """What TorchRec's proposer looks at; None and why, where that is not known."""
    if trace.batch_starts is None:
        return None, "it counts the distinct rows of a batch, and the trace tells none (--batch-size)"
    return offload_stats(trace, heights=[max(1, rows) for rows in _heights(trace)]), None


def _heights(trace: Trace) -> list[int]:
    """[T] rows of the tables; where the schema does not tell, those looked up stand for all."""
    unique = trace.table_unique().tolist()
    return [max(own, table.rows or 0) for table, own in zip(trace.schema.tables, unique, strict=True)]


def _curves(
    config: SplitConfig, trace: Trace, policy: Policy, warmup: int, wanted: Sequence[Sequence[int]], job: Job
) -> list[Curve]:
    """One for each table; of a policy that is run, also at the sizes that the other splits give."""
    found = []
    for number, lookups in enumerate(table_lookups(trace, warmup)):
        sizes = np.zeros(0, np.int64)
        if lookups.unique and not makes_every_size(policy):
            asked = [min(rows[number], lookups.unique) for rows in wanted]
            grid = size_grid(lookups.unique, config.points)
            sizes = np.unique(np.append(grid, [rows for rows in asked if rows > 0])).astype(np.int64)
        found.append(make_curve(lookups, policy, sizes, seed=config.seed, jobs=config.jobs))
        job.progress(number + 1, trace.tables, "of the tables")
    return found


def _step(budget: Budget) -> int:
    """What one would add to such a budget: the largest round unit that is at most half of it; 1 at least."""
    if budget.in_bytes:
        return next((unit for unit in (10**12, 10**9, 10**6, 10**3) if 2 * unit <= budget.total), min(budget.row_bytes))
    return max(1, int(10 ** (len(str(budget.total)) - 2)))


def _check_memory(trace: Trace, policy: Policy, jobs: int) -> None:
    kept = 16 * (trace.unique + trace.tables)
    largest = int(trace.table_unique().max())
    state = state_bytes(policy, trace.requests, largest, largest, "all", jobs)
    needed = state + 3 * kept + TABLE_REQUEST_BYTES * trace.requests
    check_memory(needed, "the split", "split for a part (--limit), or for a sample of the rows")


def _say_what_is_beyond(plan: Plan, job: Job) -> None:
    everything = sum(rows * width for rows, width in zip(plan.unique, plan.row_bytes, strict=True))
    if len(plan.unique) == 1:
        job.log("the trace has one table, which gets all of the budget", "warning")
    if plan.best.budget_bytes >= everything:
        unit = "bytes" if plan.in_bytes else "rows"
        job.log(
            f"the budget of {plan.best.budget_bytes:,} {unit} holds all rows that are looked up, which take "
            f"{everything:,}: nothing has to be shared out",
            "warning",
        )


def _figure(
    curves: Sequence[Curve], budget: Budget, heights: Sequence[int], stats: Sequence[OffloadStats] | None
) -> Figure:
    """Hit ratio over the budget, for each way to share it."""
    everything = sum(curve.unique * width for curve, width in zip(curves, budget.row_bytes, strict=True))
    low = max(min(budget.row_bytes), int(budget.total / FIGURE_SPAN))
    high = max(low + 1, min(everything, int(budget.total * FIGURE_SPAN)))
    points = max(LEAST_POINTS, min(FIGURE_POINTS, FIGURE_ROWS // max(1, sum(curve.unique for curve in curves))))
    budgets = np.unique(np.append(np.round(np.geomspace(low, high, points)), budget.total)).astype(np.int64).tolist()
    names = ["optimal"]
    columns: list[list[float | None]] = [[split_budget(curves, budget.row_bytes, total).hit_ratio for total in budgets]]
    if all(curve.complete for curve in curves):
        names.append("one load factor for all")
        columns.append(
            [
                given_split(curves, budget.row_bytes, total, even_rows(heights, budget.row_bytes, total), 0.0).hit_ratio
                for total in budgets
            ]
        )
        if stats is not None:
            names.append("TorchRec's proposer")
            columns.append([_proposed_ratio(curves, budget, stats, total) for total in budgets])
    return Figure(
        title="hit ratio by budget",
        x_label="budget, bytes" if budget.in_bytes else "budget, rows",
        y_label="hit ratio",
        lines=[
            Line(name=name, x=[float(total) for total in budgets], y=ratios)
            for name, ratios in zip(names, columns, strict=True)
        ],
        log_x=True,
    )


def _proposed_ratio(curves: Sequence[Curve], budget: Budget, stats: Sequence[OffloadStats], total: int) -> float | None:
    rows = proposed_rows(stats, budget.row_bytes, total)
    return None if rows is None else given_split(curves, budget.row_bytes, total, rows, 0.0).hit_ratio
