"""An experiment as a panel and lists as tables, for a terminal of 80 columns or more, and for a log without colours.

Records in, rich renderables out; nothing is measured or judged here. `harness.report.plain` prints the lines that come
before the panel.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from harness.analysis import words
from harness.analysis.statistics import summary
from harness.ids import short_id
from harness.report.numbers import brief, duration, share, spread
from harness.report.tables import Listing, plain_table
from harness.store.records import CellRecord, ExperimentRecord, MetricRecord, ReferenceRecord, RunRecord

MOST_PUBLISHED = 3
OVER_LIMIT = 1.1  # a share beyond this is no error of measurement
PANEL_WIDTH = 100  # wider lines are hard to read
_QUALITIES = (
    "auc",
    "gauc",
    "log_loss",
    "normalized_entropy",
    "accuracy",
    "calibration",
    "hit_ratio",
    "unique_hit_ratio",
)
_KNOWN_BESIDE = {"_bayes": "best possible", "_majority": "majority alone"}
_COSTS = ("latency_p50_s", "latency_p99_s", "time_to_target_s", "energy_j_per_sample", "memory_peak_bytes")
_PHASES = (("setup_s", "set-up"), ("compile_s", "prepare"), ("warmup_s", "warm-up"), ("measure_s", "measured"),
           ("evaluate_s", "evaluated"))  # fmt: skip
_LIMITS = {  # ceilings of harness.api.Device, by the beginning of their names
    "matrix": "matrix products",
    "stream": "memory reads and writes in order",
    "gather": "random row accesses",
    "host_to_device": "copies to the device",
    "disk": "disk reads",
}
_HASH = re.compile(r"[0-9a-f]{13,}")
_SHORTEST_BESIDE_S = 1.0  # a shorter measurement is no throughput to put beside a published one
_STATUS_STYLES = {"ok": "green", "done": "green", "running": "cyan", "pending": "dim", "skipped": "dim"}


def experiment_panel(
    experiment: ExperimentRecord,
    *,
    database: str,
    width: int = 80,
    next_commands: Sequence[str] = (),
    references: Sequence[ReferenceRecord] = (),
) -> RenderableType:
    """The result of an experiment: one block a cell, or one table of cells where there are several.

    `references` are published results; a few throughputs of one device stand beside that of a single cell.
    """
    grid = _grid()
    cells = experiment.cells
    if len(cells) == 1:
        for row in _cell_rows(experiment, cells[0]):
            grid.add_row(*row)
        published = _published(cells[0], references)
        if published is not None:
            _add(grid, "published", published)
        body: list[RenderableType] = [grid]
        title = _title(cells[0])
    else:
        body = [_cells_table(cells), Text(), grid]
        title = Text(f"{experiment.command} of {words.counted(len(cells), 'cell')}", style="bold")
        _add(grid, "runs", _runs_text([run for cell in cells for run in cell.runs]))
        _add(grid, "contention", _contention([run for cell in cells for run in cell.runs]))
        warned = [cell for cell in cells if cell.warnings]
        if warned:
            said = f"{words.counted(len(warned), 'cell')} of {len(cells)}, the first: {warned[0].warnings[0]}"
            _add(grid, "warning", Text(said, style="yellow"))
    if experiment.interleaved:
        _add(grid, "order", Text("interleaved: repeats of the cells alternate in random order"))
    if experiment.shared:
        _add(grid, "shared", Text("ran beside another measurement on purpose (--share)", style="yellow"))
    stored = Text.assemble(database, " · experiment ", (short_id(experiment.id), "bold"))
    if experiment.tags:
        stored.append(" · " + ", ".join(experiment.tags))
    _add(grid, "stored", stored)
    for place, command in enumerate(next_commands):
        _add(grid, "next" if place == 0 else "", Text(command, style="cyan"))
    style = "green" if experiment.status == "done" else "yellow"
    return Panel(
        Group(*body), title=title, title_align="left", border_style=style, width=min(width, PANEL_WIDTH), padding=(0, 1)
    )


def cell_details(cell: CellRecord) -> tuple[Listing, ...]:
    """All runs, why some are to be read with care, and every metric of one cell, for `bench show`."""
    runs = plain_table(
        ("run", "repeat", "seed", "status", "wall", "contended"),
        [
            (
                short_id(run.id), str(run.repeat + 1), str(run.seed), status_text(str(run.status)),
                duration(run.wall_s), contended_text(str(run.status), run.contended),
            )
            for run in cell.runs
        ],
        right=("repeat", "seed", "wall"),
        fold=(),
        drop=("seed", "wall"),
    )  # fmt: skip
    reasons = plain_table(
        ("run", "why"),
        [(short_id(run.id), Text(why, style="yellow")) for run in cell.runs for why in _whys(run)],
        fold=("why",),
    )
    rows = []
    for key, values in by_metric(_ok(cell)).items():
        one = summary(value.value for value in values)
        middle, interval = spread(one.median, one.low, one.high, values[0].unit)
        rows.append((key, middle, interval, str(one.n), values[0].role, values[0].phase))
    metrics = plain_table(
        ("metric", "median", "interval", "n", "role", "phase"),
        rows,
        right=("median", "n"),
        fold=(),
        drop=("phase", "role", "interval"),
    )
    return tuple(table for table in (runs, reasons, metrics) if table.rows)


def contended_text(status: str, contended: bool | None) -> str:
    """`yes`, `no`, `?` for a run that could not be judged, `–` for one that never ended its measuring."""
    if contended is None:
        return "?" if status == "ok" else "–"
    return "yes" if contended else "no"


def _whys(run: RunRecord) -> Iterator[str]:
    if run.reason and run.status != "ok":
        yield run.reason
    if run.contention_reason:
        if run.contended:
            yield f"contended: {run.contention_reason}"
        elif run.contended is None and run.status == "ok":
            yield run.contention_reason


def by_metric(runs: Sequence[RunRecord]) -> dict[str, list[MetricRecord]]:
    """The metrics of several runs under their keys, in the order in which they were first recorded."""
    found: dict[str, list[MetricRecord]] = {}
    for key in dict.fromkeys(metric.key for run in runs for metric in run.metrics):
        found[key] = [metric for run in runs if (metric := run.metric(key)) is not None]
    return found


def status_text(status: str) -> Text:
    return Text(status, style=_STATUS_STYLES.get(status, "red"))


def _cell_rows(experiment: ExperimentRecord, cell: CellRecord) -> list[tuple[Text, RenderableType]]:
    grid: list[tuple[Text, RenderableType]] = []

    def add(label: str, value: RenderableType | None) -> None:
        if value is not None:
            grid.append((Text(label, style="dim"), value))

    runs = _ok(cell)
    metrics = by_metric(runs)
    for key, values in metrics.items():
        if values[0].role == "primary":
            add(_label(key), _primary(values, len(runs)))
    if not runs:
        add("throughput", _partial_throughput(cell))
    qualities = [key for key in metrics if _is_quality(key, metrics)]
    for place, key in enumerate(sorted(qualities, key=lambda key: metrics[key][0].role != "gate")):
        add("quality" if place == 0 else "", _quality(key, metrics))
    costs = [
        f"{_label(key)} {_median_text(metrics[key])}" for key in _COSTS if key in metrics and _measured(metrics[key])
    ]
    if costs:
        add("costs", Text(" · ".join(costs)))
    add("machine limit", _limit(cell, metrics))
    add("contention", _contention(cell.runs))
    compiled = str(cell.engine.get("compile", "")).startswith("on")
    phases = [
        f"{'compile' if key == 'compile_s' and compiled else name} {_median_text(metrics[key])}"
        for key, name in _PHASES
        if key in metrics and _measured(metrics[key])
    ]
    if phases:
        add("time of a run", Text(" · ".join(phases)))
    add("data", _data(cell, metrics))
    add("engine", _engine(cell.engine))
    if any(run.status != "ok" for run in cell.runs):
        add("runs", _runs_text(cell.runs))
    if cell.device_kind not in (None, "hardware"):
        add("device", Text(f"{cell.device_kind}: shown, and never ranked", style="yellow"))
    for place, warning in enumerate(cell.warnings):
        add("warning" if place == 0 else "", Text(warning, style="yellow"))
    for place, line in enumerate(cell.engine.get("settings_to_paste") or ()):
        add("to paste" if place == 0 else "", Text(str(line)))
    return grid


def _cells_table(cells: Sequence[CellRecord]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=True)
    shown = list(
        dict.fromkeys(
            key
            for role in ("primary", "gate")
            for cell in cells
            for key, values in by_metric(_ok(cell)).items()
            if values[0].role == role
        )
    )[:3]
    table.add_column("cell", overflow="fold", ratio=1)
    for key in shown:
        table.add_column(_label(key), justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
    table.add_column("n", justify="right")
    for cell in cells:
        metrics = by_metric(_ok(cell))
        row: list[RenderableType] = [Text(cell.label or f"{cell.workload} on {cell.device}")]
        for key in shown:
            one = summary(value.value for value in metrics.get(key, ()))
            unit = metrics[key][0].unit if key in metrics else ""
            middle, interval = spread(one.median, one.low, one.high, unit)
            row += [Text(middle, style="bold"), Text(interval, style="dim")]
        table.add_row(*row, str(len(_ok(cell))))
    return table


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _add(grid: Table, label: str, value: RenderableType) -> None:
    grid.add_row(Text(label, style="dim"), value)


def _title(cell: CellRecord) -> Text:
    title = Text.assemble((f"{cell.workload} {cell.mode}", "bold"), f" on {cell.device}")
    if cell.profile:
        title.append(f" · {cell.profile}")
    title.append(f" · clock: {cell.timing_scope}", style="dim")
    return title


def _primary(values: Sequence[MetricRecord], runs: int) -> Text:
    one = summary(value.value for value in values)
    middle, interval = spread(one.median, one.low, one.high, values[0].unit)
    text = Text.assemble((middle, "bold green" if one.n else "yellow"))
    if interval:
        text.append(f"  {interval}")
    if one.n:
        text.append(f"  median of {words.counted(one.n, 'run')}", style="dim")
    elif runs:
        text.append(" not measured", style="yellow")
    return text


def _partial_throughput(cell: CellRecord) -> Text:
    """What the runs that did not end well had measured until then; it counts for nothing else."""
    partial = [run for run in cell.runs if (metric := run.metric("throughput")) and metric.value is not None]
    if not partial:
        return Text("– no run ended well", style="yellow")
    values = by_metric(partial)["throughput"]
    middle, _ = spread(summary(value.value for value in values).median, None, None, values[0].unit)
    statuses = words.listed(list(dict.fromkeys(str(run.status) for run in partial)))
    return Text.assemble((middle, "bold yellow"), f"  of {words.counted(len(partial), 'run')}, {statuses}: not counted")


def _quality(key: str, metrics: Mapping[str, list[MetricRecord]]) -> Text:
    values = metrics[key]
    one = summary(value.value for value in values)
    middle, interval = spread(one.median, one.low, one.high, values[0].unit)
    text = Text.assemble(f"{_label(key)} ", (middle, "bold"))
    if one.n == 0:
        return text.append(" (undefined)", style="yellow")
    if interval:
        text.append(f"  {interval}", style="dim")
    for suffix, name in _KNOWN_BESIDE.items():
        beside = metrics.get(key + suffix)
        if beside and _measured(beside):
            known, _ = spread(summary(value.value for value in beside).median, None, None, "")
            text.append(f"  {name} ")
            text.append(known, style="bold")
    return text


def _is_quality(key: str, metrics: Mapping[str, list[MetricRecord]]) -> bool:
    name = words.base_name(key)
    return (metrics[key][0].role == "gate" or name in _QUALITIES) and metrics[key][0].role != "primary"


def _published(cell: CellRecord, references: Sequence[ReferenceRecord]) -> Text | None:
    """How far this throughput is from published ones, as bare ratios: never a verdict."""
    values = [metric.value for run in _ok(cell) if (metric := run.metric("throughput")) and metric.value]
    beside = [
        one
        for one in references
        if one.comparable
        and (one.workload, one.mode, one.metric) == (cell.workload, cell.mode, "throughput")
        and one.device_count in (None, 1)
    ][:MOST_PUBLISHED]
    measured = [metric.value for run in _ok(cell) if (metric := run.metric("measure_s")) and metric.value is not None]
    short = bool(measured) and statistics.median(measured) < _SHORTEST_BESIDE_S
    if not values or not beside or short or cell.device_kind != "hardware":
        return None
    ours = statistics.median(values)
    lines = []
    for one in beside:
        batch = f", batch {one.batch}" if one.batch else ""
        ratio = f"×{ours / one.value:.3g}".ljust(7)
        lines.append(
            Text.assemble(
                (ratio, "magenta"), f" {one.device}", (f"  {brief(one.value, '')} on {one.dataset}{batch}", "dim")
            )
        )
    lines.append(Text("other conditions, so ratios without a verdict", style="dim"))
    return Text("\n").join(lines)


def _limit(cell: CellRecord, metrics: Mapping[str, list[MetricRecord]]) -> Text:
    """The share of the machine's limit, and which limit binds. Honest where none is known."""
    for key, values in metrics.items():
        if words.base_name(key) == "roofline_share" and _measured(values):
            one = summary(value.value for value in values)
            labels = values[0].labels
            binding = labels.get("binding") or labels.get("limit") or cell.engine.get("roofline_binding")
            of = f"the limit set by {_limit_name(str(binding))}" if binding else "what this machine can do"
            text = Text.assemble((share(one.median), "bold"), f" of {of}")
            if cell.engine.get("roofline_contended"):
                text.append(", which was measured on a busy machine", style="yellow")
            elif one.median is not None and one.median > OVER_LIMIT:
                text.append(": the rows of a step fit in a cache that the limit leaves out", style="yellow")
            return text
    return Text("– not known", style="dim")


