from __future__ import annotations

import math
import random
import subprocess
import sys
from dataclasses import replace

import pytest

from harness.analysis.compare import Options, compare, compare_all
from harness.analysis.drift import Drift
from harness.errors import ExitCode, NothingCompared, UsageError
from harness.store.records import MetricRecord

from .build import AUC, HITS, LATENCY, THROUGHPUT, ab, environment, reference, side

QUIET = Drift(value=0.0, upper=0.0, n_experiments=10, measured_at="2026-05-01T00:00:00Z", method="test")
SLOW = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2, 99.8, 100.1, 99.9, 100.3]
FAST = [value * 1.3 + 0.01 * k for k, value in enumerate(reversed(SLOW))]


def pair(a, b, metric=THROUGHPUT, **changes):
    """Two experiments on a machine that does not drift."""
    return side("A", [(metric, a)], drift=QUIET), side("B", [(metric, b)], drift=QUIET, **changes)


def only(comparison):
    (metric,) = comparison.metrics
    return metric


# Refusals


def test_compare_refuses_other_data_listing_both_values():
    a, b = pair(SLOW, FAST, data={"fingerprint": "beef", "kind": "generated", "rows": 100_000})
    with pytest.raises(NothingCompared, match=r"A and B cannot be compared: data\.fingerprint differs") as caught:
        compare(a, b)
    assert caught.value.exit_code == ExitCode.NOTHING_COMPARED == 6
    assert caught.value.details == ("data.fingerprint (identity): A f00d, B beef",)
    assert "--force" in (caught.value.hint or "")


def test_compare_refuses_another_protocol():
    a, b = pair(SLOW, FAST, protocol={"epochs": 3.0, "warmup": "none"})
    with pytest.raises(NothingCompared, match=r"protocol\.epochs and protocol\.warmup differ"):
        compare(a, b)


def test_force_compares_anyway_and_says_so():
    a, b = pair(SLOW, FAST, timing_scope="end_to_end")
    comparison = compare(a, b, Options(force=True))
    assert comparison.forced
    assert comparison.notes[0] == "Compared by force: timing_scope should be equal and is not."
    assert only(comparison).verdict == "better"


def test_compare_refuses_another_governor_on_the_same_device():
    a, b = pair(SLOW, FAST, environment=environment(power={"governor": "powersave"}))
    with pytest.raises(NothingCompared, match=r"environment\.power\.governor differs on the same device"):
        compare(a, b)


def test_compare_refuses_a_side_without_a_finished_run_and_counts_why():
    a, b = pair(SLOW, FAST[:3])
    runs = tuple(
        replace(run, status=status) for run, status in zip(b.cell.runs, ("crashed", "crashed", "lost"), strict=True)
    )
    with pytest.raises(NothingCompared, match=r"B \(B\) has no run that ended well: 2 crashed, 1 lost"):
        compare(a, replace(b, cell=replace(b.cell, runs=runs)))


def test_compare_refuses_a_cell_with_itself():
    a, _ = pair(SLOW, FAST)
    with pytest.raises(NothingCompared, match="the same cell"):
        compare(a, a)


def test_compare_refuses_sides_without_a_common_metric():
    with pytest.raises(NothingCompared, match="no metric that both measured") as caught:
        compare(side("A", [(THROUGHPUT, SLOW)]), side("B", [(LATENCY, SLOW)]))
    assert caught.value.details == ("throughput: only A measured it", "latency_p99_s: only B measured it")


# The four verdicts


def test_faster_beyond_the_tolerance_is_better():
    metric = only(compare(*pair(SLOW, FAST)))
    assert metric.verdict == "better"
    assert metric.estimate == pytest.approx(1.3, rel=0.01)
    assert metric.p_holm is not None and metric.p_holm < 0.001
    assert metric.sentence.startswith("B is faster: throughput ×1.3")


def test_slower_beyond_the_tolerance_is_worse_and_the_sides_mirror():
    forth, back = only(compare(*pair(SLOW, FAST))), only(compare(*pair(FAST, SLOW)))
    assert back.verdict == "worse"
    assert back.sentence.startswith("B is slower: throughput ×0.7")
    assert forth.estimate is not None and back.estimate == pytest.approx(1 / forth.estimate)
    assert forth.p == back.p


