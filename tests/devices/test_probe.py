from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.api import Available, Unavailable
from harness.devices.probe import examine_in_child, probe_in_child
from harness.errors import UsageError
from tests.contract.device_contract import TOP

FAKES = TOP / "tests" / "contract" / "fakes.py"

PLUGIN = """
from __future__ import annotations
import os, sys, time
from harness.api import Available, Capabilities, Unavailable

class Mine:
    name = "mine"
    device_kind = "stand-in"
    capabilities = Capabilities()
    def __init__(self, index): self.index = index
    def environment(self): return {{"MINE": "42"}}
    def interpreter(self): return None
    def probe(self):
        {body}

DEVICES = [Mine]
"""


def plugin(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(body=body))
    return path


def broken(tmp_path: Path, body: str, timeout_s: float = 20.0) -> str:
    verdict = probe_in_child("mine", [plugin(tmp_path, body)], timeout_s=timeout_s)
    assert isinstance(verdict, Unavailable)
    assert verdict.state == "broken"
    assert verdict.hint
    return verdict.reason


def test_a_good_answer_comes_back_whole_whatever_is_printed(tmp_path):
    body = 'print("noise"); sys.stderr.write("{}"); return Available(details={"mine": os.environ["MINE"], "n": 3})'
    verdict = probe_in_child("mine", [plugin(tmp_path, body)])
    assert verdict == Available(details={"mine": "42", "n": 3})


def test_an_unavailable_device_keeps_its_words_and_its_state(tmp_path):
    said = Unavailable(reason="no card in slot 3", hint="put one in", state="no card", details={"slot": 3})
    body = "return Unavailable(reason='no card in slot 3', hint='put one in', state='no card', details={'slot': 3})"
    assert probe_in_child("mine", [plugin(tmp_path, body)]) == said


def test_a_crash_is_a_verdict(tmp_path):
    assert broken(tmp_path, "os.kill(os.getpid(), 11)") == "the probe of mine was killed by SIGSEGV"


def test_a_hang_is_a_verdict(tmp_path):
    assert broken(tmp_path, "time.sleep(600)", timeout_s=1.5) == "the probe of mine hung: no answer in 1.5 s"


def test_an_exception_is_a_verdict(tmp_path):
    assert broken(tmp_path, 'raise OSError("no libfoo")') == "the probe of mine failed: OSError: no libfoo"


def test_leaving_without_an_answer_is_a_verdict(tmp_path):
    assert broken(tmp_path, "os._exit(0)") == "the probe of mine gave no readable answer"
    reason = broken(tmp_path, 'sys.stderr.write("fatal: driver mismatch\\n"); sys.stderr.flush(); os._exit(3)')
    assert reason == "the probe of mine ended with exit status 3: fatal: driver mismatch"


def test_an_answer_that_is_no_verdict_is_a_verdict(tmp_path):
    assert "broken" not in broken(tmp_path, "return 7")
    assert broken(tmp_path, "return Unavailable(reason='x', hint='y', state='odd')").endswith("no readable answer")


def test_an_unknown_device_is_the_person_s_mistake():
    with pytest.raises(UsageError, match="unknown device 'cudo'"):
        probe_in_child("cudo")


def test_the_fused_stand_in_is_probed_under_its_own_interpreter():
    probed = examine_in_child("fused", [FAKES])
    assert isinstance(probed.verdict, Available)
    assert probed.python == ".".join(map(str, sys.version_info[:3]))
    assert probed.versions["torch"] is not None


@pytest.mark.parametrize("told", ["unknown option -P", "Unknown option: -P"])
def test_another_interpreter_that_does_not_start_or_is_too_old_is_told(tmp_path, told):
    verdict = probe_in_child("cpu", python=tmp_path / "none")
    assert verdict.reason == f"the interpreter {tmp_path}/none does not start: No such file or directory"
    old = tmp_path / "python3.8"
    old.write_text(f"#!/bin/sh\necho '{told}' >&2\necho 'usage: python [option]' >&2\nexit 2\n")
    old.chmod(0o755)
    assert probe_in_child("cpu", python=old).reason == f"{old} is older than Python 3.11, which recbench needs"
    bare = tmp_path / "python3.12"
    bare.write_text("#!/bin/sh\necho \"bare: Error while finding module: No module named 'harness'\" >&2\nexit 1\n")
    bare.chmod(0o755)
    verdict = probe_in_child("cpu", python=bare)
    assert verdict.reason == f"{bare} has no recbench"
    assert "pip install recbench" in verdict.hint


def test_a_broken_vendor_package_breaks_no_other_device(tmp_path, monkeypatch):
    (tmp_path / "torch_npu.py").write_text("import os; os.abort()")
    info = tmp_path / "torch_npu-2.13.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch-npu\nVersion: 2.13.0\n")
    (info / "entry_points.txt").write_text("[torch.backends]\ntorch_npu = torch_npu:autoload\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    verdict = probe_in_child("npu")
    assert isinstance(verdict, Unavailable)
    assert verdict.reason == "the probe of npu was killed by SIGABRT"
    assert isinstance(probe_in_child("cpu"), Available)
