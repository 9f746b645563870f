"""A comparison as a page: the question, both sides, a block for each judged metric, a line for each other one.

A block shows every repeat as a dot on one scale for both sides, the ratio (or difference) with its interval against
the tolerance, and the verdict in words. Published results stand below, marked, without a verdict.
"""

from __future__ import annotations

import textwrap

from textual.content import Content
from textual.widgets import Static

from harness.analysis import words
from harness.analysis.comparison import Comparison, Side
from harness.analysis.judge import MetricComparison, Values
from harness.dashboard.sides import Answer, Beside
from harness.dashboard.strips import FAINT, MUTED, SIGNS, VERDICT_STYLES, Spans, dots, ends, interval, scale_of
from harness.dashboard.widgets.cells import fitted
from harness.errors import BenchError
from harness.ids import short_id
from harness.report.comparison import verdict_word
from harness.report.numbers import amount
from harness.report.quantity import quantity
from harness.store.records import ReferenceRecord

STYLE_A = "$series-1"
STYLE_B = "$series-2"
REFERENCE_SIGN = "◇"
_VALUE = 20  # cells of a value with its unit
_WIDEST = 120  # longer strips say no more
_CHANGE = 30
_INFO_STRIP = 21


class ComparisonView(Static):
    """Shows an Answer at the width that it has."""

    DEFAULT_CSS = "ComparisonView { height: auto; width: 1fr; padding: 0 1; }"
    answer: Answer | None = None

    def show(self, answer: Answer | None, problem: BenchError | None = None) -> None:
        self.answer = answer
        if answer is None:
            self.update(_problem(problem) if problem is not None else Content(""))
        else:
            self._draw()

    def on_resize(self) -> None:
        if self.answer is not None:
            self._draw()

    def _draw(self) -> None:
        assert self.answer is not None
        self.update(page(self.answer, max(40, self.content_region.width or self.app.size.width - 2)))


def page(answer: Answer, width: int) -> Content:
    """The whole page in lines of at most `width` cells; sentences wrap."""
    lines: list[Content] = []
    comparison = answer.comparison
    if comparison is not None:
        lines += _head(comparison)
    lines += [_side_line("A", STYLE_A, answer.a, answer)]
    if answer.b is not None:
        lines += [_side_line("B", STYLE_B, answer.b, answer)]
    if answer.problem is not None:
        lines += [Content(""), _problem(answer.problem)]
    if comparison is not None:
        lines += _metrics(answer, comparison, width)
    elif answer.b is None:
        lines += [Content(""), Content.styled("B is free: mark another configuration with space", MUTED)]
    lines += _published(answer, width)
    if comparison is not None and comparison.notes:
        lines += [Content(""), *(Content.assemble(("· ", FAINT), (note, MUTED)) for note in comparison.notes)]
    return Content("\n").join(lines)


def _head(comparison: Comparison) -> list[Content]:
    """The answer first, since it may be all that is read: a few words for each primary metric."""
    first = [one for one in comparison.metrics if one.role == "primary"] or list(comparison.judged)
    parts: list[Content | tuple[str, str]] = []
    for metric in first or comparison.metrics[:1]:
        style = VERDICT_STYLES[metric.verdict] if metric.verdict is not None else "$foreground"
        if parts:
            parts.append(("   ", ""))
        parts.append((f"{SIGNS[metric.verdict]} {_in_words(metric)} ".lstrip(), f"bold {style}"))
        parts.append((metric.change_text.split(" ")[0], style))
    lines = [Content.assemble(*parts)]
    if comparison.forced:
        lines.append(Content.styled("FORCED: what must match does not", "bold $text-error"))
    how = {"interleaved": "interleaved", "separate": "not interleaved", "reference": "published"}
    lines.append(Content.assemble((f"{how[comparison.design]}, the question: ", MUTED), comparison.question))
    return lines


def _in_words(metric: MetricComparison) -> str:
    """`B is faster`, `B is as accurate`, `auc is inconclusive`, `throughput`."""
    word = verdict_word(metric)
    if not word:
        return metric.key
    if metric.verdict == "inconclusive":
        return f"{metric.key} is {word}"
    return f"{metric.letters[1]} is {word}"