def test_lower_is_better_for_a_latency():
    primary = replace(LATENCY, role="primary")
    metric = only(compare(*pair(FAST, SLOW, primary)))
    assert metric.verdict == "better"
    assert metric.sentence.startswith("B is faster: latency_p99_s ×0.7")


def test_inside_the_tolerance_is_same_and_says_what_would_have_shown():
    metric = only(compare(*pair(SLOW, [value * 1.002 for value in SLOW])))
    assert metric.verdict == "same"
    assert metric.sentence.endswith("within 2 %")
    assert metric.smallest_detectable_effect is not None and 0.02 < metric.smallest_detectable_effect < 0.05


def test_across_the_tolerance_is_inconclusive_and_says_how_many_repeats_would_do():
    noisy = [90.0, 110.0, 95.0, 105.0, 100.0, 108.0]
    metric = only(compare(*pair(noisy, [value * 1.06 for value in noisy])))
    assert metric.verdict == "inconclusive"
    assert metric.repeats_needed is not None and metric.repeats_needed > 6
    assert f"about {metric.repeats_needed} repeats a side would settle it" in metric.sentence


@pytest.mark.parametrize("n", [1, 2, 3])
def test_below_four_repeats_there_is_no_verdict_and_four_are_asked_for(n):
    metric = only(compare(*pair(SLOW[:n], FAST[:n])))
    assert metric.verdict == "inconclusive"
    assert metric.repeats_needed == 4
    assert "cannot reach p < 0.05" in metric.sentence


def test_three_repeats_that_agree_are_not_called_the_same():
    assert only(compare(*pair([100.0] * 3, [100.0] * 3))).verdict == "inconclusive"


def test_three_against_many_are_still_too_few():
    metric = only(compare(*pair(SLOW[:3], FAST)))
    assert metric.verdict == "inconclusive"
    assert "3 repeats against 10: each side needs at least 4" in metric.sentence


def test_four_against_four_can_reach_a_verdict():
    assert only(compare(*pair(SLOW[:4], FAST[:4]))).verdict == "better"


def test_two_primary_metrics_need_five_repeats_by_holm():
    def sides(n):
        second = replace(LATENCY, role="primary")
        columns_a = [(THROUGHPUT, SLOW[:n]), (second, FAST[:n])]
        return side("A", columns_a, drift=QUIET), side("B", [(THROUGHPUT, FAST[:n]), (second, SLOW[:n])], drift=QUIET)

    four, five = compare(*sides(4)), compare(*sides(5))
    assert {metric.verdict for metric in four.metrics} == {"inconclusive"}
    assert {metric.repeats_needed for metric in four.metrics} == {5}
    assert "for 2 primary metrics" in four.metrics[0].sentence
    assert {metric.verdict for metric in five.metrics} == {"better"}


def test_an_interval_beyond_the_tolerance_needs_holms_p_as_well():
    low, high = [100.0, 101.0, 102.0, 103.0, 104.0], [103.5, 103.7, 110.0, 111.0, 112.0]  # U = 2, p = 0.032
    second = replace(LATENCY, role="primary", better="higher")
    strict = Options(ratio_tolerance=0.0)
    assert only(compare(*pair(low, high), strict)).verdict == "better"
    a = side("A", [(THROUGHPUT, low), (second, low)], drift=QUIET)
    both = compare(a, side("B", [(THROUGHPUT, high), (second, high)], drift=QUIET), strict)
    for metric in both.metrics:
        assert metric.low is not None and metric.low > 1
        assert metric.verdict == "inconclusive"
        assert "p = 0.063 after Holm's correction" in metric.sentence


