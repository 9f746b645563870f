"""Gates for scripts: `--fail-on "throughput<-5%"` against the interval of a comparison.

An expression is METRIC, `<` or `>`, and a change of B against A: in percent of A, or in the metric's unit. It fails
(exit 3) when the whole interval is on the failing side, passes when none of it is, and is inconclusive (exit 4) when
the interval holds both: a gate never mistakes noise for a regression, nor a lack of repeats for safety.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis import words
from harness.analysis.comparison import Comparison
from harness.analysis.judge import FEWEST_UNPAIRED, MetricComparison
from harness.analysis.statistics import ALPHA
from harness.errors import ExitCode, UsageError, did_you_mean

_EXPRESSION = re.compile(
    r"\s*(?P<metric>[^<>\s{][^<>{]*?(?:\{[^}]*\})?)\s*(?P<sign>[<>])\s*"
    r"(?P<number>[+\-−]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<percent>%?)\s*"
)
_EXAMPLE = 'write it like "throughput<-5%", "auc<-0.001" or "latency_p99_s>+10%"'


@dataclass(frozen=True, slots=True)
class Expression:
    """`metric` is a key or a name; `limit` is a fraction where `relative`, else in the metric's unit."""

    text: str
    metric: str
    sign: Literal["<", ">"]
    limit: float
    relative: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """One expression on one comparison, with its own exit code and the sentence that explains it."""

    expression: str
    metric: str
    letter: str
    code: ExitCode
    sentence: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """The worst code of all findings: a regression before an inconclusive before ok."""

    code: ExitCode
    findings: tuple[Finding, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(finding.sentence for finding in self.findings)


def parse(text: str) -> Expression:
    """Raises UsageError for anything that is not METRIC<NUMBER or METRIC>NUMBER, with or without %."""
    match = _EXPRESSION.fullmatch(text)
    if match is None:
        raise UsageError(f"--fail-on {text!r} is not a metric, < or >, and a number", hint=_EXAMPLE)
    number = float(match["number"].replace("−", "-"))
    if not math.isfinite(number):
        raise UsageError(f"--fail-on {text!r} needs a finite number", hint=_EXAMPLE)
    relative = match["percent"] == "%"
    sign: Literal["<", ">"] = "<" if match["sign"] == "<" else ">"
    return Expression(text.strip(), match["metric"], sign, number / 100 if relative else number, relative)


def gate(comparisons: Comparison | Sequence[Comparison], expressions: Iterable[str]) -> GateResult:
    """Every expression on every comparison; a name without labels covers all the metric's labels.

    Raises UsageError for an expression that cannot be read, names no metric, or would gate on a reference.
    """
    chosen = [comparisons] if isinstance(comparisons, Comparison) else list(comparisons)
    findings: list[Finding] = []
    for expression in [parse(text) for text in expressions]:
        for comparison in chosen:
            findings += _apply(comparison, expression)
    codes = {finding.code for finding in findings}
    worst = next((code for code in (ExitCode.REGRESSION, ExitCode.INCONCLUSIVE) if code in codes), ExitCode.OK)
    return GateResult(worst, tuple(findings))


def _apply(comparison: Comparison, expression: Expression) -> list[Finding]:
    if comparison.reference is not None:
        raise UsageError(
            f"--fail-on {expression.text!r} cannot gate on reference {comparison.reference.name!r}",
            hint="a published figure has no spread of its own; gate against a run",
        )
    letter = comparison.b.letter
    found = [metric for metric in comparison.metrics if metric.key == expression.metric]
    found = found or [metric for metric in comparison.metrics if words.base_name(metric.key) == expression.metric]
    if found:
        return [_judge(comparison, metric, expression) for metric in found]
    apart = [key for key in comparison.one_sided if expression.metric in (key, words.base_name(key))]
    if apart:
        sentence = f"inconclusive: {expression.text}: {apart[0]} is not compared, {comparison.one_sided[apart[0]]}"
        return [Finding(expression.text, apart[0], letter, ExitCode.INCONCLUSIVE, sentence)]
    known = {*(metric.key for metric in comparison.metrics), *comparison.one_sided}
    known |= {words.base_name(key) for key in known}
    raise UsageError(
        f"--fail-on {expression.text!r} names {expression.metric!r}, a metric that was not compared",
        hint=did_you_mean(expression.metric, known),
    )


def _judge(comparison: Comparison, metric: MetricComparison, expression: Expression) -> Finding:
    def finding(code: ExitCode, start: str, end: str) -> Finding:
        sentence = f"{start}: {expression.text}: {metric.key} {metric.change_text}".rstrip() + end
        return Finding(expression.text, metric.key, metric.letters[1], code, sentence)

    obstacle = comparison.unranked or _obstacle(metric)
    changes = None if obstacle else _changes(metric, relative=expression.relative)
    if changes is None:
        reason = obstacle or f"a change in percent needs a median of {metric.letters[0]} other than zero"
        return finding(ExitCode.INCONCLUSIVE, "inconclusive", f"; {reason}")
    low, high = changes
    lowest, highest = (low, high) if expression.sign == "<" else (-high, -low)
    limit = expression.limit if expression.sign == "<" else -expression.limit
    shown = f", a change of {_change(low, expression)} to {_change(high, expression)}"
    if highest < limit:
        return finding(ExitCode.REGRESSION, "failed", shown)
    if lowest >= limit:
        return finding(ExitCode.OK, "passed", shown)
    return finding(
        ExitCode.INCONCLUSIVE, "inconclusive", f"{shown}; the interval holds both sides of the limit{_more(metric)}"
    )


def _obstacle(metric: MetricComparison) -> str | None:
    """Why the interval cannot carry a gate."""
    if metric.estimate is None or metric.low is None:
        return metric.reason or "there is no interval"
    if metric.method == "exact":
        return None
    if metric.confidence is None or metric.confidence < 1 - ALPHA - 1e-9 or metric.n < FEWEST_UNPAIRED:
        return f"{words.counted(metric.n, 'repeat')} a side: a gate needs at least {FEWEST_UNPAIRED}, better ten"
    return None


def _changes(metric: MetricComparison, *, relative: bool) -> tuple[float, float] | None:
    """The interval of the change: as a fraction of A's median, or in the metric's unit.

    A ratio in the metric's unit is taken of A's median, and so is a difference as a fraction.
    """
    assert metric.low is not None and metric.high is not None and metric.a.median is not None
    base = metric.a.median
    if metric.kind == "ratio":
        low, high = metric.low - 1, metric.high - 1
        return (low, high) if relative else (low * base, high * base)
    if not relative:
        return metric.low, metric.high
    return None if base == 0 else (metric.low / abs(base), metric.high / abs(base))


def _change(value: float, expression: Expression) -> str:
    if expression.relative:
        return f"{words.signed(100 * value, 1)} %"
    return words.signed(value, words.decimals(abs(value) * 0.01, least=0, most=6))


def _more(metric: MetricComparison) -> str:
    return "" if metric.repeats_needed is None else f" ({metric.repeats_needed} repeats may settle it)"
