"""The built-in rows: cut in order, identified, with ids inside their tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError, UsageError
from workloads.common.clicks import generate
from workloads.dlrm.config import DLRMConfig
from workloads.dlrm.data import KAGGLE_DAYS, built_in, click_log_spec, parts_of, split_of

from .support import RecordingContext


@given(st.integers(20, 5000), st.sampled_from(["ordered", "kaggle"]))
def test_parts_follow_each_other_and_cover_all_rows(rows, kind):
    parts = parts_of(split_of(DLRMConfig(split=kind)), rows, "rows")
    in_order = sorted((part for part in parts.values() if part), key=lambda part: part.start)
    assert [number for part in in_order for number in part] == list(range(rows))
    assert parts["train"].start == 0


def test_ordered_split_takes_the_last_fifth_for_the_test():
    parts = parts_of(split_of(DLRMConfig()), 7200, "rows")
    assert (parts["train"], parts["validation"], parts["test"]) == (range(5040), range(5040, 5760), range(5760, 7200))


def test_kaggle_split_tests_on_the_first_half_of_the_last_day():
    """As facebookresearch/dlrm: numpy.array_split of the days, then of the last day."""
    for rows in (7 * 10, 7 * 10 + 3, 7 * 11 + 6):
        days = np.array_split(np.arange(rows), KAGGLE_DAYS)
        test, validation = np.array_split(days[-1], 2)
        parts = parts_of(split_of(DLRMConfig(split="kaggle")), rows, "rows")
        assert list(parts["test"]) == test.tolist()
        assert list(parts["validation"]) == validation.tolist()


def test_too_few_rows_for_a_part_is_an_error_that_says_so():
    with pytest.raises(DataError, match="here has 2 rows, too few for a test part by the split 9/10:1/10:0"):
        parts_of(split_of(DLRMConfig(test_fraction=0.0)), 2, "here")


def test_built_in_rows_are_those_of_the_generator(tmp_path):
    context = RecordingContext(tmp_path, rows=300, data_seed=5)
    data = built_in(context.config, context)
    block = generate(click_log_spec(context.config, 5), 0, 300)
    assert np.array_equal(data.rows.dense, block.dense) and np.array_equal(data.rows.ids, block.ids)
    test = data.part("test")
    assert (test.first, len(test)) == (240, 60)
    assert np.array_equal(test.probabilities, block.probabilities[240:])
    assert np.array_equal(test.labels, block.labels[240:])
    assert len(data.part("all")) == 300
    assert (data.rows.ids.max(0) < np.array(data.table_rows)).all()
    assert context.progressed[-1] == (300, 300, "rows generated")


def test_identity_changes_with_the_rows_and_only_with_them(tmp_path):
    def fingerprint(**values):
        context = RecordingContext(tmp_path, **{"rows": 100, **values})
        return built_in(context.config, context).identity.fingerprint

    first = fingerprint()
    assert first == fingerprint(batch=32) == fingerprint(seed=4)
    for other in ({"rows": 101}, {"data_seed": 1}, {"table_rows": 39}, {"zipf_exponent": 1.2}, {"teacher_bias": 0.0}):
        assert fingerprint(**other) != first


def test_rules_name_what_changes_quality_but_no_row(tmp_path):
    context = RecordingContext(tmp_path, rows=100, dense_transform="log3", test_fraction=0.3)
    identity = built_in(context.config, context).identity
    assert identity.kind == "generated"
    assert identity.rules == "split 3/5:1/10:3/10; dense log3"


def test_a_teacher_beyond_the_generators_range_is_a_usage_error(tmp_path):
    context = RecordingContext(tmp_path, rows=100, teacher_categorical=100.0)
    with pytest.raises(UsageError, match="the built-in click log cannot be made"):
        built_in(context.config, context)