def test_holm_covers_primary_metrics_only():
    columns_a = [(THROUGHPUT, SLOW), (LATENCY, SLOW), (AUC, SLOW)]
    columns_b = [(THROUGHPUT, FAST), (LATENCY, FAST), (AUC, FAST)]
    comparison = compare(side("A", columns_a, drift=QUIET), side("B", columns_b, drift=QUIET))
    by_key = {metric.key: metric for metric in comparison.metrics}
    assert by_key["throughput"].p_holm == by_key["throughput"].p
    assert by_key["latency_p99_s"].p_holm is None
    assert by_key["latency_p99_s"].verdict is None
    assert by_key["auc"].p_holm is None


def test_a_named_primary_metric_replaces_the_declared_one():
    columns = [(THROUGHPUT, SLOW), (LATENCY, SLOW)]
    faster = [(THROUGHPUT, FAST), (LATENCY, FAST)]
    comparison = compare(
        side("A", columns, drift=QUIET), side("B", faster, drift=QUIET), Options(primary=("latency_p99_s",))
    )
    assert [(metric.key, metric.verdict) for metric in comparison.metrics] == [
        ("latency_p99_s", "worse"),
        ("throughput", None),
    ]


def test_a_metric_without_a_direction_is_never_better():
    loss = MetricRecord(name="epochs_done", value=None, unit="", better="none", role="primary")
    metric = only(compare(*pair(SLOW, FAST, loss)))
    assert metric.verdict == "inconclusive"
    assert "neither direction is better" in metric.sentence


def test_a_ratio_of_zero_is_inconclusive_and_not_an_error():
    metric = only(compare(*pair([0.0, 1.0, 1.0, 1.0], [1.0] * 4)))
    assert metric.verdict == "inconclusive"
    assert "above zero" in metric.sentence


# Gates: non-inferiority


def test_a_gate_passes_only_above_its_margin():
    base = [0.7700, 0.7702, 0.7698, 0.7701, 0.7699, 0.7700]
    a = base
    close = [value - 0.0003 for value in base]
    gone = [value - 0.004 for value in base]
    assert only(compare(*pair(a, close, AUC))).verdict == "same"
    assert "is as accurate as A" in only(compare(*pair(a, close, AUC))).sentence
    assert only(compare(*pair(a, gone, AUC))).verdict == "worse"
    assert only(compare(*pair(a, [v + 0.004 for v in base], AUC))).verdict == "better"


def test_no_difference_found_is_not_as_accurate():
    noisy = [0.75, 0.79, 0.76, 0.78, 0.77, 0.775]
    metric = only(compare(*pair(noisy, list(reversed(noisy)), AUC, seed=100)))
    assert metric.p == 1.0
    assert metric.verdict == "inconclusive"


def test_a_gate_far_above_its_margin_passes_even_where_the_interval_is_wide():
    a = [0.70, 0.71, 0.69, 0.705, 0.695]
    metric = only(compare(*pair(a, [0.80, 0.85, 0.78, 0.83, 0.79], AUC)))
    assert metric.verdict == "better"


def test_a_margin_makes_a_gate_of_any_metric():
    a, b = pair(SLOW, [value * 0.96 for value in SLOW])
    assert only(compare(a, b)).verdict == "worse"
    metric = only(compare(a, b, Options(margins={"throughput": 0.08})))
    assert metric.verdict == "same"
    assert metric.margin == 0.08


def test_a_gate_below_four_repeats_is_inconclusive():
    metric = only(compare(*pair([0.77] * 3, [0.77] * 3, AUC)))
    assert metric.verdict == "inconclusive"
    assert metric.repeats_needed == 4


@pytest.mark.parametrize("what", ["margins", "tolerances"])
def test_an_option_that_names_no_metric_names_the_nearest(what):
    with pytest.raises(UsageError) as caught:
        compare(*pair(SLOW, FAST), Options(**{what: {"throughputt": 0.1}}))
    assert caught.value.hint == "did you mean 'throughput'?"


def test_a_negative_margin_is_refused():
    with pytest.raises(UsageError, match="must be a number of zero or more"):
        compare(*pair(SLOW, FAST), Options(margins={"throughput": -0.1}))


# Exact metrics


def test_exact_metrics_compare_by_equality_by_repeat():
    metric = only(compare(*pair([5.0, 6.0], [5.0, 6.0], HITS)))
    assert metric.verdict == "same"
    assert metric.p is None


