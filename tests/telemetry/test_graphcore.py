from __future__ import annotations

import stat
import sys
import textwrap
from pathlib import Path

import pytest

from harness.telemetry.graphcore import (
    GRAPHCORE_UNITS,
    GraphcoreSampler,
    number,
    open_graphcore,
    parse_info,
    parse_listing,
)
from harness.telemetry.samples import NoTelemetry, series_values

# gc-info of Graphcore's command line tools 1.2.1 on a C2 card, at work (their "Device attributes").
C2 = """\
Device Info:
  id: 0
  target: PCIe
  average board temp: 36.2 C
  average die temp: 33.4 C
  board ipu index: 1
  board serial number: 0340.0004.919062
  board type: C2
  clock: 1300MHz
  driver version: 1.0.56
  firmware version: 1.4.14
  hexoatt active size (bytes): 0
  ipu architecture: ipu1
  ipu utilisation: 99.96%
  ipu utilisation (session): 99.98%
  link speed: 8 GT/s
  pci id: 0000:1a:00.0
  process start time: 20211122T224648Z
  total board power: 99.5 W
  user executable: gc-hosttraffictest
  user name: justina
  user process id: 38641
"""
# gc-info of the latest command line tools on a C600 card with driver 1.3.0, idle but for its holder.
C600 = """\
Device Info:
  id: 0
  target: PCIe
  average board temp: 17.8 C
  average die temp: 20.0 C
  board type: C600
  board variant: C600
  clock: 20MHz
  driver version: 1.3.0
  firmware version: 2.6.8
  ipu architecture: ipu21
  ipu error state: no errors
  ipu power: N/A
  ipu utilisation: 0.00%
  ipu utilisation (session): 0.00%
  link speed: 16.0 GT/s
  parity error threshold interval: 7776000 seconds
  total board power: 12.6 W
  user process id: 1262065
"""
# gc-info -l with Poplar SDK 2.5 on a partition of an IPU-M2000.
LISTING = """\
Graphcore device listing:
Partition: ipuof [active]
-+- Id: [0], target: [Fabric], IPU-M host: [172.31.100.130], IPU#: [3]
-+- Id: [1], target: [Fabric], IPU-M host: [172.31.100.130], IPU#: [2]
-+- Id: [4], target: [Multi IPU]
 |--- Id: [0], DNC Id: [0], IPU-M host: [172.31.100.130], IPU#: [3]
 |--- Id: [1], DNC Id: [1], IPU-M host: [172.31.100.130], IPU#: [2]
"""
# gc-info -l of the PCIe cards, as TensorFlow's Poplar documentation shows it.
LISTING_PCIE = """\
Graphcore device listing:

-+- Id:  [0], type:      [PCIe], PCI Domain: [0000:1a:00.0]
-+- Id:  [1], type:      [PCIe], PCI Domain: [0000:1b:00.0]
-+- Id: [16], type: [Multi IPU]
"""


def ipu(pid: int | None, **changed: str) -> dict[str, str]:
    device = {
        "average board temp": "29.6 C",
        "average die temp": "39.2 C",
        "clock": "1850MHz",
        "ipu power": "101.25W",
        "ipu utilisation": "50.00%",
        "ipu utilisation (session)": "40.00%",
        "ipu error state": "no errors",
        **({} if pid is None else {"user process id": str(pid)}),
    }
    return {**device, **{key.replace("_", " "): value for key, value in changed.items()}}


def sampler(*devices: dict[str, str]) -> GraphcoreSampler:
    return GraphcoreSampler(lambda: devices, source="test", clock=lambda: 5.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("17.8 C", 17.8),
        ("1850MHz", 1850.0),
        ("0.00%", 0.0),
        ("99.5 W", 99.5),
        ("12.34W", 12.34),
        ("38641", 38641.0),
        ("-4 C", -4.0),
        ("N/A", None),
        ("", None),
        (None, None),
        ("no errors", None),
        ("1.2.3", None),
    ],
)
def test_values_are_numbers_with_a_unit_or_unknown(text, value):
    assert number(text) == value


def test_gc_info_of_a_c2_is_read():
    found = parse_info(C2)
    assert found["board type"] == "C2"
    assert found["pci id"] == "0000:1a:00.0"
    sample = sampler(found).sample([38641])
    assert sample.ipus == 1
    assert sample.utilisation == pytest.approx(0.9996)
    assert sample.utilisation_session == pytest.approx(0.9998)
    assert (sample.temperature_board_c, sample.temperature_die_c, sample.clock_mhz) == (36.2, 33.4, 1300.0)
    assert sample.power_w is None  # this card tells its board's alone


def test_gc_info_of_a_c600_is_read_and_what_is_not_told_is_unknown():
    sample = sampler(parse_info(C600)).sample([1262065])
    assert sample.power_w is None
    assert sample.utilisation == 0.0
    assert sample.error_states == ()
    assert series_values(sample, GRAPHCORE_UNITS) == {
        "utilisation": 0.0,
        "utilisation_session": 0.0,
        "power_w": None,
        "temperature_board_c": 17.8,
        "temperature_die_c": 20.0,
        "clock_mhz": 20.0,
    }


