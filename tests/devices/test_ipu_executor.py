"""The executor of the IPU keeps the contract, on the stand-in for PopTorch and, where it is found, on PopTorch."""

from __future__ import annotations

import gc
import os
import signal
import sys

import pytest
import torch

from harness.api import Device, Geometry, HostBatch, OptimizerSpec, Portable, RunFailed, Schedule, UsageError
from harness.devices.ipu import IpuDevice
from harness.devices.ipu_bundle.steps import row_weights
from harness.devices.ipu_executor import CALLS_AHEAD, IpuExecutor, IpuOptions, portable_of
from tests.contract.device_contract import DeviceContract
from tests.contract.executor_contract import GEOMETRY, RATE, SGD, ExecutorContract
from tests.contract.models import DENSE, SmallModel, make_batch, trained
from tests.devices.ipu_oracle import plain_loop, plain_network, portable_name
from tests.devices.ipu_pool import NO_REAL, REAL, PooledIpu, close_all, end_all, start

PLAIN = Schedule(learning_rate=0.5)
PLACES = ["stand-in", pytest.param("real", marks=[pytest.mark.ipu, pytest.mark.skipif(REAL is None, reason=NO_REAL)])]


@pytest.fixture(autouse=True, scope="module")
def processes():
    yield
    end_all()


@pytest.fixture(autouse=True)
def executors(tmp_path, monkeypatch):
    monkeypatch.setenv("POPTORCH_CACHE_DIR", str(tmp_path / "executables"))
    yield
    close_all()


class TestIpuExecutor(ExecutorContract):
    def make_device(self) -> Device:
        return PooledIpu()


@pytest.mark.ipu
@pytest.mark.skipif(REAL is None, reason=NO_REAL)
class TestRealIpuExecutor(ExecutorContract):
    exact = False

    def make_device(self) -> Device:
        return PooledIpu("real")


class TestOpenedIpu(DeviceContract):
    place = "harness.devices.ipu:IpuDevice"

    def make(self) -> Device:
        return PooledIpu()


def make(model, geometry=GEOMETRY, *, schedule=PLAIN, place="stand-in", evaluate=None) -> IpuExecutor:
    device = PooledIpu(place)
    device.open(threads=1, seed=0)
    executor = device.executor(model, geometry, precision="fp32", compile="off", optimizer=SGD)
    example = make_batch(2 * geometry.micro_batch) if evaluate is None else evaluate
    executor.prepare(make_batch(geometry.call_samples), example, schedule)
    return executor


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "shape", [(4, 1, 1, 1), (4, 2, 1, 4), (8, 1, 4, 2), (4, 2, 2, 3), (2, 4, 2, 2)], ids=lambda s: "x".join(map(str, s))
)
def test_weights_after_some_calls_are_those_of_a_plain_loop(shape, place):
    """Bit for bit on the stand-in, for the same order of micro-batches; normalisation makes that order matter."""
    micro, replicas, accumulation, iterations = shape
    geometry = Geometry(
        micro_batch=micro, replicas=replicas, gradient_accumulation=accumulation, device_iterations=iterations
    )
    model = SmallModel(normalise=True)
    network = plain_network(model)
    executor = make(model, geometry, place=place)
    for call in range(3):
        batch = make_batch(geometry.call_samples, seed=call)
        executor.train_call(executor.stage(batch))
        plain_loop(network, batch, geometry, 0.5)
    ours = trained(executor, model)
    for name, tensor in network.named_parameters():
        found = ours[portable_name(name)]
        if place == "stand-in":
            assert torch.equal(found, tensor.detach()), name
        else:
            torch.testing.assert_close(found, tensor.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [0, 1, 15, 16, 17, 47, 48])
def test_the_weights_of_rows_give_the_mean_over_the_valid_rows_of_each_update(rows: int):
    geometry = {"micro_batch": 4, "replicas": 2, "gradient_accumulation": 2, "device_iterations": 3}
    valid, weight, rate = row_weights(rows, geometry, [0.5])
    assert rate == 0.5
    assert valid.tolist() == [1.0] * rows + [0.0] * (48 - rows)
    for first in range(0, 48, 16):
        there = min(max(rows - first, 0), 16)
        assert torch.allclose(weight[first : first + there], torch.tensor(4.0 / max(there, 1)))
        assert not weight[first + there : first + 16].any()