def test_an_exact_metric_that_is_higher_in_every_repeat_is_better_without_a_test():
    metric = only(compare(*pair([5.0, 6.0], [7.0, 6.0], HITS)))
    assert metric.verdict == "better"
    assert metric.n_pairs == 2


def test_an_exact_metric_that_is_mixed_is_inconclusive():
    assert only(compare(*pair([5.0, 6.0], [6.0, 5.0], HITS))).verdict == "inconclusive"


def test_an_exact_metric_with_other_seeds_needs_constant_values():
    assert only(compare(*pair([5.0, 5.0], [6.0, 6.0], HITS, seed=100))).verdict == "better"
    varied = only(compare(*pair([5.0, 6.0], [5.0, 6.0], HITS, seed=100)))
    assert varied.verdict == "inconclusive"
    assert "seeds" in varied.sentence


# Pairs


def test_interleaved_repeats_are_compared_in_pairs():
    drifting = [100.0 * 0.9**k for k in range(8)]
    metric = only(compare(*ab([(THROUGHPUT, drifting)], [(THROUGHPUT, [value * 1.05 for value in drifting])])))
    assert metric.method == "paired"
    assert metric.n_pairs == 8
    assert metric.p == 2 / 2**8
    assert metric.verdict == "better"
    assert metric.drift is None


def test_five_pairs_are_too_few_for_a_paired_test_and_are_compared_unpaired():
    comparison = compare(*ab([(THROUGHPUT, SLOW[:5])], [(THROUGHPUT, FAST[:5])]))
    metric = only(comparison)
    assert metric.method == "unpaired"
    assert metric.verdict == "better"
    assert any(note.startswith("Too few pairs") for note in comparison.notes)


def test_a_repeat_without_a_partner_is_left_out_and_counted():
    a, b = ab([(THROUGHPUT, SLOW[:8])], [(THROUGHPUT, FAST[:7])])
    comparison = compare(a, b)
    assert only(comparison).n_pairs == 7
    assert "throughput: 1 of A without a partner, left out." in comparison.notes


def test_qualities_pair_by_seed_across_experiments_and_speeds_do_not():
    by_seed = [0.70, 0.75, 0.80, 0.72, 0.78, 0.74]
    columns_a = [(AUC, by_seed), (THROUGHPUT, SLOW[:6])]
    columns_b = [(AUC, [value + 0.0001 for value in by_seed]), (THROUGHPUT, SLOW[:6])]
    same_seeds = compare(side("A", columns_a), side("B", columns_b))
    other_seeds = compare(side("A", columns_a), side("B", columns_b, seed=50))
    auc = same_seeds.metric("auc")
    assert auc is not None and (auc.method, auc.verdict) == ("paired", "same")
    speed = same_seeds.metric("throughput")
    assert speed is not None and speed.method == "unpaired"
    unpaired = other_seeds.metric("auc")
    assert unpaired is not None and (unpaired.method, unpaired.verdict) == ("unpaired", "inconclusive")


def test_two_cells_of_an_experiment_that_was_not_interleaved_are_not_pairs():
    a = side("A", [(THROUGHPUT, SLOW)], experiment="one")
    comparison = compare(a, side("B", [(THROUGHPUT, FAST)], experiment="one"))
    assert comparison.design == "separate"
    assert any(note.startswith("The cells ran one after the other, not interleaved") for note in comparison.notes)


# Drift


def test_experiments_that_were_not_interleaved_are_said_to_be_so_and_must_clear_the_default_drift():
    a, b = side("A", [(THROUGHPUT, SLOW)]), side("B", [(THROUGHPUT, [value * 1.1 for value in SLOW])])
    comparison = compare(a, b)
    metric = only(comparison)
    assert metric.verdict == "inconclusive"
    assert metric.drift == pytest.approx(0.15)
    assert "more repeats will not settle it" in metric.sentence
    assert any("not calibrated" in note for note in comparison.notes)