def _side_line(letter: str, style: str, side: Side, answer: Answer) -> Content:
    cell = side.cell
    ok = [run for run in cell.runs if run.status == "ok"]
    contended = sum(bool(run.contended) for run in ok)
    device = cell.device if cell.device_kind in (None, "hardware") else f"{cell.device} ({cell.device_kind})"
    parts = [short_id(cell.id), f"{cell.workload} {cell.mode} on {device}", words.counted(len(ok), "run")]
    if len(cell.runs) > len(ok):
        parts[-1] += f" of {len(cell.runs)}"
    if contended:
        parts.append(f"{contended} contended")
    role = "  baseline" if letter == "A" else ""
    return Content.assemble((f"{letter} ", f"bold {style}"), (f"{side.name}  ", "bold"), (" · ".join(parts), MUTED),
                            (role, f"{style}"))  # fmt: skip


def _metrics(answer: Answer, comparison: Comparison, width: int) -> list[Content]:
    lines: list[Content] = []
    large = [metric for metric in comparison.metrics if metric.role != "info" or metric.verdict is not None]
    small = [metric for metric in comparison.metrics if metric not in large and not _constant(metric)]
    for metric in large:
        lines += [Content(""), *_block(metric, answer, width)]
    if small:
        lines += [Content(""), Content.styled("shown, not judged", MUTED)]
        lines += [_small(metric, width) for metric in small]
    equal = [metric.key for metric in comparison.metrics if metric not in large and metric not in small]
    if equal:
        lines += [Content.assemble(("equal in every repeat: ", MUTED), (", ".join(equal), MUTED))]
    for why in dict.fromkeys(comparison.one_sided.values()):
        keys = [key for key, reason in comparison.one_sided.items() if reason == why]
        lines += [Content.styled(f"not compared, {why}: {', '.join(keys)}", MUTED)]
    return lines


def _block(metric: MetricComparison, answer: Answer, width: int) -> list[Content]:
    word = f"{SIGNS[metric.verdict]} {_in_words(metric)}".strip() if metric.verdict is not None else ""
    style = VERDICT_STYLES[metric.verdict]
    role = "" if metric.role == "info" else f"  {metric.role}"
    title = Content.assemble((metric.key, "bold"), (role, MUTED))
    lines = [_apart(title, Content.styled(word, f"bold {style}"), width)]
    strip = min(width, _WIDEST) - _VALUE - 6
    scale = scale_of(metric)
    if scale is not None and strip >= 10:
        for letter, colour, values, side in (("A", STYLE_A, metric.a, answer.a), ("B", STYLE_B, metric.b, answer.b)):
            contended = {run.repeat for run in side.cell.runs if run.contended} if side is not None else set()
            drawn: Spans = dots(values.by_repeat, contended, *scale, strip, colour)
            value = fitted(_median(values, metric.unit), _VALUE, right=True)
            lines.append(Content.assemble((f"  {letter} ", f"bold {colour}"), value, "  ", *drawn))
        low, high = (quantity(value, metric.unit) for value in scale)
        gap = strip - len(low) - len(high)
        if gap > 0:
            lines.append(Content.assemble(" " * (_VALUE + 6), (f"{low}{' ' * gap}{high}", FAINT)))
    lines.append(_change_line(metric, width))
    facts = textwrap.wrap(_facts(metric), max(20, width - 4))
    return [*lines, *(Content.styled(f"    {line}", MUTED) for line in facts)]


def _change_line(metric: MetricComparison, width: int) -> Content:
    sign = "/" if metric.kind == "ratio" else "−"
    change = fitted(metric.change_text or "–", max(_VALUE, len(metric.change_text)))
    head = Content.assemble((f" B{sign}A ", MUTED), (change, "bold"), " ")
    strip = min(width, _WIDEST) - head.cell_length - 14
    strip -= 1 - strip % 2  # so that there is a middle
    if strip < 10 or metric.estimate is None or metric.method == "exact":
        return head
    worse, better = ends(metric)
    return Content.assemble(head, (f"{worse:>5} ", FAINT), *interval(metric, strip), (f" {better}", FAINT))


def _small(metric: MetricComparison, width: int) -> Content:
    room = _CHANGE if width >= 14 + 2 * 13 + 2 + _CHANGE else 10
    change = metric.change_text if room == _CHANGE else metric.change_text.split(" ")[0]
    rest = 2 * 13 + 2 + room
    roomy = width >= 16 + rest + 2 + _INFO_STRIP
    drawn = roomy and metric.estimate is not None and metric.method != "exact"
    name = max(4, min(30, width - rest - (2 + _INFO_STRIP if roomy else 0)))
    a, b = (fitted(_median(values, metric.unit), 12, right=True) for values in (metric.a, metric.b))
    parts: list[Content | tuple[str, str] | str] = [
        (fitted(metric.key, name), MUTED), " ", (a, STYLE_A), " ", (b, STYLE_B), "  ",
        fitted(change or "–", room),
    ]  # fmt: skip
    if drawn:
        parts += ["  ", *interval(metric, _INFO_STRIP)]
    return Content.assemble(*parts)


