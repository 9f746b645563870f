"""Comparisons as a terminal view, Markdown, CSV and JSON; and one cell's metrics for `--json`.

Numbers in, text out: every number and sentence comes from `harness.analysis`, nothing is judged here.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.analysis import words
from harness.analysis.comparison import Comparison, SideSummary
from harness.analysis.judge import MetricComparison, Values
from harness.analysis.keys import Difference
from harness.analysis.statistics import summary
from harness.report.quantity import quantity, split_quantity
from harness.store.records import CellRecord

SCHEMA = 1
WIDE = 112  # columns from which the interval is drawn too
MOST_INFO = 8  # metrics of role `info` that a terminal shows; the other formats have them all
_STRIP = 23
_NAME = 32  # columns of a metric's name that other columns leave it

_STYLES = {"better": "bold green", "worse": "bold red", "same": "bold cyan", "inconclusive": "bold yellow", None: "dim"}
_SIGNS = {"better": "▲", "worse": "▼", "same": "=", "inconclusive": "?", None: " "}


def verdict_word(metric: MetricComparison) -> str:
    """One or two words: `faster`, `as accurate`, `inconclusive`; empty where nothing is judged."""
    better, worse, same = words.qualities(metric.key, metric.unit)
    if metric.verdict is None:
        return ""
    if metric.verdict == "inconclusive":
        return "not ranked" if metric.sentence.startswith("not ranked") else "inconclusive"
    return {"better": better, "worse": worse, "same": same}[metric.verdict]


class ComparisonView:
    """One comparison for the terminal; adapts to its width, from 80 columns."""

    def __init__(self, comparison: Comparison, *, most_info: int = MOST_INFO) -> None:
        self.comparison = comparison
        self.most_info = most_info

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        comparison = self.comparison
        yield _title(comparison)
        yield Padding(_sides(comparison), (0, 0, 0, 2))
        yield Text()
        yield Padding(_metric_table(comparison, self.most_info, wide=options.max_width >= WIDE), (0, 0, 0, 1))
        answers = [
            _answer(metric)
            for metric in comparison.metrics
            if metric.verdict is not None or metric.method == "reference"
        ]
        if answers:
            yield Text()
            yield Padding(_hanging(answers), (0, 0, 0, 2))
        notes = [*comparison.notes, *_left_over(comparison, self.most_info)]
        if notes:
            yield Text()
            yield Padding(_hanging([(Text("·", style="dim"), Text(note, style="dim")) for note in notes]), (0, 0, 0, 2))


def render(comparisons: Sequence[Comparison]) -> RenderableType:
    """All comparisons, one below the other."""
    parts: list[RenderableType] = []
    for place, comparison in enumerate(comparisons):
        if place:
            parts.append(Text())
        parts.append(ComparisonView(comparison))
    return Group(*parts)


def markdown(comparisons: Sequence[Comparison]) -> str:
    """GitHub's Markdown: a heading, the question, the sides, a table, the answers and the notes of each."""
    return "\n".join(_markdown_one(comparison) for comparison in comparisons)