def test_beyond_the_drift_two_experiments_reach_better():
    a, b = side("A", [(THROUGHPUT, SLOW)]), side("B", [(THROUGHPUT, [value * 1.5 for value in SLOW])])
    assert only(compare(a, b)).verdict == "better"


def test_a_calibration_replaces_the_default_and_is_named():
    known = Drift(value=0.01, upper=0.015, n_experiments=8, measured_at="2026-05-04T10:00:00Z", method="test")
    a = side("A", [(THROUGHPUT, SLOW)], drift=known)
    b = side("B", [(THROUGHPUT, [value * 1.1 for value in SLOW])], drift=known)
    comparison = compare(a, b)
    assert only(comparison).verdict == "better"
    assert any("calibration of 2026-05-04" in note for note in comparison.notes)


def test_bytes_do_not_drift_with_the_machine():
    memory = MetricRecord(name="memory_peak_bytes", value=None, unit="bytes", better="lower", role="primary")
    metric = only(compare(side("A", [(memory, SLOW)]), side("B", [(memory, SLOW)], seed=9)))
    assert (metric.drift, metric.verdict) == (None, "same")


def test_quality_does_not_drift_with_the_machine():
    a = side("A", [(AUC, [0.77, 0.7701, 0.7699, 0.77])])
    comparison = compare(a, side("B", [(AUC, [0.77, 0.7701, 0.7699, 0.77])], seed=9))
    assert only(comparison).drift is None
    assert only(comparison).verdict == "same"


# What is left out, and what is only said


def test_what_is_none_is_left_out_and_counted_and_never_zero():
    comparison = compare(*pair([*SLOW[:5], None], [*FAST[:5], math.nan]))
    metric = only(comparison)
    assert (metric.a.n, metric.a.missing, metric.b.n, metric.b.missing) == (5, 1, 5, 1)
    assert min(metric.a.all) > 90
    assert "throughput: 1 of A and 1 of B not measured, left out." in comparison.notes


def test_throughput_of_cells_that_ran_side_by_side_is_not_compared():
    a = side("A", [(THROUGHPUT, [None] * 5), (AUC, [0.7] * 5)], shared=True)
    comparison = compare(a, side("B", [(THROUGHPUT, SLOW[:5]), (AUC, [0.7] * 5)]))
    assert comparison.one_sided == {"throughput": "not measured in A (cells ran side by side)"}
    assert "A ran beside another measurement (--share)." in comparison.notes


def test_exact_metrics_of_runs_side_by_side_compare_with_those_of_runs_in_turn():
    a = side("A", [(THROUGHPUT, SLOW[:5]), (HITS, [7.0] * 5)], settings={"jobs": 1, "threads": None})
    b = side("B", [(THROUGHPUT, [None] * 5), (HITS, [7.0] * 5)], settings={"jobs": 2, "threads": None})
    lane = environment(device={"threads": 1, "cores_allowed": 1}, variables={"OMP_NUM_THREADS": "1"})
    runs = tuple(replace(run, contended=None, contention={"side_by_side": 2}, environment=lane) for run in b.cell.runs)
    b = replace(b, cell=replace(b.cell, runs=runs))
    comparison = compare(a, b)
    assert {metric.key: metric.verdict for metric in comparison.metrics} == {"hits": "same"}
    assert comparison.one_sided == {"throughput": "not measured in B (cells ran side by side)"}
    assert "The runs of B went on side by side (--jobs): they are not timed." in comparison.notes
    assert not any("could not be judged" in note for note in comparison.notes)
    assert not comparison.subject


def test_runs_that_did_not_end_well_are_left_out_and_counted():
    a, b = pair(SLOW[:6], FAST[:6])
    statuses = ("ok", "ok", "ok", "ok", "timeout", "interrupted")
    runs = tuple(replace(run, status=status) for run, status in zip(b.cell.runs, statuses, strict=True))
    comparison = compare(a, replace(b, cell=replace(b.cell, runs=runs)))
    assert only(comparison).b.n == 4
    assert "2 runs of B left out: 1 timeout and 1 interrupted." in comparison.notes


