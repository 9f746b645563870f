from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.workloads.cachesim.support import shared
from workloads.cachesim.inspect import Histogram, inspect_trace, measure_skew
from workloads.cachesim.inspect_report import report_lines
from workloads.cachesim.traces.builder import Column, Requests, Samples, TraceBuilder
from workloads.cachesim.traces.formats import read_trace
from workloads.cachesim.traces.options import ReadOptions
from workloads.cachesim.traces.schema import Schema, Table


def small():
    builder = TraceBuilder()
    schema = Schema((Table("user", 100, 4, "fp32"), Table("items", 50, 8, "fp16"), Table("unused", 9, 1, "fp32")))
    columns = [
        Column(np.array([1, 2, 1])),
        Column(np.array([7, 7, 8, 7]), np.array([3, 0, 1])),
        Column(np.empty(0, np.int64), np.zeros(3, np.int64)),
    ]
    builder.add(Samples(columns, 3, schema, ends_batch=True), "a file")
    return builder.finish("a file")


def test_the_figures_of_a_small_trace_are_those_counted_by_hand():
    """Lookups: 1 7 7 8 | 2 | 1 7, users and items numbered apart."""
    report = inspect_trace(small())
    assert (report.requests, report.unique, report.samples, report.batches) == (7, 4, 3, 1)
    assert report.unique_bytes == 2 * 16 + 2 * 16
    assert report.pooling is not None
    assert (report.pooling.bags, report.pooling.largest, report.pooling.median) == (9, 3, 1)
    assert report.pooling.empty_share == pytest.approx(4 / 9)
    assert report.reuse_time.counts == (1, 0, 1, 1)  # 7 after 1, 7 after 4, user 1 after 5
    assert report.reuse_time_median == 4
    assert report.reuse_distance.counts == (1, 0, 2)  # 1, 4 and 4
    assert report.row_requests.counts == (2, 1, 1)
    assert report.skew.once_rows_share == 0.5 and report.skew.once_requests_share == pytest.approx(2 / 7)
    items = report.tables[1]
    assert (items.name, items.rows, items.row_bytes, items.requests, items.unique) == ("items", 50, 16, 4, 2)
    assert items.skew is not None and items.skew.hottest_share == 0.75
    assert items.pooling is not None and items.pooling.mean == pytest.approx(4 / 3)
    assert report.tables[2].skew is None and report.tables[2].requests == 0
    assert json.loads(json.dumps(report.to_json()))["requests"] == 7


def test_bytes_and_pooling_that_are_not_known_are_none():
    builder = TraceBuilder()
    builder.add(Requests(np.array([4])), "a file")
    report = inspect_trace(builder.finish("a file"))
    assert report.unique_bytes is None and report.pooling is None and report.samples is None
    assert report.reuse_time_median is None and report.reuse_distance_median is None
    assert report.skew.zipf_exponent is None and report.successors.next is None
    assert "none" in "\n".join(report_lines(report))


@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.0, 1.4])
def test_the_zipf_exponent_of_an_exact_law_is_found(exponent):
    counts = np.maximum(np.rint(1e9 * np.arange(1, 5001) ** -exponent), 1).astype(np.int64)
    found = measure_skew(counts).zipf_exponent
    assert found is not None and math.isclose(found, exponent, abs_tol=0.01)


def test_labels_of_bins_join_without_gap():
    assert [Histogram.label(bin_) for bin_ in (0, 1, 2, 3, 11)] == ["1", "2", "3-4", "5-8", "1,025-2,048"]


@pytest.mark.parametrize(
    ("name", "median", "following", "within"),
    [
        ("traces/dlrm_reuse_medium_500K.txt", 602, 0.0071, 0.068),
        ("traces/scarab-recs.trace.xz", None, 0.446, 0.501),
    ],
)
def test_real_traces_show_the_published_locality(name, median, following, within):
    report = inspect_trace(read_trace([shared(name)]))
    assert median is None or report.reuse_time_median == median
    assert report.successors.next is not None and report.successors.within is not None
    assert abs(report.successors.next - following) < 0.002
    assert abs(report.successors.within - within) < 0.002
    assert report.successors.next_chance < 0.0006 and report.successors.within_chance < 0.023


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_text_fits_the_width_and_names_every_part(width):
    seen: list[tuple[int, int]] = []
    lines = report_lines(inspect_trace(small(), progress=lambda done, total: seen.append((done, total))), width=width)
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    for part in ("requests", "unique rows", "pooling", "reuse time", "reuse distance", "items", "looked up once"):
        assert part in text
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_of_many_tables_the_busiest_are_shown():
    trace = read_trace([shared("criteo/train.txt")], ReadOptions(limit=2600))
    text = "\n".join(report_lines(inspect_trace(trace), tables=5))
    assert "… and 21 more tables with fewer requests" in text