def test_a_rate_that_changes_within_a_call_is_a_part_of_the_weights():
    geometry = {"micro_batch": 2, "replicas": 1, "gradient_accumulation": 1, "device_iterations": 3}
    _, weight, rate = row_weights(6, geometry, [0.5, 0.25, 1.0])
    assert rate == 1.0
    assert weight.tolist() == [0.25, 0.25, 0.125, 0.125, 0.5, 0.5]


def test_a_rate_of_nothing_moves_nothing():
    model = SmallModel()
    before = trained_weights(model)
    executor = make(model, schedule=Schedule(learning_rate=0.0))
    executor.train_call(executor.stage(make_batch(GEOMETRY.call_samples)))
    assert executor.drain().updates == 3
    assert all(torch.equal(before[name], tensor) for name, tensor in trained(executor, model).items())


def trained_weights(model):
    return {name: tensor.clone() for name, tensor in {**model.dense.state_dict(), **model.tables.state_dict()}.items()}


def test_one_set_of_ipus_serves_training_and_inference():
    """With two IPUs in all, two replicas of both programs do not fit side by side."""
    process = start(POPTORCH_STANDIN_IPUS="2")
    model = SmallModel()
    executor = IpuExecutor(model, GEOMETRY, process, IpuOptions(threads=1), optimizer=SGD)
    executor.prepare(make_batch(48), make_batch(8), PLAIN)
    answers = []
    for call in range(2):
        executor.train_call(executor.stage(make_batch(48, seed=call)))
        answers.append(executor.infer_call(executor.stage(make_batch(8)), 8))
        executor.state_dict()
        with torch.no_grad():
            batch = make_batch(8)
            expected = model.dense.eval()(*batch.inputs, model.tables.lookup(batch.ids))
        torch.testing.assert_close(answers[-1], expected, rtol=1e-5, atol=1e-6)
    assert not torch.equal(*answers)
    executor.close()


@pytest.mark.parametrize("size", [3, 8, 13])
def test_inference_pads_to_whole_micro_batches_and_gives_the_valid_rows(size: int):
    model = SmallModel()
    executor = make(model, evaluate=make_batch(size))
    batch = make_batch(size, seed=4)
    with torch.no_grad():
        expected = model.dense.eval()(*batch.inputs, model.tables.lookup(batch.ids))
    torch.testing.assert_close(executor.infer_call(executor.stage(batch), size), expected, rtol=1e-5, atol=1e-6)


def test_a_new_shape_is_refused_before_poptorch_sees_it():
    executor = make(SmallModel())
    batch = make_batch(48)
    wider = HostBatch(inputs=(torch.zeros(48, DENSE + 1),), ids=batch.ids, labels=batch.labels, rows=48)
    with pytest.raises(UsageError, match=r"static shapes: input 0 is torch.float32 \[4\] a sample here, and was"):
        executor.stage(wider)
    more = HostBatch(inputs=(*batch.inputs, batch.inputs[0]), ids=batch.ids, labels=batch.labels, rows=48)
    with pytest.raises(UsageError, match="static shapes"):
        executor.stage(more)
    flat = HostBatch(inputs=batch.inputs, ids=batch.ids, labels=batch.labels, rows=48, flat=(torch.zeros(9).long(),))
    with pytest.raises(UsageError, match="flat ids"):
        executor.stage(flat)


@pytest.mark.parametrize("wrong", [2**31, 2**40, -1])
def test_ids_that_int32_does_not_hold_are_refused(wrong: int):
    executor = make(SmallModel())
    batch = make_batch(48)
    batch.ids[0][5, 1] = wrong
    with pytest.raises(UsageError, match=f"ids 0 has the id {wrong}, and on the IPU ids are int32"):
        executor.stage(batch)


def test_ids_in_the_padding_are_nobody_s_business():
    executor = make(SmallModel())
    batch = make_batch(48, 10)
    batch.ids[0][11, 0] = 2**40
    executor.train_call(executor.stage(batch))
    assert executor.drain().samples == 10