def test_a_repeat_that_was_run_again_counts_once_by_its_last_run():
    a, b = pair(SLOW[:4], FAST[:4])
    again = replace(b.cell.runs[0], id="again", order_index=99, metrics=(replace(THROUGHPUT, value=140.0),))
    comparison = compare(a, replace(b, cell=replace(b.cell, runs=(*b.cell.runs, again))))
    assert only(comparison).b.n == 4
    assert only(comparison).b.by_repeat[0] == 140.0


def test_contended_runs_are_flagged_and_kept():
    a, b = pair(SLOW[:5], FAST[:5])
    busy = tuple(replace(run, contended=run.repeat < 2, contention_reason="neighbours") for run in a.cell.runs)
    comparison = compare(replace(a, cell=replace(a.cell, runs=busy)), b)
    assert only(comparison).a.n == 5
    assert comparison.a.contended == 2
    assert "2 of 5 runs of A were contended (neighbours)." in comparison.notes


@pytest.mark.parametrize(
    ("kind", "words"),
    [("emulated", "ran on an emulated"), ("stand-in", "ran on a stand-in for"), (None, "not proven to be hardware")],
)
def test_what_is_not_hardware_is_never_ranked_but_shown(kind, words):
    metric = only(compare(*pair(SLOW, FAST, device_kind=kind)))
    assert metric.verdict == "inconclusive"
    assert metric.sentence.startswith("not ranked: throughput ×1.3")
    assert words in metric.sentence


def test_metrics_that_the_sides_declare_differently_are_not_compared():
    a = side("A", [(THROUGHPUT, SLOW), (LATENCY, SLOW)])
    b = side("B", [(THROUGHPUT, FAST), (replace(LATENCY, unit="ms"), SLOW)])
    assert compare(a, b).one_sided == {"latency_p99_s": "its unit is s in A and ms in B"}


def test_what_differs_is_the_question():
    a, b = pair(SLOW, FAST, params={"batch_size": 256, "learning_rate": 0.1})
    assert compare(a, b).question == "batch_size 128 → 256"


def test_nothing_that_differs_is_an_a_against_a_comparison():
    assert compare(*pair(SLOW, FAST)).question == "none: nothing differs, this compares A with A"


def test_several_are_compared_with_one_baseline_and_keep_their_letters():
    a, b = pair(SLOW, FAST)
    third = side("third", [(THROUGHPUT, SLOW)], drift=QUIET)
    both = compare_all(a, [b, third])
    assert [(c.a.letter, c.b.letter, c.metrics[0].verdict) for c in both] == [("A", "B", "better"), ("A", "C", "same")]
    assert both[1].metrics[0].sentence.startswith("C is as fast as A")


# References


def test_a_reference_compares_by_ratio_with_our_own_interval_and_no_verdict():
    comparison = compare(
        side("A", [(THROUGHPUT, [26_000.0, 25_000.0, 27_000.0, 26_500.0, 25_500.0, 26_100.0])]), reference()
    )
    metric = only(comparison)
    assert metric.estimate == pytest.approx(26_050 / 20_000)
    assert (metric.low, metric.high) == (1.25, 1.35)
    assert (metric.p, metric.p_holm, metric.verdict) == (None, None, None)
    assert [item.key for item in comparison.subject] == ["device", "dataset", "batch"]
    assert comparison.design == "reference"


@pytest.mark.parametrize("kind", ["stand-in", "emulated"])
def test_times_of_what_is_no_hardware_stand_beside_no_published_ones(kind):
    with pytest.raises(NothingCompared, match="its throughput is no measurement of that device"):
        compare(side("A", [(THROUGHPUT, SLOW)], device_kind=kind), reference())
    quality = side("A", [(AUC, [0.7, 0.71, 0.72, 0.73, 0.74])], device_kind=kind)
    published = reference(metric="auc", unit="", value=0.75, kind="difference")
    assert only(compare(quality, published)).verdict is None