def _limit_name(binding: str) -> str:
    """A ceiling in words: `matrix_flops{precision=fp32}` as `matrix products in fp32`."""
    name = words.base_name(binding)
    known = next((text for start, text in _LIMITS.items() if name.startswith(start)), name.replace("_", " "))
    precision = binding.partition("precision=")[2].rstrip("}")
    return f"{known} in {precision}" if precision else known


def _contention(runs: Iterable[RunRecord]) -> Text:
    """Over every run that was judged, however it ended, and those that ended well and could not be."""
    ended = [run for run in runs if run.contended is not None or run.status == "ok"]
    judged = [run for run in ended if run.contended is not None]
    contended = [run for run in judged if run.contended]
    unknown = [run for run in ended if run.contended is None]
    if not ended:
        return Text("–", style="dim")
    why = next((run.contention_reason for run in unknown if run.contention_reason), None)
    unjudged = f"could not be judged: {_bare(why)}" if why else "could not be judged on this machine"
    if not judged:
        return Text(unjudged, style="dim")
    if contended:
        reason = next((run.contention_reason for run in contended if run.contention_reason), None)
        text = Text(f"{len(contended)} of {words.counted(len(judged), 'run')} contended", style="bold yellow")
        text.append(f": {reason}" if reason else "", style="not bold yellow")
    else:
        text = Text(f"none seen in {words.counted(len(judged), 'run')}")
    return text.append(f"; {len(unknown)} {unjudged}", style="dim") if unknown else text


