from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.compare import compare
from harness.analysis.drift import Drift
from harness.analysis.gate import gate, parse
from harness.errors import ExitCode, UsageError
from harness.store.records import MetricRecord

from .build import AUC, HITS, LATENCY, THROUGHPUT, reference, side

QUIET = Drift(value=0.0, upper=0.0, n_experiments=10, measured_at=None, method="test")
BASE = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2, 99.8, 100.1]


def compared(factor, metric=THROUGHPUT, base=BASE, **changes):
    values = [value * factor for value in base]
    return compare(side("A", [(metric, base)], drift=QUIET), side("B", [(metric, values)], drift=QUIET, **changes))


@pytest.mark.parametrize(
    ("factor", "code"),
    [(0.80, ExitCode.REGRESSION), (0.95, ExitCode.INCONCLUSIVE), (0.99, ExitCode.OK), (1.3, ExitCode.OK)],
)
def test_a_gate_fails_passes_or_is_inconclusive_by_the_whole_interval(factor, code):
    result = gate(compared(factor), ["throughput<-5%"])
    assert result.code == code
    assert result.sentences[0].split(":")[0] == {0: "passed", 3: "failed", 4: "inconclusive"}[code]


def test_a_gate_on_what_must_not_rise():
    assert gate(compared(1.2, LATENCY), ["latency_p99_s>+10%"]).code == ExitCode.REGRESSION
    assert gate(compared(1.0, LATENCY), ["latency_p99_s>+10%"]).code == ExitCode.OK


def test_a_gate_in_the_unit_of_the_metric():
    base = [0.7700, 0.7702, 0.7698, 0.7701, 0.7699, 0.7700]
    assert gate(compared(1.0, AUC, base), ["auc<-0.001"]).code == ExitCode.OK
    assert gate(compared(0.99, AUC, base), ["auc<-0.001"]).code == ExitCode.REGRESSION
    assert gate(compared(0.8), ["throughput<-5"]).code == ExitCode.REGRESSION
    assert gate(compared(0.8), ["throughput<-50"]).code == ExitCode.OK


def test_a_difference_in_percent_is_of_the_median_of_a():
    base = [0.50, 0.5002, 0.4998, 0.5001, 0.4999, 0.50]
    assert gate(compared(0.9, AUC, base), ["auc<-5%"]).code == ExitCode.REGRESSION
    assert gate(compared(0.9, AUC, base), ["auc<-15%"]).code == ExitCode.OK


def test_a_gate_may_demand_a_gain():
    assert gate(compared(1.3), ["throughput<20%"]).code == ExitCode.OK
    assert gate(compared(1.1), ["throughput<20%"]).code == ExitCode.REGRESSION


def test_the_worst_finding_decides():
    result = gate([compared(1.0), compared(0.8)], ["throughput<-5%", "throughput<-50%"])
    assert [finding.code for finding in result.findings] == [0, 3, 0, 0]
    assert result.code == ExitCode.REGRESSION
    assert gate(compared(1.0), []).code == ExitCode.OK


def test_too_few_repeats_are_inconclusive_however_large_the_change():
    result = gate(compared(0.5, base=BASE[:3]), ["throughput<-5%"])
    assert result.code == ExitCode.INCONCLUSIVE
    assert "3 repeats a side: a gate needs at least 4" in result.sentences[0]


def test_an_emulated_device_never_passes_and_never_fails():
    assert gate(compared(0.5, device_kind="emulated"), ["throughput<-5%"]).code == ExitCode.INCONCLUSIVE
    assert gate(compared(1.5, device_kind="stand-in"), ["throughput<-5%"]).code == ExitCode.INCONCLUSIVE


def test_a_metric_that_one_side_lacks_is_inconclusive_with_the_reason():
    a = side("A", [(THROUGHPUT, BASE), (LATENCY, BASE)])
    result = gate(compare(a, side("B", [(THROUGHPUT, BASE)])), ["latency_p99_s>10%"])
    assert result.code == ExitCode.INCONCLUSIVE
    assert "only A measured it" in result.sentences[0]


def test_exact_metrics_gate_without_repeats():
    assert gate(compared(0.5, HITS, [8.0]), ["hits<0"]).code == ExitCode.REGRESSION
    assert gate(compared(1.0, HITS, [8.0]), ["hits<0"]).code == ExitCode.OK


def test_a_name_without_labels_covers_every_label():
    def labelled(policy):
        return MetricRecord(name="hit_ratio", value=None, unit="", better="higher", labels={"policy": policy})

    a = side("A", [(labelled("lru"), BASE), (labelled("lfu"), BASE)], drift=QUIET)
    b = side("B", [(labelled("lru"), BASE), (labelled("lfu"), [value * 0.5 for value in BASE])], drift=QUIET)
    comparison = compare(a, b)
    assert [finding.metric for finding in gate(comparison, ["hit_ratio<-5%"]).findings] == [
        "hit_ratio{policy=lru}",
        "hit_ratio{policy=lfu}",
    ]
    one = gate(comparison, ["hit_ratio{policy=lru}<-5%"])
    assert (len(one.findings), one.code) == (1, ExitCode.OK)


@pytest.mark.parametrize(
    "text", ["throughput", "throughput<", "<-5%", "throughput=5", "throughput<-5 percent", "", "a<b"]
)
def test_what_is_no_expression_is_a_usage_error_with_an_example(text):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.exit_code == ExitCode.USAGE
    assert "throughput<-5%" in (caught.value.hint or "")


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(UsageError, match="'troughput', a metric that was not compared") as caught:
        gate(compared(1.0), ["troughput<-5%"])
    assert caught.value.hint == "did you mean 'throughput'?"


def test_a_reference_cannot_gate():
    comparison = compare(side("A", [(THROUGHPUT, BASE)]), reference())
    with pytest.raises(UsageError, match="cannot gate on reference"):
        gate(comparison, ["throughput<-5%"])


@given(
    name=st.from_regex(r"[a-z][a-z0-9_]{0,12}(\{[a-z]+=[a-z0-9]+\})?", fullmatch=True),
    sign=st.sampled_from("<>"),
    number=st.floats(-1e6, 1e6),
    percent=st.booleans(),
    space=st.sampled_from(["", " "]),
)
def test_parse_reads_what_it_describes(name, sign, number, percent, space):
    expression = parse(f"{name}{space}{sign}{space}{number!r}{'%' if percent else ''}")
    assert (expression.metric, expression.sign, expression.relative) == (name, sign, percent)
    assert expression.limit == (number / 100 if percent else number)
