from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.roofline import bound, share
from harness.api import Work

CEILINGS = {
    "matrix_flops{precision=fp32}": 200e9,
    "matrix_flops{precision=bf16}": 1600e9,
    "stream_bytes_per_s": 12.6e9,
    "gather_rows_per_s": 1 / 30e-9,
    "disk_bytes_per_s": None,
}
# One DLRM sample of the Kaggle configuration: 2.9 MFLOP, 26 rows read and 26 updated.
SAMPLE = Work(flops=2.9e6, gathered_rows=52, row_bytes=64)


def test_a_dlrm_sample_is_bound_by_matrix_products_in_fp32():
    found = bound(SAMPLE, CEILINGS, "fp32")
    assert found.binding == "matrix_flops{precision=fp32}"
    assert 1 / found.seconds_per_step == pytest.approx(200e9 / 2.9e6)


def test_another_precision_has_another_bound():
    found = bound(SAMPLE, CEILINGS, "bf16")
    assert found.terms["matrix_flops{precision=bf16}"] == pytest.approx(2.9e6 / 1600e9)
    assert found.terms["gather_rows_per_s"] == pytest.approx(52 * 30e-9)
    assert found.binding == "matrix_flops{precision=bf16}"


def test_wide_rows_cost_at_least_their_bytes():
    wide = Work(gathered_rows=1000, row_bytes=1024)
    assert bound(wide, CEILINGS, "fp32").seconds_per_step == pytest.approx(1000 * 1024 / 12.6e9)
    narrow = Work(gathered_rows=1000, row_bytes=16)
    assert bound(narrow, CEILINGS, "fp32").seconds_per_step == pytest.approx(1000 * 30e-9)


def test_terms_without_a_ceiling_are_left_out_and_none_is_none():
    assert bound(None, CEILINGS, "fp32") is None
    assert bound(Work(), CEILINGS, "fp32") is None
    assert bound(SAMPLE, {}, "fp32") is None
    assert bound(Work(disk_bytes=1e9), CEILINGS, "fp32") is None
    assert bound(SAMPLE, CEILINGS, "fp8").binding == "gather_rows_per_s"
    assert bound(Work(disk_bytes=1e9), {"disk_bytes_per_s": 2e9}, "fp32").seconds_per_step == 0.5


def test_the_share_is_the_bound_over_what_was_measured():
    limit = bound(SAMPLE, CEILINGS, "fp32")
    assert share(2 * limit.seconds_per_step, limit) == pytest.approx(0.5)
    assert share(None, limit) is None
    assert share(0.0, limit) is None
    assert share(1.0, None) is None


amounts = st.floats(0, 1e15)
rates = st.one_of(st.none(), st.floats(1e3, 1e15))


@given(amounts, amounts, amounts, st.floats(0, 4096), amounts, rates, rates, rates, rates)
def test_the_bound_is_the_longest_term(flops, stream, rows, row_bytes, disk, matrix, streaming, gather, reading):
    work = Work(flops=flops, stream_bytes=stream, gathered_rows=rows, row_bytes=row_bytes, disk_bytes=disk)
    ceilings = {
        "matrix_flops{precision=fp32}": matrix,
        "stream_bytes_per_s": streaming,
        "gather_rows_per_s": gather,
        "disk_bytes_per_s": reading,
    }
    found = bound(work, ceilings, "fp32")
    if found is None:
        return
    assert found.terms[found.binding] == found.seconds_per_step == max(found.terms.values())
    assert all(ceilings[name] is not None for name in found.terms)
    if matrix is not None:
        assert found.seconds_per_step >= flops / matrix


def test_it_is_pure_standard_library():
    program = "import sys, harness.analysis.roofline; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    top = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=top, check=False).returncode == 0