@pytest.mark.parametrize("text", ["", "gc-info: command failed", "Device Info:", "  clock: 20MHz"])
def test_what_is_no_device_info_is_empty(text):
    assert parse_info(text) == {}


def test_the_listing_names_single_ipus():
    assert parse_listing(LISTING) == [0, 1]
    assert parse_listing(LISTING_PCIE) == [0, 1]
    assert parse_listing("No devices found") == []


def test_the_ipus_of_the_run_are_those_that_its_processes_hold():
    devices = (
        ipu(70),
        ipu(70, ipu_utilisation="100.00%", clock="1330MHz", average_die_temp="61.0 C"),
        ipu(99, ipu_utilisation="0.00%"),
        ipu(None),
    )
    sample = sampler(*devices).sample([7, 70])
    assert (sample.ipus, sample.utilisation, sample.power_w) == (2, 0.75, 202.5)
    assert (sample.clock_mhz, sample.temperature_die_c) == (1330.0, 61.0)
    assert sample.other_pids == (99,)
    assert sample.t_s == 5.0


def test_before_an_ipu_is_held_nothing_is_known():
    sample = sampler(ipu(None)).sample([70])
    assert (sample.ipus, sample.utilisation, sample.power_w, sample.clock_mhz) == (0, None, None, None)


def test_a_power_that_one_ipu_does_not_tell_is_no_sum():
    assert sampler(ipu(70), ipu(70, ipu_power="N/A")).sample([70]).power_w is None


def test_an_error_state_is_told():
    assert sampler(ipu(70, ipu_error_state="parity error")).sample([70]).slowed_by == ("parity error",)


def test_energy_is_the_integral_of_power():
    times = iter(range(100))
    one = GraphcoreSampler(lambda: [ipu(70)], source="gcipuinfo", clock=lambda: float(next(times)))
    one.sample([70])
    meter = one.energy_meter()
    meter.begin()
    meter.tick()
    meter.end()
    assert (meter.method, meter.source) == ("integral", "gcipuinfo")
    assert meter.energy_j() == pytest.approx(101.25 * meter.seconds)


def program(path: Path, text: str) -> Path:
    path.write_text(textwrap.dedent(text))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_gcipuinfo_is_asked_in_the_sdk_s_python(tmp_path, monkeypatch):
    """A gcipuinfo that answers in the recorded form: a list of str -> str."""
    (tmp_path / "gcipuinfo.py").write_text(
        "class gcipuinfo:\n"
        "    asked = 0\n"
        "    def setUpdateMode(self, on): assert on is True\n"
        "    def getDevices(self):\n"
        "        self.asked += 1\n"
        "        return [{'user process id': '70', 'ipu power': '%d.00W' % self.asked, 'clock': '1850MHz'}]\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    opened = open_graphcore(sys.executable)
    assert isinstance(opened, GraphcoreSampler)
    assert opened.source == "gcipuinfo"
    powers = [opened.sample([70]).power_w for _ in range(3)]
    assert powers == sorted(powers)
    assert len(set(powers)) == 3
    opened.close()
    opened.close()
    assert opened.sample([70]).ipus == 0


def test_without_gcipuinfo_gc_info_is_asked(tmp_path, monkeypatch):
    tool = program(
        tmp_path / "gc-info",
        f"""\
        #!/bin/sh
        if [ "$1" = -l ]; then cat <<'END'
        {textwrap.indent(LISTING, " " * 8).strip()}
        END
        else cat <<'END'
        {textwrap.indent(C600, " " * 8).strip()}
        END
        fi
        """,
    )
    opened = open_graphcore(sys.executable, tool=str(tool))
    assert isinstance(opened, GraphcoreSampler)
    assert opened.source == "gc-info"
    sample = opened.sample([1262065])
    assert (sample.ipus, sample.clock_mhz) == (2, 20.0)
    opened.close()


def test_without_either_it_says_why():
    found = open_graphcore("/no/such/python", tool="no-such-gc-info")
    assert isinstance(found, NoTelemetry)
    assert "there is no no-such-gc-info" in found.reason
    assert "Poplar SDK" in found.hint


@pytest.mark.parametrize(
    "body", ["import gcipuinfo", "print('not json')\nwhile True: pass", "import time; time.sleep(9)"]
)
def test_a_python_that_answers_nonsense_is_left_alone(tmp_path, monkeypatch, body):
    monkeypatch.setattr("harness.telemetry.graphcore._START_S", 0.5)
    python = program(tmp_path / "python", f"#!{sys.executable}\n{body}\n")
    assert isinstance(open_graphcore(str(python), tool="no-such-gc-info"), NoTelemetry)