def test_a_reference_s_framework_stands_beside_the_one_we_ran_on():
    ours = side("A", [(THROUGHPUT, SLOW)], environment={"packages": {"torch": "2.13.0"}})
    comparison = compare(ours, reference(framework="PyTorch + apex", framework_version="1.8"))
    assert "framework PyTorch 2.13.0 beside PyTorch + apex 1.8" in comparison.question
    assert "framework" not in compare(ours, reference(framework="PyTorch", framework_version="2.13.0")).question


def test_the_question_to_a_reference_is_not_cut():
    long = "facebookresearch/dlrm Kaggle configuration, SGD, learning rate 0.1, 1000 steps"
    comparison = compare(side("A", [(THROUGHPUT, SLOW)]), reference(protocol=long, dataset="Criteo Kaggle " * 5))
    assert f"beside {long}" in comparison.question
    assert "…" not in comparison.question


def test_a_quality_reference_compares_by_difference():
    published = reference(metric="auc", unit="", value=0.75, kind="difference")
    metric = only(compare(side("A", [(AUC, [0.77, 0.76, 0.78])]), published))
    assert metric.estimate == pytest.approx(0.02)
    assert metric.sentence.endswith("from the published figure (no verdict)")


def test_a_reference_whose_definition_is_lost_compares_with_nothing():
    lost = reference(comparable=False, remark="the definition of its score is lost")
    with pytest.raises(NothingCompared, match="compares with nothing: the definition of its score is lost"):
        compare(side("A", [(THROUGHPUT, SLOW)]), lost)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workload": "din"}, "is of workload din"),
        ({"metric": "throughputs"}, "which A .* did not measure"),
        ({"unit": "steps/s"}, "in steps/s"),
        ({"value": 0.0}, "not above zero"),
    ],
)
def test_a_reference_that_cannot_be_compared_says_why(change, message):
    with pytest.raises(NothingCompared, match=message):
        compare(side("A", [(THROUGHPUT, SLOW)]), reference(**change))


# Simulation: A against A


def false_claims(make, trials):
    generator = random.Random(17)
    options = Options(ratio_tolerance=0.0)
    return sum(only(compare(*make(generator), options)).verdict in ("better", "worse") for _ in range(trials)) / trials


def noise(generator, n, level=0.0):
    return [100 * math.exp(level + generator.gauss(0, 0.03)) for _ in range(n)]


@pytest.mark.parametrize("n", [4, 5, 10])
def test_a_against_a_stays_at_the_nominal_rate_with_independent_noise(n):
    rate = false_claims(lambda generator: pair(noise(generator, n), noise(generator, n)), 500)
    assert rate <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)


@pytest.mark.parametrize("n", [5, 7, 10])
def test_a_against_a_interleaved_stays_at_the_nominal_rate_while_the_machine_drifts(n):
    def make(generator):
        level, sides = 0.0, ([], [])
        for _ in range(n):
            for place in generator.sample((0, 1), 2):
                level += generator.gauss(0, 0.02)
                sides[place].append(100 * math.exp(level + generator.gauss(0, 0.01)))
        return ab([(THROUGHPUT, sides[0])], [(THROUGHPUT, sides[1])])

    assert false_claims(make, 400) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_the_tolerance_makes_false_claims_rarer_still():
    generator = random.Random(19)
    claims = sum(
        only(compare(*pair(noise(generator, 5), noise(generator, 5)))).verdict in ("better", "worse")
        for _ in range(300)
    )
    assert claims / 300 <= 0.02


def test_importing_the_analysis_imports_no_heavy_library():
    code = (
        "import sys, harness.analysis.compare, harness.analysis.gate, harness.analysis.drift\n"
        "print([m for m in ('numpy', 'scipy', 'torch', 'textual', 'rich', 'sqlite_utils') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_qualities_equal_seed_by_seed_are_the_same_without_a_test() -> None:
    base = [0.71, 0.73, 0.72, 0.74, 0.70]
    (metric,) = compare(side("A", [(AUC, base)]), side("B", [(AUC, base)])).metrics
    assert (metric.verdict, metric.estimate, metric.method) == ("same", 0.0, "exact")
    (other,) = compare(side("A", [(AUC, base)]), side("B", [(AUC, [*base[:4], 0.7001])])).metrics
    assert other.verdict == "inconclusive"
