"""Both table engines against a dense gradient and torch's own optimizers, repeated ids and all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.api import OptimizerSpec
from harness.errors import UsageError
from workloads.dlrm.tables import BagTables, MergedTables, initialize_tables, make_tables

ROWS = (5, 1, 30, 3)
WIDTH = 4
KINDS = ("merged", "bags")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _spec(name: str, initial: float = 0.0) -> OptimizerSpec:
    return OptimizerSpec(name=name, learning_rate=0.1, initial_accumulator=initial)


def _made(kind: str, optimizer: OptimizerSpec, seed: int = 0):
    tables = make_tables(kind, ROWS, WIDTH, optimizer)
    initialize_tables(tables, torch.Generator().manual_seed(seed))
    return tables


class DenseOracle:
    """The same tables as plain parameters, trained by torch.optim on dense gradients."""

    def __init__(self, state, optimizer: OptimizerSpec) -> None:
        self.weights = [nn.Parameter(state[f"emb_l.{table}.weight"].clone()) for table in range(len(ROWS))]
        make = torch.optim.SGD if optimizer.name == "sgd" else torch.optim.Adagrad
        more = {"eps": optimizer.eps, "initial_accumulator_value": optimizer.initial_accumulator}
        self.optimizer = make(self.weights, lr=0.0, **(more if optimizer.name == "adagrad" else {}))

    def step(self, ids, grad, learning_rate):
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.zero_grad()
        gathered = torch.stack([weight[ids[:, table].long()] for table, weight in enumerate(self.weights)], 1)
        gathered.backward(grad)
        self.optimizer.step()
        return gathered.detach()


def _batches(seed: int, count: int, batch: int = 16):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        ids = torch.stack([torch.randint(0, rows, (batch,), generator=generator) for rows in ROWS], 1).int()
        yield ids, torch.randn(batch, len(ROWS), WIDTH, generator=generator)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "initial"), [("sgd", 0.0), ("adagrad", 0.0), ("adagrad", 0.5)])
def test_updates_equal_the_dense_gradient_with_repeated_ids(kind, name, initial):
    optimizer = _spec(name, initial)
    tables = _made(kind, optimizer)
    oracle = DenseOracle(tables.state_dict(), optimizer)
    for step, (ids, grad) in enumerate(_batches(1, 6)):
        leaf = tables.lookup((ids,))
        torch.testing.assert_close(leaf.detach(), oracle.step(ids, grad, 0.1 / (step + 1)), rtol=0, atol=1e-6)
        assert leaf.requires_grad and leaf.is_leaf
        tables.apply(grad, 0.1 / (step + 1))
    for weight, expected in zip(tables.weights(), oracle.weights, strict=True):
        torch.testing.assert_close(weight, expected.detach(), rtol=0, atol=1e-6)


def test_sgd_without_repeated_ids_equals_the_dense_gradient_bit_by_bit():
    tables = _made("merged", _spec("sgd"))
    oracle = DenseOracle(tables.state_dict(), _spec("sgd"))
    ids = torch.tensor([[0, 0, 7, 2]], dtype=torch.int32)
    grad = torch.randn(1, len(ROWS), WIDTH, generator=torch.Generator().manual_seed(2))
    tables.lookup((ids,))
    tables.apply(grad, 0.125)
    oracle.step(ids, grad, 0.125)
    for weight, expected in zip(tables.weights(), oracle.weights, strict=True):
        assert torch.equal(weight, expected.detach())


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(*(st.integers(0, rows - 1) for rows in ROWS)), min_size=1, max_size=12),
    st.sampled_from(["sgd", "adagrad"]),
)
def test_engines_agree_on_any_ids(ids, name):
    merged, bags = _made("merged", _spec(name)), _made("bags", _spec(name))
    batch = torch.tensor(ids, dtype=torch.int32)
    grad = torch.randn(len(ids), len(ROWS), WIDTH, generator=torch.Generator().manual_seed(len(ids)))
    assert torch.equal(merged.lookup((batch,)).detach(), bags.lookup((batch,)).detach())
    for tables in (merged, bags):
        tables.apply(grad, 0.1)
        tables.lookup((batch,))
        tables.apply(-grad, 0.05)
    for key, value in merged.state_dict().items():
        torch.testing.assert_close(bags.state_dict()[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_only_the_rows_looked_up_change(kind, name):
    tables = _made(kind, _spec(name))
    before = {key: value.clone() for key, value in tables.state_dict().items()}
    ids = torch.tensor([[1, 0, 7, 2], [1, 0, 9, 2]], dtype=torch.int32)
    tables.lookup((ids,))
    tables.apply(torch.ones(2, len(ROWS), WIDTH), 0.1)
    changed = []
    for table, weight in enumerate(tables.weights()):
        moved = (weight != before[f"emb_l.{table}.weight"]).any(1)
        changed.append(torch.nonzero(moved).flatten().tolist())
    assert changed == [[1], [0], [7, 9], [2]]


@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_runs_repeat_bit_by_bit_with_any_number_of_threads(name):
    states = []
    for threads in (1, 1, 2):
        torch.set_num_threads(threads)
        tables = _made("merged", _spec(name))
        for ids, grad in _batches(3, 5, batch=2000):
            tables.lookup((ids,))
            tables.apply(grad, 0.1)
        states.append(tables.state_dict())
    for other in states[1:]:
        assert all(torch.equal(value, other[key]) for key, value in states[0].items())


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_any_engine_loads_any_others_state_and_goes_on_alike(source, target):
    first = _made(source, _spec("adagrad"))
    batches = list(_batches(4, 4))
    for ids, grad in batches[:2]:
        first.lookup((ids,))
        first.apply(grad, 0.1)
    second = _made(target, _spec("adagrad"), seed=9)
    second.load_state_dict({key: value.clone() for key, value in first.state_dict().items()})
    for tables in (first, second):
        for ids, grad in batches[2:]:
            tables.lookup((ids,))
            tables.apply(grad, 0.1)
    assert set(first.state_dict()) == set(second.state_dict())
    for key, value in first.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(second.state_dict()[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_alone_start_the_sums_anew(kind):
    plain = _made("merged", _spec("sgd"))
    tables = _made(kind, _spec("adagrad", 0.25), seed=5)
    tables.lookup((torch.zeros(1, len(ROWS), dtype=torch.int32),))
    tables.apply(torch.ones(1, len(ROWS), WIDTH), 0.1)
    tables.load_state_dict(plain.state_dict())
    assert all(bool((total == 0.25).all()) for total in tables.sums())
    assert all(torch.equal(one, other) for one, other in zip(tables.weights(), plain.weights(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_engines_start_from_the_same_weights_within_the_reference_bounds(kind):
    tables, reference = _made(kind, _spec("sgd"), seed=7), _made("merged", _spec("sgd"), seed=7)
    for weight, same, rows in zip(tables.weights(), reference.weights(), ROWS, strict=True):
        assert torch.equal(weight, same)
        assert float(weight.abs().max()) <= rows**-0.5


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_another_shape_is_refused_before_anything_is_written(kind):
    tables = _made(kind, _spec("sgd"))
    before = {key: value.clone() for key, value in tables.state_dict().items()}
    other = make_tables("merged", (*ROWS[:-1], ROWS[-1] + 1), WIDTH, _spec("sgd"))
    initialize_tables(other, torch.Generator().manual_seed(1))
    with pytest.raises(UsageError, match=r"emb_l\.3\.weight is \(4, 4\), this model's is \(3, 4\)"):
        tables.load_state_dict(other.state_dict())
    with pytest.raises(UsageError, match=r"has no emb_l\.0\.weight"):
        tables.load_state_dict({})
    assert all(torch.equal(tables.state_dict()[key], before[key]) for key in before)


@pytest.mark.parametrize("kind", KINDS)
def test_lookup_without_gradients_leaves_nothing_to_apply(kind):
    tables = _made(kind, _spec("sgd"))
    with torch.no_grad():
        rows = tables.lookup((torch.zeros(2, len(ROWS), dtype=torch.int32),))
    assert not rows.requires_grad
    with pytest.raises(RuntimeError, match="without a lookup"):
        tables.apply(torch.ones(2, len(ROWS), WIDTH), 0.1)


def test_an_optimizer_without_a_row_wise_form_is_refused():
    with pytest.raises(UsageError, match="not 'adam'"):
        make_tables("merged", ROWS, WIDTH, _spec("adam"))


def test_engines_are_the_two_promised():
    assert isinstance(_made("merged", _spec("sgd")), MergedTables)
    assert isinstance(_made("bags", _spec("sgd")), BagTables)