def _bare(reason: str) -> str:
    """The reason without the words that the panel says itself."""
    return reason.removeprefix("contention ").removeprefix("could not be judged").lstrip(":, ")


def _runs_text(runs: Iterable[RunRecord]) -> Text:
    """Each repeat as its last run ended; one that was run again counts once."""
    last: dict[tuple[str, int], RunRecord] = {}
    for run in sorted(runs, key=lambda run: run.order_index):
        if last.get((run.cell_id, run.repeat), run).status != "ok" or run.status == "ok":
            last[run.cell_id, run.repeat] = run
    every = list(last.values())
    counts = Counter(str(run.status) for run in every)
    text = Text(", ".join(f"{count} {status}" for status, count in counts.items()))
    reasons = list(dict.fromkeys(run.reason for run in every if run.reason and run.status != "ok"))
    return text.append(": " + "; ".join(reasons[:2]), style="yellow") if reasons else text


def _data(cell: CellRecord, metrics: Mapping[str, list[MetricRecord]]) -> Text | None:
    if not cell.data:
        return None
    parts = [str(cell.data.get("description") or cell.data.get("path") or "")]
    skipped = summary(value.value for value in metrics.get("rows_skipped", ())).median
    if cell.data.get("rows") is not None:
        left_out = f", {skipped:,.0f} malformed {'row' if skipped == 1 else 'rows'} skipped" if skipped else ""
        unit = metrics["throughput"][0].unit if "throughput" in metrics else None
        parts.append(words.rows_text(int(cell.data["rows"]), unit) + left_out)
    if cell.data.get("fingerprint"):
        parts.append(f"{cell.data.get('kind', '')} {_short_hash(str(cell.data['fingerprint']))}".strip())
    elif not any(parts):
        parts.append(str(cell.data.get("kind") or ""))
    return Text(" · ".join(part for part in parts if part))


def _short_hash(fingerprint: str) -> str:
    """A hash by its first digits; a fingerprint in words as it is."""
    return fingerprint[:12] if _HASH.fullmatch(fingerprint) else fingerprint


def _engine(engine: Mapping[str, Any]) -> Text | None:
    wanted = ("engine_resolved", "precision", "compile", "threads")
    parts = [
        f"{engine[key]}" if key == "engine_resolved" else f"{key} {engine[key]}"
        for key in wanted
        if engine.get(key) is not None
    ]
    return Text(" · ".join(parts)) if parts else None


def _median_text(values: Sequence[MetricRecord]) -> str:
    return brief(summary(value.value for value in values).median, values[0].unit)


def _measured(values: Sequence[MetricRecord]) -> bool:
    return any(value.value is not None for value in values)


def _label(key: str) -> str:
    name = key.removesuffix("_s") if not key.startswith("latency") else key.removesuffix("_s").replace("latency_", "")
    return name.replace("memory_peak_bytes", "peak memory").replace("energy_j_per_sample", "energy").replace("_", " ")


def _ok(cell: CellRecord) -> list[RunRecord]:
    return [run for run in cell.runs if run.status == "ok"]