def test_types_that_the_ipu_lacks_are_refused():
    executor = make(SmallModel())
    batch = make_batch(48)
    complex_batch = HostBatch(inputs=(batch.inputs[0].to(torch.complex64),), ids=batch.ids, labels=None, rows=48)
    with pytest.raises(UsageError, match=r"input 0 is torch.complex64, and the IPU takes float32, int32 and bool"):
        executor.stage(complex_batch)


def test_a_model_without_a_portable_form_is_refused_in_one_sentence():
    class Own:
        dense = None
        tables = None

        def loss(self, logits, labels):
            return None

    with pytest.raises(UsageError, match="this workload's model has no portable form"):
        portable_of(Own())
    assert isinstance(portable_of(SmallModel()), Portable)


def test_a_model_with_another_loss_is_refused():
    class Squared(SmallModel):
        def loss(self, logits, labels):
            return ((logits - labels) ** 2).mean()

    device = PooledIpu()
    device.open(threads=1, seed=0)
    with pytest.raises(UsageError, match="this model has another loss"):
        device.executor(Squared(), GEOMETRY, precision="fp32", compile="off", optimizer=SGD)
    device.release_unused()


def test_an_optimizer_and_a_precision_that_poptorch_lacks_are_refused():
    device = PooledIpu()
    device.open(threads=1, seed=0)
    for name, value in (("optimizer", "adagrad"), ("precision", "bf16")):
        with pytest.raises(UsageError, match=f"{name} = '{value}' is not offered on ipu"):
            device.executor(
                SmallModel(),
                GEOMETRY,
                precision=value if name == "precision" else "fp32",
                compile="off",
                optimizer=OptimizerSpec(name=value if name == "optimizer" else "sgd", learning_rate=0.1),
            )
    device.release_unused()


def test_a_portable_model_that_is_not_this_model_is_refused():
    class Other(SmallModel):
        def portable(self):
            whole = super().portable()
            return Portable(files=whole.files, factory=whole.factory, arguments={**whole.arguments, "rows": 12})

    device = PooledIpu()
    device.open(threads=1, seed=0)
    with pytest.raises(RunFailed, match=r"tables.table_0.weight is torch.float32 \[12, 4\] here and"):
        device.executor(Other(), GEOMETRY, precision="fp32", compile="off", optimizer=SGD)


def test_two_files_of_one_name_do_not_fit_into_the_bundle():
    process = start()
    file = SmallModel().portable().files[0]
    with pytest.raises(UsageError, match=r"two of the model's files are called portable_small.py"):
        process.add_model([file, file])
    process.end()


def test_staged_batches_that_nobody_holds_are_given_back():
    executor = make(SmallModel())
    for number in range(80):
        executor.train_call(executor.stage(make_batch(48, seed=number)))
    executor.drain()
    gc.collect()
    assert executor.drain().samples == 0
    open_files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for number in range(20):
        executor.stage(make_batch(48, seed=number))
    executor.train_call(executor.stage(make_batch(48)))
    executor.drain()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= open_files + 1  # noqa: PTH208


def test_calls_are_asked_ahead_but_not_without_end_and_events_tell_their_ends():
    executor = make(SmallModel())
    staged = executor.stage(make_batch(48))
    first = executor.record_event()
    for _ in range(20):
        executor.train_call(staged)
        assert executor.asked - executor.done <= CALLS_AHEAD
    last = executor.record_event()
    executor.wait()
    assert executor.done == 20
    assert first.ready() and last.ready()
    assert last.seconds_since(first) > 0.0
    assert executor.record_event().seconds_since(last) >= 0.0


def test_the_device_hears_progress_and_counters():
    class Context:
        facts: dict[str, float] = {}  # noqa: RUF012
        shares: list[float] = []  # noqa: RUF012

        def engine(self, **facts):
            self.facts.update(facts)

        def progress(self, done, total, unit):
            self.shares.append(done)

    context = Context()
    device = PooledIpu()
    device.open(threads=1, seed=0)
    device.report_to(context)
    executor = device.executor(SmallModel(), GEOMETRY, precision="fp32", compile="off", optimizer=SGD)
    executor.prepare(make_batch(48), None, PLAIN)
    executor.train_call(executor.stage(make_batch(48)))
    executor.drain()
    assert set(context.facts) == {"ipu_latency_s", "ipu_host_to_ipu_s", "ipu_compute_s", "ipu_ipu_to_host_s"}
    assert all(seconds >= 0.0 for seconds in context.facts.values())
    assert {"compile_train_s"} <= executor.resolved().keys()


