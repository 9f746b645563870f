"""The metrics that every workload shares: one name, one unit, one direction, wherever a number is shown.

A workload declares its own beside these in its Description. Roles and kinds are explained at `harness.api.MetricSpec`.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.api import MetricSpec

SHARED_METRICS: Mapping[str, MetricSpec] = {
    spec.name: spec
    for spec in (
        MetricSpec("throughput", "samples/s", "higher", "primary"),
        MetricSpec("bandwidth", "B/s", "higher"),
        MetricSpec("latency_p50_s", "s", "lower"),
        MetricSpec("latency_p90_s", "s", "lower"),
        MetricSpec("latency_p99_s", "s", "lower"),
        MetricSpec("auc", "", "higher", "gate", "difference"),
        MetricSpec("auc_bayes", "", "none", "info", "difference"),
        MetricSpec("gauc", "", "higher", "info", "difference"),
        MetricSpec("log_loss", "nat", "lower", "info", "difference"),
        MetricSpec("normalized_entropy", "", "lower", "info", "difference"),
        MetricSpec("accuracy", "", "higher", "info", "difference"),
        MetricSpec("calibration", "", "none", "info", "difference"),
        MetricSpec("loss", "nat", "lower", "info", "difference"),
        MetricSpec("hit_ratio", "", "higher", "info", "exact"),
        MetricSpec("unique_hit_ratio", "", "higher", "info", "exact"),
        MetricSpec("time_to_target_s", "s", "lower"),
        MetricSpec("accelerator_utilization", "", "higher", "info", "difference"),
        MetricSpec("scaling_efficiency", "", "higher", "info", "difference"),
        MetricSpec("roofline_share", "", "higher", "info", "difference"),
        MetricSpec("energy_j_per_sample", "J", "lower"),
        MetricSpec("memory_peak_bytes", "B", "lower"),
        MetricSpec("setup_s", "s", "lower"),
        MetricSpec("compile_s", "s", "lower"),
        MetricSpec("warmup_s", "s", "none"),
        MetricSpec("measure_s", "s", "none"),
        MetricSpec("evaluate_s", "s", "none"),
    )
}
