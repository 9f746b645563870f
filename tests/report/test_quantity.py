from __future__ import annotations

import pytest

from harness.report.quantity import quantity


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (26_123.0, "samples/s", "26.12k samples/s"),
        (9_999.0, "samples/s", "9999 samples/s"),
        (3.2e9, "requests/s", "3.200G requests/s"),
        (0.00184, "s", "1.840 ms"),
        (2.5e-7, "s", "250.0 ns"),
        (12.5, "s", "12.50 s"),
        (3.2 * 2**30, "bytes", "3.200 GiB"),
        (1.5 * 2**20, "bytes/s", "1.500 MiB/s"),
        (512.0, "bytes", "512 bytes"),
        (0.771234, "", "0.7712"),
        (0.0, "samples/s", "0 samples/s"),
        (None, "samples/s", "–"),
        (-20_000.0, "samples/s", "-20.00k samples/s"),
        (0.99999, "s", "1.000 s"),
        (0.05432, "", "0.05432"),
        (1.5e-5, "", "1.500e-05"),
        (9_999.7, "rows/s", "10000 rows/s"),
    ],
)
def test_quantities_read_well(value, unit, text):
    assert quantity(value, unit) == text