def csv_text(comparisons: Sequence[Comparison]) -> str:
    """One row a metric of each comparison; an empty field is a number that does not exist."""
    rows = [
        {"a": comparison.a.name, "b": comparison.b.name, "metric": metric.key, **_numbers(metric)}
        for comparison in comparisons
        for metric in comparison.metrics
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_json(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """The document of `bench compare --json`: JSON types only, None for what does not exist."""
    return {"schema": SCHEMA, "comparisons": [_json_one(comparison) for comparison in comparisons]}


def cell_metrics(cell: CellRecord) -> dict[str, dict[str, Any]]:
    """The `metrics` of one cell in `--json`: median, its interval, and n over the runs that ended ok."""
    runs = [run for run in cell.runs if run.status == "ok"]
    declared = {metric.key: metric for run in reversed(runs) for metric in run.metrics}
    found: dict[str, dict[str, Any]] = {}
    for key in dict.fromkeys(metric.key for run in runs for metric in run.metrics):
        metric = declared[key]
        values = [None if (own := run.metric(key)) is None else own.value for run in runs]
        one = summary(values)
        found[key] = {
            "median": one.median,
            "low": one.low,
            "high": one.high,
            "n": one.n,
            "unit": metric.unit,
            "better": metric.better,
            "role": metric.role,
        }
    return found


def _title(comparison: Comparison) -> Text:
    title = Text.assemble((f"{comparison.workload} {comparison.mode}", "bold"), "  ")
    if comparison.reference is not None:
        title.append("A beside ", style="dim").append(comparison.b.name, style="magenta")
    else:
        title.append(f"{comparison.b.letter} against A, {_design(comparison)}", style="dim")
    if comparison.forced:
        title.append("  FORCED", style="bold red")
    return title


def _design(comparison: Comparison) -> str:
    return {"interleaved": "interleaved", "separate": "not interleaved", "reference": "published"}[comparison.design]


def _sides(comparison: Comparison) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text("question", style="dim"), Text(comparison.question))
    for side, style in ((comparison.a, "cyan"), (comparison.b, "magenta")):
        table.add_row(Text(side.letter.rjust(8), style=f"bold {style}"), Text(_side_text(side)))
    return table


def _side_text(side: SideSummary) -> str:
    device = side.device if side.device_kind in (None, "hardware") else f"{side.device} ({side.device_kind})"
    parts = [side.name.removeprefix(f"{side.letter}: ")]
    if side.label and side.label != side.name:
        parts.append(side.label.removeprefix(f"{side.letter}: "))
    parts.append(device)
    if side.experiment_id is not None:
        parts.append(words.counted(side.runs, "run"))
    if side.contended:
        parts.append(f"{side.contended} contended")
    return " · ".join(parts)


def _metric_table(comparison: Comparison, most_info: int, *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    longest = max((len(metric.key) for metric in _shown(comparison, most_info)), default=0)
    table.add_column("metric", overflow="fold", min_width=min(max(longest, 16), _NAME))
    table.add_column("A", justify="right", no_wrap=True, style="cyan")
    table.add_column(comparison.b.letter, justify="right", no_wrap=True, style="magenta")
    table.add_column(_change_heading(comparison), overflow="fold")
    if wide:
        table.add_column(Text("worse  ·  better".center(_STRIP)), no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for metric in _shown(comparison, most_info):
        a, unit = split_quantity(metric.a.median, metric.unit)
        b, unit_b = split_quantity(metric.b.median, metric.unit)
        if unit_b != unit:
            a, b, unit = quantity(metric.a.median, metric.unit), quantity(metric.b.median, metric.unit), ""
        style = "" if metric.role != "info" else "dim"
        cells: list[RenderableType] = [
            Text.assemble(
                (metric.key, "bold" if metric.role == "primary" else style), (f" {unit}" if unit else "", "dim")
            ),
            a,
            b,
            Text(metric.change_text or "–", style=style),
        ]
        if wide:
            cells.append(_strip(metric))
        word = f"{_SIGNS[metric.verdict]} {verdict_word(metric)}".rstrip()
        table.add_row(*cells, Text(word, style=_STYLES[metric.verdict]))
    return table


def _change_heading(comparison: Comparison) -> str:
    if comparison.reference is not None:
        return f"A / {comparison.b.letter}" if comparison.reference.kind == "ratio" else f"A − {comparison.b.letter}"
    letter = comparison.b.letter
    if all(metric.kind == "ratio" for metric in comparison.metrics):
        return f"{letter} / A"
    return (
        f"{letter} / A or {letter} − A"
        if any(metric.kind == "ratio" for metric in comparison.metrics)
        else f"{letter} − A"
    )


def _shown(comparison: Comparison, most_info: int) -> list[MetricComparison]:
    first = [metric for metric in comparison.metrics if metric.role != "info" or metric.verdict is not None]
    info = [metric for metric in comparison.metrics if metric.role == "info" and metric.verdict is None]
    return first + [metric for metric in info if not _equal(metric)][:most_info]


def _equal(metric: MetricComparison) -> bool:
    """The same in every repeat of both sides: nothing to look at."""
    return metric.a.n > 0 and metric.b.n > 0 and len({*metric.a.all, *metric.b.all}) == 1


def _left_over(comparison: Comparison, most_info: int) -> list[str]:
    notes = []
    shown = _shown(comparison, most_info)
    rest = [metric for metric in comparison.metrics if metric not in shown]
    equal = [metric.key for metric in rest if _equal(metric)]
    if equal:
        notes.append(f"Equal in every repeat: {', '.join(equal)}.")
    if len(rest) > len(equal):
        notes.append(f"{words.counted(len(rest) - len(equal), 'more metric')} in --format markdown, csv or json.")
    for why in dict.fromkeys(comparison.one_sided.values()):
        keys = [key for key, reason in comparison.one_sided.items() if reason == why]
        more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
        notes.append(f"Not compared, {why}: {', '.join(keys[:4])}{more}.")
    return notes


def _strip(metric: MetricComparison) -> Text:
    """The interval drawn from worse to better, with the tolerance in the middle."""
    if metric.estimate is None or metric.low is None or metric.high is None or metric.method == "exact":
        return Text("")
    scale = math.log if metric.kind == "ratio" else float
    sign = words.direction(metric.better) or 1
    low, high = sorted((sign * scale(metric.low), sign * scale(metric.high)))
    middle = sign * scale(metric.estimate)
    limit = metric.tolerance if metric.margin is None else metric.margin
    limit = math.log1p(limit) if metric.kind == "ratio" else limit
    reach = 1.05 * max(abs(low), abs(high), 2 * limit) or 1.0

    def place(value: float) -> int:
        return min(_STRIP - 1, max(0, round((value / reach + 1) / 2 * (_STRIP - 1))))

    cells = [("·", "dim")] * _STRIP
    for index in range(place(-limit), place(limit) + 1):
        cells[index] = ("░", "dim")
    cells[place(0.0)] = ("│", "dim")
    style = _STYLES[metric.verdict]
    for index in range(place(low), place(high) + 1):
        cells[index] = ("━", style)
    cells[place(middle)] = ("●", style)
    return Text.assemble(*cells)


def _answer(metric: MetricComparison) -> tuple[Text, Text]:
    text = Text(_capital(metric.sentence))
    facts = _facts(metric)
    if facts:
        text.append(f" ({facts})", style="dim")
    return Text(_SIGNS[metric.verdict].strip() or "•", style=_STYLES[metric.verdict]), text


def _facts(metric: MetricComparison) -> str:
    """How it was tested: `p = 0.008, 96.8 % interval, a change of 4 % would show`."""
    facts = []
    if metric.p_holm is not None:
        facts.append(words.p_text(metric.p_holm))
    if metric.confidence is not None:
        facts.append(f"{words.confidence_text(metric.confidence)} interval")
    if metric.n_pairs is not None and metric.method == "paired":
        facts.append(words.counted(metric.n_pairs, "pair"))
    effect = metric.smallest_detectable_effect
    if effect is not None and metric.verdict in ("same", "inconclusive"):
        shown = words.percent(effect) if metric.kind == "ratio" else f"{effect:.2g}"
        facts.append(f"a change of {shown} would show")
    return ", ".join(facts)


def _hanging(lines: Sequence[tuple[Text, Text]]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column()
    for sign, text in lines:
        table.add_row(sign, text)
    return table


def _capital(sentence: str) -> str:
    """A sentence starts large, unless it starts with the name of a metric."""
    first = sentence.split(" ", 1)[0]
    return sentence if "_" in first or "{" in first else sentence[:1].upper() + sentence[1:]


def _markdown_one(comparison: Comparison) -> str:
    letter = comparison.b.letter
    against = f"A beside {comparison.b.name}" if comparison.reference else f"{letter} against A"
    lines = [f"## {comparison.workload} {comparison.mode}: {_cell(against)}", ""]
    if comparison.forced:
        lines += ["**Compared by force: what must match does not.**", ""]
    lines += [f"Question: {_cell(comparison.question)}", ""]
    lines += [f"- **{side.letter}** {_cell(_side_text(side))}" for side in (comparison.a, comparison.b)]
    lines += ["", f"| metric | unit | A | {letter} | change | verdict |", "|---|---|--:|--:|---|---|"]
    for metric in comparison.metrics:
        a, b = (split_plain(values, metric.unit) for values in (metric.a, metric.b))
        change = metric.change_text or "–"
        row = (metric.key, metric.unit, a, b, change, verdict_word(metric) or "–")
        lines.append("| " + " | ".join(_cell(cell) for cell in row) + " |")
    answers = [
        _answer(metric)[1].plain for metric in comparison.metrics if metric.verdict is not None or comparison.reference
    ]
    for title, texts in (
        ("", answers),
        ("Notes", [*comparison.notes, *_left_over(comparison, len(comparison.metrics))]),
    ):
        if texts:
            lines += ["", *([f"{title}:", ""] if title else []), *(f"- {_cell(text)}" for text in texts)]
    return "\n".join(lines) + "\n"


def split_plain(values: Values, unit: str) -> str:
    """A median in a table whose unit stands in a column of its own: no prefix that the unit does not have."""
    middle = values.median
    if middle is None:
        return "–"
    number, shown = split_quantity(middle, unit)
    return number if shown == unit else f"{middle:.4g}"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _numbers(metric: MetricComparison) -> dict[str, Any]:
    """Everything about one metric that is not an object, for CSV and JSON alike."""
    return {
        "unit": metric.unit,
        "better": metric.better,
        "role": metric.role,
        "kind": metric.kind,
        "phase": metric.phase,
        "method": metric.method,
        "a_median": metric.a.median,
        "a_n": metric.a.n,
        "a_missing": metric.a.missing,
        "b_median": metric.b.median,
        "b_n": metric.b.n,
        "b_missing": metric.b.missing,
        "n_pairs": metric.n_pairs,
        "estimate": metric.estimate,
        "low": metric.low,
        "high": metric.high,
        "confidence": metric.confidence,
        "p": metric.p,
        "p_holm": metric.p_holm,
        "tolerance": metric.tolerance,
        "margin": metric.margin,
        "drift": metric.drift,
        "verdict": metric.verdict,
        "smallest_detectable_effect": metric.smallest_detectable_effect,
        "repeats_needed": metric.repeats_needed,
        "sentence": metric.sentence,
    }


def _json_one(comparison: Comparison) -> dict[str, Any]:
    return {
        "a": _json_side(comparison.a),
        "b": _json_side(comparison.b),
        "workload": comparison.workload,
        "mode": comparison.mode,
        "design": comparison.design,
        "forced": comparison.forced,
        "question": comparison.question,
        "headline": comparison.headline,
        "unranked": comparison.unranked,
        "identity": [_json_difference(item) for item in comparison.identity],
        "subject": [_json_difference(item) for item in comparison.subject],
        "nuisance": [_json_difference(item) for item in comparison.nuisance],
        "drift": None
        if comparison.drift is None
        else {**asdict(comparison.drift), "calibrated": comparison.drift.calibrated},
        "metrics": {
            metric.key: {**_numbers(metric), "a_values": list(metric.a.all), "b_values": list(metric.b.all)}
            for metric in comparison.metrics
        },
        "not_compared": dict(comparison.one_sided),
        "reference": None if comparison.reference is None else asdict(comparison.reference),
        "notes": list(comparison.notes),
    }


def _json_side(side: SideSummary) -> dict[str, Any]:
    plain: Mapping[str, Any] = asdict(side)
    return {**plain, "contention_reasons": list(side.contention_reasons), "left_out": dict(side.left_out)}


def _json_difference(item: Difference) -> dict[str, Any]:
    return {"key": item.key, "a": item.a, "b": item.b, "refused": item.refused}
