"""What travels to the Poplar SDK's Python is of that age: syntax and library of 3.8, calls of torch 2.0, PopTorch's
operations."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from harness.api import Geometry, Schedule
from harness.devices.ipu import IpuDevice
from harness.devices.ipu_bundle import arrays
from harness.devices.ipu_bundle.steps import AnswerStep, TrainStep
from harness.devices.ipu_bundle.wire import Wire
from harness.devices.ipu_process import BUNDLE, gather_bundle
from harness.telemetry import gcipuinfo_lines
from tests.contract.executor_contract import SGD
from tests.contract.models import DENSE, SmallModel, make_batch, trained
from tests.devices.ipu_oracle import plain_loop, plain_network, portable_name
from tests.devices.ipu_pool import STANDINS
from tests.standins.supported_operations import SUPPORTED
from workloads.din import network as din

FILES = sorted(BUNDLE.glob("*.py"))
ALLOWED = {*sys.stdlib_module_names, "torch", "poptorch", "gcipuinfo"}
OLD_PYTHON = os.environ.get("RECBENCH_PYTHON38")


def travelling() -> list[Path]:
    top = Path(__file__).resolve().parents[2]
    found = [*FILES, *sorted((STANDINS / "poptorch").glob("*.py")), Path(gcipuinfo_lines.__file__)]
    return [*found, SmallModel().portable().files[0], top / "workloads/din/network.py"]


@pytest.mark.parametrize("path", travelling(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_its_syntax_is_that_of_python_3_8_and_it_imports_nothing_of_ours(path: Path):
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add((node.module or "").partition(".")[0])
    assert imported <= ALLOWED


def test_vermin_finds_nothing_newer_than_python_3_8():
    vermin = shutil.which("vermin", path=str(Path(sys.executable).parent)) or shutil.which("vermin")
    if vermin is None:
        pytest.skip("vermin is not installed: pip install -e '.[dev]'")
    done = subprocess.run(
        [vermin, "-q", "-t=3.8-", "--violations", "--no-tips", "--backport", "typing", *map(str, travelling())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture
def old_python() -> str:
    """A Python 3.8, with torch 2.0 or without."""
    places = [OLD_PYTHON, shutil.which("python3.8"), *map(str, Path.home().glob(".pyenv/versions/3.8*/bin/python"))]
    for python in filter(None, places):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip("no Python 3.8 is found: name one in RECBENCH_PYTHON38")


def test_it_compiles_under_a_real_python_3_8(old_python):
    program = "import sys\nfor name in sys.argv[1:]: compile(open(name).read(), name, 'exec')\nprint(sys.version[:4])"
    done = subprocess.run(
        [old_python, "-c", program, *map(str, travelling())], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3.8."


def test_it_trains_and_answers_under_a_real_python_3_8_with_torch_2_0(old_python, monkeypatch, tmp_path):
    """On the stand-in, whose own contract is tested there by tests/standins/test_poptorch.py."""
    asked = [old_python, "-c", "import torch; print(torch.__version__)"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    if not found.startswith("2.0"):
        pytest.skip("the Python 3.8 that is found has no torch 2.0: name one that has in RECBENCH_PYTHON38")
    monkeypatch.setenv("PYTHONPATH", str(STANDINS))
    monkeypatch.setenv("POPTORCH_CACHE_DIR", str(tmp_path))
    device = IpuDevice(python=old_python)
    device.open(threads=1, seed=0)
    assert device.describe()["python"].startswith("3.8.")
    geometry = Geometry(micro_batch=4, replicas=2, gradient_accumulation=2, device_iterations=3)
    model = SmallModel(normalise=True)
    network = plain_network(model)
    executor = device.executor(model, geometry, precision="fp32", compile="off", optimizer=SGD)
    executor.prepare(make_batch(48), make_batch(8), Schedule(learning_rate=0.5))
    for seed in range(3):
        executor.train_call(executor.stage(make_batch(48, seed=seed)))
        plain_loop(network, make_batch(48, seed=seed), geometry, 0.5)
    assert executor.drain().samples == 144
    ours = trained(executor, model)
    for name, tensor in network.named_parameters():
        torch.testing.assert_close(ours[portable_name(name)], tensor.detach(), rtol=1e-5, atol=1e-6)
    batch = make_batch(8)
    with torch.no_grad():
        expected = model.dense.eval()(*batch.inputs, model.tables.lookup(batch.ids))
    torch.testing.assert_close(executor.infer_call(executor.stage(batch), 8), expected, rtol=1e-5, atol=1e-6)
    executor.close()


def operations(module: torch.nn.Module, arguments: list[torch.Tensor], training: bool) -> set[str]:
    """The ATen operations of a module by PopTorch's way of looking: on tensors without values."""
    sys.path.insert(0, str(STANDINS))
    try:
        graph = importlib.import_module("poptorch.graph")
        return graph.record(module, arguments, training)[1]
    finally:
        sys.path.remove(str(STANDINS))
        for name in [name for name in sys.modules if name.partition(".")[0] == "poptorch"]:
            del sys.modules[name]