def _facts(metric: MetricComparison) -> str:
    """Why a verdict could not be had, and how it was tested."""
    facts = [metric.reason] if metric.reason and metric.verdict in ("inconclusive", None) else []
    if metric.verdict == "same" and metric.method != "exact":
        facts.append(f"within {metric.limit_text}")
    elif metric.tolerance and metric.verdict is not None and metric.method != "exact":
        facts.append(f"{'margin' if metric.has_margin else 'tolerance'} {metric.limit_text}")
    if metric.p_holm is not None:
        facts.append(words.p_text(metric.p_holm))
    if metric.confidence is not None:
        facts.append(f"{words.confidence_text(metric.confidence)} interval")
    if metric.method == "paired" and metric.n_pairs is not None:
        facts.append(words.counted(metric.n_pairs, "pair"))
    if metric.drift:
        facts.append(f"drift of {words.percent(metric.drift)} allowed for")
    effect = metric.smallest_detectable_effect
    if effect is not None and metric.verdict in ("same", "inconclusive"):
        shown = words.percent(effect) if metric.kind == "ratio" else f"{effect:.2g}"
        facts.append(f"a change of {shown} would show")
    return " · ".join(facts)


def _published(answer: Answer, width: int) -> list[Content]:
    if not answer.beside:
        return []
    lines = [Content(""), Content.assemble((f"{REFERENCE_SIGN} published ", "bold $text-secondary"),
                                           ("other conditions: ratios without a verdict", MUTED))]  # fmt: skip
    lines += [_reference_line(one, width) for one in answer.beside]
    if answer.more_beside:
        lines.append(Content.styled(f"  and {answer.more_beside} more: bench list --references", MUTED))
    return lines


def _reference_line(one: Beside, width: int) -> Content:
    reference = one.reference
    value = fitted(amount(reference.value, reference.unit), 16, right=True)
    parts: list[Content | tuple[str, str] | str] = [(f"{REFERENCE_SIGN} ", "$text-secondary")]
    if width >= 56:
        parts.append((fitted(reference.metric, 12), MUTED))
    parts += [value, "  "]
    for letter, style, side in (("A", STYLE_A, one.a), ("B", STYLE_B, one.b)):
        change = _ratio(side)
        parts += [(f"{letter} ", f"bold {style}"), fitted(change, 9), " "]
    room = width - 2 - 12 - 16 - 2 - 2 * 12
    if room >= 10:
        parts.append((fitted(_what(reference), room).rstrip(), MUTED))
    return Content.assemble(*parts)


def _ratio(side: Comparison | None) -> str:
    metric = side.metrics[0] if side is not None else None
    if metric is None or metric.estimate is None:
        return "–"
    return words.ratio_text(metric.estimate) if metric.kind == "ratio" else words.difference_text(metric.estimate)


def _what(reference: ReferenceRecord) -> str:
    count = f"{reference.device_count} × " if reference.device_count not in (None, 1) else ""
    batch = f", batch {reference.batch}" if reference.batch else ""
    framework = f", {reference.framework}" if reference.framework else ""
    return f"{count}{reference.device}, {reference.dataset}{batch}{framework}"


def _problem(problem: BenchError) -> Content:
    lines = [Content.styled(problem.message, "bold $text-warning")]
    lines += [Content.assemble("  ", detail) for detail in problem.details]
    if problem.hint:
        lines.append(Content.styled(problem.hint.replace("--force", "f"), MUTED))
    return Content("\n").join(lines)


def _median(values: Values, unit: str) -> str:
    return amount(values.median, unit)


def _constant(metric: MetricComparison) -> bool:
    return metric.a.n > 0 and metric.b.n > 0 and len({*metric.a.all, *metric.b.all}) == 1


def _apart(left: Content, right: Content, width: int) -> Content:
    gap = max(2, min(width, _WIDEST) - left.cell_length - right.cell_length)
    return Content.assemble(left, " " * gap, right)
