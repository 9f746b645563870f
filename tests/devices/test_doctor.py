from __future__ import annotations

import subprocess
import sys

from harness.devices.doctor import examine
from harness.registry import Registry
from tests.contract.device_contract import TOP

FAKES = TOP / "tests" / "contract" / "fakes.py"


def test_every_known_device_is_reported_in_order_with_a_sentence():
    registry = Registry([FAKES])
    reports = examine(registry)
    assert [report.name for report in reports] == registry.device_names() == ["cpu", "cuda", "npu", "ipu", "fused"]
    by_name = {report.name: report for report in reports}
    assert by_name["cpu"].state == "available"
    assert by_name["cpu"].versions["torch"] is not None
    assert by_name["fused"].sentence == "a stand-in for a fused accelerator"
    for report in reports:
        assert report.sentence
        assert (report.hint is None) == (report.state == "available")


def test_a_device_that_does_not_construct_is_reported_as_broken(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from harness.errors import UnavailableError\n"
        "class Mine:\n    name = 'mine'\n    def __init__(self, index):\n"
        "        raise UnavailableError('mine is shut', hint='come back')\n"
        "DEVICES = [Mine]\n"
    )
    report = examine(Registry([plugin]))[-1]
    assert (report.name, report.state, report.sentence, report.hint) == ("mine", "broken", "mine is shut", "come back")


def test_looking_imports_no_torch_here():
    program = (
        "import sys; from harness.devices import doctor, probe, cpu, cuda, npu, ipu, compiler;"
        "sys.exit(bool({'torch', 'numpy', 'textual', 'sqlite_utils'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=TOP, check=False).returncode == 0