def marked(loss: torch.Tensor, reduction: str) -> torch.Tensor:
    return sys.modules["poptorch.graph"].identity_loss(loss, reduction)


def small() -> tuple[torch.nn.Module, list[torch.Tensor]]:
    portable = SmallModel(normalise=True).portable()
    return load(portable), [torch.randn(4, DENSE), torch.zeros(4, 2, dtype=torch.int32)]


def load(portable) -> torch.nn.Module:
    module_name, _, function = portable.factory.partition(":")
    folder = str(portable.files[0].parent)
    sys.path.insert(0, folder)
    try:
        return getattr(importlib.import_module(module_name), function)(dict(portable.arguments))
    finally:
        sys.path.remove(folder)
        sys.modules.pop(module_name, None)


def test_the_steps_use_only_operations_that_poptorch_has():
    network, features = small()
    rows = [torch.ones(4), torch.ones(4), torch.zeros(4)]
    used = operations(TrainStep(network.train(), marked), [*features, *rows], True)
    used |= operations(AnswerStep(network.eval()), [*features, rows[0]], False)
    assert used
    assert used <= SUPPORTED, f"not in PopTorch's list of supported operations: {sorted(used - SUPPORTED)}"


DIN_SHAPES = [
    {},
    {"form": "concat"},
    {"form": "split"},
    {"weights": "plain", "batch_norm": True, "dice": "batch", "scale": True},
    {"attention": "linear"},
    {"attention": "mean", "attention_size": 24},
]


@pytest.mark.parametrize("shape", DIN_SHAPES, ids=lambda one: "-".join(one) or "din")
def test_din_uses_only_operations_that_poptorch_has(shape):
    network = din.build({"shape": {**din.Shape()._asdict(), **shape}, "table_rows": [11, 12, 5], "max_seq_len": 7})
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    features = [torch.full((4,), 3, dtype=torch.int32)]
    features += [torch.ones(4, dtype=torch.int32) for _ in range(3)]
    features += [torch.ones(4, 7, dtype=torch.int32) for _ in range(2)]
    rows = [torch.ones(4), torch.ones(4), torch.zeros(4)]
    used = operations(TrainStep(network.train(), marked), [*features, *rows], True)
    used |= operations(AnswerStep(network.eval()), [*features, rows[0]], False)
    assert used <= SUPPORTED, f"not in PopTorch's list of supported operations: {sorted(used - SUPPORTED)}"


def test_the_bundle_is_a_package_on_its_own(tmp_path):
    gather_bundle(tmp_path)
    program = (
        "import sys; sys.path[0] = sys.argv[1]\n"
        "import ipu_bundle.serve, ipu_bundle.steps, ipu_bundle.facts\n"
        "print(sorted(name for name in sys.modules if name.startswith(('harness', 'workloads', 'numpy.'))) [:3])\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "harness" not in done.stdout


def test_tensors_in_shared_memory_are_one_memory():
    layout, size = arrays.lay_out(
        [("a", "float32", [3, 2]), ("b", "int64", []), ("c", "bool", [5]), ("d", "int32", [0])]
    )
    assert [item["offset"] % 64 for item in layout] == [0] * 4
    fd = os.memfd_create("test")
    os.ftruncate(fd, size)
    ours = arrays.map_file(f"/proc/self/fd/{fd}", layout, size)
    theirs = arrays.map_file(f"/proc/{os.getpid()}/fd/{fd}", layout, size)
    os.close(fd)
    ours["a"][1, 1] = 7.0
    ours["b"].fill_(2**40)
    ours["c"][4] = True
    assert theirs["a"].tolist() == [[0, 0], [0, 7.0], [0, 0]]
    assert int(theirs["b"]) == 2**40
    assert theirs["c"].tolist() == [False] * 4 + [True]
    assert theirs["d"].shape == (0,)


def test_messages_pass_whole_and_in_order_however_they_are_cut():
    ours, theirs = socket.socketpair()
    sender, receiver = Wire(ours), Wire(theirs)
    assert receiver.receive(0.0) is None
    body = {"text": "é" * 100_000, "number": 1.5, "nothing": None}
    thread = threading.Thread(target=lambda: [sender.send(**body, index=index) for index in range(5)])
    thread.start()
    for index in range(5):
        assert receiver.receive(5.0) == {**body, "index": index}
    thread.join()
    ours.sendall(b"half a mess")
    assert receiver.receive(0.01) is None
    ours.sendall(b"age\n")
    with pytest.raises(ValueError, match="half a message"):
        receiver.receive(1.0)
    sender.close()
    with pytest.raises(EOFError):
        receiver.receive(1.0)
    receiver.close()


def test_every_request_of_the_executor_is_one_that_the_process_knows():
    from harness.devices import ipu_executor
    from harness.devices.ipu_bundle import serve

    asked = {
        node.args[0].value
        for node in ast.walk(ast.parse(inspect.getsource(ipu_executor)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "post"
    }
    known = {name for name in vars(serve.Server) if not name.startswith("_")}
    assert asked <= known
    assert asked >= known - {"serve", "close"}
