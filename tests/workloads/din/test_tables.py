"""All engines against a dense gradient and torch's own optimizers, repeated ids and padding and all."""

from __future__ import annotations

import pytest
import torch

from harness.api import OptimizerSpec, UsageError
from workloads.din.tables import initialize_tables, make_tables

ROWS = (4, 6, 3)


def _made(kind, name="sgd", seed=0):
    tables = make_tables(kind, ROWS, 2, OptimizerSpec(name=name, learning_rate=0.1, eps=1e-8))
    initialize_tables(tables, torch.Generator().manual_seed(seed))
    return tables


def _ids(*, wide=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(0, rows, (3,), generator=generator).int() for rows in ROWS]
    if not wide:
        return (*ids, *(torch.randint(0, rows, (5,), generator=generator).int() for rows in ROWS[1:]))
    past = [torch.randint(0, rows, (3, 4), generator=generator).int() for rows in ROWS[1:]]
    for each in past:
        each[0, 2:] = -1
        each[2] = -1
    return (*ids, *past)


def _train(tables, steps, *, wide=False):
    for step in range(steps):
        leaf = tables.lookup(_ids(wide=wide, seed=step))
        tables.apply(torch.randn(leaf.shape, generator=torch.Generator().manual_seed(step)), 0.1 / (step + 1))
    return tables


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_merged_tables_learn_as_torch_does(name, wide):
    merged, bags = (_train(_made(kind, name), 5, wide=wide) for kind in ("merged", "bags"))
    for key, value in bags.state_dict().items():
        torch.testing.assert_close(merged.state_dict()[key], value, atol=1e-6, rtol=1e-5)


def test_sparse_updates_equal_a_dense_gradient():
    merged, dense = (_train(_made(kind), 5, wide=True) for kind in ("merged", "dense"))
    for mine, theirs in zip(merged.weights(), dense.weights(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-6)


def test_the_leaf_is_users_targets_and_the_past():
    tables = _made("merged")
    users, items, categories, past_items, past_categories = ids = _ids()
    of_user, of_item, of_category = tables.weights()
    leaf = tables.lookup(ids)
    assert torch.equal(leaf[:3], of_user[users.long()])
    assert torch.equal(leaf[3:9].view(3, 4), torch.cat([of_item[items.long()], of_category[categories.long()]], 1))
    assert torch.equal(
        leaf[9:].view(5, 4), torch.cat([of_item[past_items.long()], of_category[past_categories.long()]], 1)
    )


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_padding_reads_zeros_and_teaches_no_row(name):
    tables = _made("merged", name)
    ids = list(_ids(wide=True))
    ids[3], ids[4] = torch.full((3, 4), -1), torch.full((3, 4), -1)
    before = {key: value.clone() for key, value in tables.state_dict().items()}
    leaf = tables.lookup(tuple(ids))
    assert not leaf[9:].any()
    gradient = torch.zeros_like(leaf)
    gradient[9:] = 1.0
    tables.apply(gradient, 0.1)
    for key, value in tables.state_dict().items():
        if key.endswith("weight"):
            assert torch.equal(value, before[key])
    assert not tables.lookup(tuple(ids))[9:].any()


@pytest.mark.parametrize("kind", ["merged", "bags"])
def test_several_lookups_make_one_update(kind):
    one, other = _made(kind, "adam"), _made(kind, "adam")
    parts = [_ids(seed=1), _ids(seed=2)]
    gradients = [torch.randn(19, 2, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    for ids in parts:
        one.lookup(ids)
    one.apply(torch.cat(gradients), 0.1)
    other.lookup(tuple(torch.cat(both) for both in zip(*parts, strict=True)))
    (a, b) = gradients
    joined = [torch.cat([a[low:high], b[low:high]]) for low, high in ((0, 3), (3, 9), (9, 19))]
    other.apply(torch.cat(joined), 0.1)
    for mine, theirs in zip(one.weights(), other.weights(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("source", ["merged", "bags"])
@pytest.mark.parametrize("target", ["merged", "bags"])
def test_a_state_goes_on_in_any_engine(source, target):
    whole = _train(_made(source, "adam"), 3)
    state = {key: value.clone() for key, value in whole.state_dict().items()}
    rest = _made(target, "adam", seed=9)
    rest.load_state_dict(state)
    for tables in (whole, rest):
        leaf = tables.lookup(_ids(seed=7))
        tables.apply(torch.ones_like(leaf), 0.05)
    for mine, theirs in zip(rest.weights(), whole.weights(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


def test_what_was_only_looked_at_is_forgotten():
    tables = _made("merged")
    tables.lookup(_ids())
    tables.forget()
    with pytest.raises(RuntimeError, match="without a lookup"):
        tables.apply(torch.zeros(1), 0.1)
    with torch.no_grad():
        tables.lookup(_ids())
    with pytest.raises(RuntimeError, match="without a lookup"):
        tables.apply(torch.zeros(1), 0.1)


def test_dense_gradients_under_adam_are_another_algorithm():
    with pytest.raises(UsageError, match="another algorithm"):
        _made("dense", "adam")


def test_tables_of_another_size_are_refused_by_name():
    state = _made("merged").state_dict()
    other = make_tables("merged", (4, 7, 3), 2, OptimizerSpec(name="sgd", learning_rate=0.1))
    with pytest.raises(UsageError, match=r"item\.weight is \(6, 2\), this model's is \(7, 2\)"):
        other.load_state_dict(state)
    with pytest.raises(UsageError, match=r"no table user\.weight"):
        other.load_state_dict({})