def test_executables_are_kept_where_poptorch_keeps_them(tmp_path):
    make(SmallModel())
    assert len(list((tmp_path / "executables").glob("*.popef"))) == 2


def prepared_to_fail(failure: str) -> IpuExecutor:
    process = start(POPTORCH_STANDIN_FAIL=failure)
    executor = IpuExecutor(SmallModel(), GEOMETRY, process, IpuOptions(threads=1), optimizer=SGD)
    executor.prepare(make_batch(48), make_batch(8), PLAIN)
    return executor


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (
            "recoverable@2",
            r"poptorch\.\S*RecoverableError: In unknown file: The IPU has raised a runtime error: tile exception\n"
            r"TEXCPT_TILE 12 \(recovery action: IPU_RESET\)",
        ),
        ("abort@2", r"was killed by SIGABRT; it last said: .*terminate called after throwing"),
    ],
)
def test_what_poptorch_says_when_it_fails_is_the_reason_of_the_run(failure: str, said: str):
    executor = prepared_to_fail(failure)
    staged = executor.stage(make_batch(48))
    with pytest.raises(RunFailed, match=said) as told:
        for _ in range(10):
            executor.train_call(staged)
        executor.drain()
    if failure.startswith("recoverable"):
        assert "IPU_RESET" in told.value.hint
        assert "location: executable.run" in told.value.details
    executor.close()


def test_a_compiler_that_runs_out_of_memory_says_so():
    with pytest.raises(RunFailed, match="Out of memory on tile 7"):
        prepared_to_fail("error@compile")


def test_a_killed_process_is_told_at_the_next_call():
    process = start()
    executor = IpuExecutor(SmallModel(), GEOMETRY, process, IpuOptions(threads=1), optimizer=SGD)
    executor.prepare(make_batch(48), None, PLAIN)
    staged = executor.stage(make_batch(48))
    executor.train_call(staged)
    executor.drain()
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(RunFailed, match="was killed by SIGKILL"):
        for _ in range(10):
            executor.train_call(staged)
        executor.drain()
    executor.close()


FAKE = """#!{python}
import json, os, sys, time
fd = int(sys.argv[sys.argv.index("--channel") + 1])
os.write(fd, json.dumps({{"say": "hello", "facts": {{"poptorch": "3.4.0", "stand_in": True}}}}).encode() + b"\\n")
{act}
"""


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (
            'os.write(fd, b"Segmentation fault (core dumped)\\n"); time.sleep(0.2)',
            "said what is no answer: 'Segmentation",
        ),
        ('os.write(fd, b"[1, 2]\\n"); time.sleep(0.2)', "said what is no answer"),
        ('os.write(fd, b"{}\\n"); time.sleep(0.2)', "said what is no answer"),
        ('os.write(fd, b\'{"say": "compile"}\\n\'); time.sleep(0.2)', "'compile' where 'build' was due"),
        ("os.close(fd); time.sleep(3)", "closed its channel without a word"),
        (
            'print("libpoplar.so: undefined symbol"); sys.exit(4)',
            "exit status 4; it last said: libpoplar.so: undefined",
        ),
    ],
)
def test_a_process_that_says_nonsense_is_not_trusted(tmp_path, act: str, said: str):
    python = tmp_path / "python"
    python.write_text(FAKE.format(python=sys.executable, act=act))
    python.chmod(0o755)
    device = IpuDevice(python=str(python))
    device.open(threads=1, seed=0)
    assert device.device_kind == "stand-in"
    with pytest.raises(RunFailed, match=said):
        device.executor(SmallModel(), GEOMETRY, precision="fp32", compile="off", optimizer=SGD)
    gc.collect()


def test_the_random_numbers_of_dropout_go_on_from_a_checkpoint_of_the_host_too():
    """A checkpoint made on a host has no state of the IPU's random numbers; training goes on all the same."""
    model = SmallModel(dropout=0.3)
    executor = make(model, schedule=RATE)
    state = {**executor.state_dict(), "rng": {"cpu": torch.get_rng_state()}}
    executor.load_state_dict(state)
    executor.train_call(executor.stage(make_batch(48)))
    assert executor.drain().updates == 3
