"""The network against an independent reference, its masking, and what a vendor's older Python needs of its file."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.workloads.din import oracle
from tests.workloads.din.models import LENGTHS, leaf_of, padded, small
from workloads.din import network
from workloads.din.network import BatchNorm, Dice, Shape, build
from workloads.din.sizes import dense_parameters, table_parameters

BOOKS = (543_060, 367_983, 1_601)


def _numpy(dense):
    unit = [tuple(each.detach().numpy() for each in dense.unit.matrix(i)) for i in range(len(dense.unit.layers))]
    fc = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in dense.fc]
    alphas = [dice.alpha.detach().numpy() for dice in dense.dice]
    last = dense.last.weight.detach().numpy(), dense.last.bias.detach().numpy()
    return unit, fc, alphas, last


def test_parameters_at_the_vocabularies_of_books_are_those_of_the_original():
    made = build({"shape": {}, "table_rows": BOOKS, "max_seq_len": 100})
    assert sum(parameter.numel() for parameter in made.parameters()) == 16_491_595
    assert dense_parameters(Shape()) + table_parameters(Shape(), BOOKS) == 16_491_595
    unit = sum(parameter.numel() for parameter in made.dense.unit.parameters())
    assert unit == 14_881


@pytest.mark.parametrize(
    "changes",
    [{"attention": "linear"}, {"attention": "mean"}, {"batch_norm": True}, {"attention_size": 9}, {"fc_layers": (5,)}],
)
def test_counted_parameters_are_those_that_are_made(changes):
    dense = small(**changes)
    assert dense_parameters(dense.shape) == sum(parameter.numel() for parameter in dense.parameters())


def test_the_linear_attention_of_the_original_has_145_parameters():
    made = build({"shape": {"attention": "linear"}, "table_rows": [2, 2, 2], "max_seq_len": 4})
    assert sum(parameter.numel() for parameter in made.dense.unit.parameters()) == 145


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("form", ["concat", "split", "merged"])
def test_logits_are_those_of_the_reference(softmax, scale, form):
    dense = small("padded", weights="softmax" if softmax else "plain", scale=scale, form=form)
    lengths, leaf = leaf_of()
    unit, fc, alphas, last = _numpy(dense)
    user, target, past = (each.numpy() for each in _parts(leaf, len(lengths)))
    ends = np.cumsum(LENGTHS)
    pooled = [
        oracle.pool(target[i], past[end - length : end], unit, softmax=softmax, scale=scale)
        for i, (end, length) in enumerate(zip(ends, LENGTHS, strict=True))
    ]
    total, interest = (np.stack(each) for each in zip(*pooled, strict=True))
    inputs = lengths, padded(lengths, leaf, 7)
    running = [(d.statistics.mean.numpy().copy(), d.statistics.variance.numpy().copy()) for d in dense.dice]
    with torch.no_grad():
        trained = dense.train()(*inputs).numpy()
    expected = oracle.logits(user, target, total, interest, fc, alphas, last)
    np.testing.assert_allclose(trained, expected, atol=1e-6, rtol=0)
    moved = [(d.statistics.mean.numpy(), d.statistics.variance.numpy()) for d in dense.dice]
    with torch.no_grad():
        asked = dense.eval()(*inputs).numpy()
    expected = oracle.logits(user, target, total, interest, fc, alphas, last, statistics=moved)
    np.testing.assert_allclose(asked, expected, atol=1e-6, rtol=0)
    first = np.concatenate([user, target, total, target * total, interest], 1) @ fc[0][0].T + fc[0][1]
    np.testing.assert_allclose(moved[0][0], running[0][0] * 0.99 + 0.01 * first.mean(0), atol=1e-9)
    np.testing.assert_allclose(moved[0][1], running[0][1] * 0.99 + 0.01 * first.var(0), atol=1e-9)


def test_float32_differs_from_the_reference_by_rounding_alone():
    lengths, leaf = leaf_of()
    exact = small("padded").eval()(lengths, padded(lengths, leaf, 7))
    single = small("padded").float().eval()(lengths, padded(lengths, leaf, 7).float())
    assert (exact - single).abs().max() < 1e-5


@pytest.mark.parametrize("layer", [Dice, BatchNorm])
@pytest.mark.parametrize("running", [True, False])
def test_statistics_see_no_row_that_does_not_count(layer, running):
    torch.manual_seed(0)
    real, noise = torch.randn(5, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    one, other = layer(4, running).double(), layer(4, running).double()
    valid = torch.tensor([1.0, 1, 1, 1, 1, 0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(one(torch.cat([real, noise]), valid)[:5], other(real))
    for mine, theirs in zip(one.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_batch_of_padding_alone_moves_no_statistics():
    dice = Dice(4, True)
    dice(torch.randn(3, 4), torch.zeros(3))
    assert torch.equal(dice.statistics.mean, torch.zeros(4))
    assert torch.equal(dice.statistics.variance, torch.ones(4))


@pytest.mark.parametrize("changes", [{}, {"weights": "plain"}, {"attention": "mean"}, {"attention": "linear"}])
@pytest.mark.parametrize("form", ["concat", "split", "merged"])
def test_what_stands_in_the_padding_changes_nothing(changes, form):
    lengths, leaf = leaf_of()
    dense = small("padded", longest=12, form=form, **changes).eval()
    asked = dense(lengths, padded(lengths, leaf, 7))
    assert torch.equal(dense(lengths, padded(lengths, leaf, 7, filler=3.5)), asked)
    torch.testing.assert_close(dense(lengths, padded(lengths, leaf, 12, filler=-2.0)), asked, atol=1e-12, rtol=0)


def test_a_sample_without_a_past_has_no_interest():
    lengths = torch.zeros(2, dtype=torch.int32)
    dense = small("padded")
    past = torch.randn(2, 7, 6, dtype=torch.float64)
    mask = torch.zeros(2, 7, dtype=torch.float64)
    assert not dense.weights(lengths, mask, torch.randn(2, 6, dtype=torch.float64), past).any()


@pytest.mark.parametrize("changes", [{}, {"weights": "plain", "scale": True}, {"batch_norm": True, "dice": "batch"}])
def test_gradients_are_those_of_finite_differences(changes):
    lengths, leaf = leaf_of((2, 0, 3))
    dense = small("padded", **changes)
    dense.train()
    for module in dense.modules():
        if isinstance(module, network.BatchStatistics):
            module.running = False  # buffers that move would make every evaluation another function
    wide = padded(lengths, leaf, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda each: dense(lengths, each), (wide,))


def test_the_whole_network_equals_the_dense_part_behind_its_tables():
    shape = {"embedding_dim": 3, "attention_size": 6, "attention_layers": [7, 5], "fc_layers": [8, 4], "scale": True}
    made = build({"shape": shape, "table_rows": [5, 9, 4], "max_seq_len": 7}).double()
    dense = small("padded", scale=True)
    made.dense.load_state_dict(dense.state_dict())
    generator = torch.Generator().manual_seed(3)
    for table in made.tables.values():
        torch.nn.init.normal_(table.weight, generator=generator)
    lengths = torch.tensor(LENGTHS, dtype=torch.int32)
    user, item, category = (torch.randint(0, rows, (5,), generator=generator).int() for rows in (5, 9, 4))
    items, categories = (torch.randint(0, rows, (5, 7), generator=generator).int() for rows in (9, 4))
    of_user, of_item, of_category = (made.tables[name].weight for name in network.TABLES)
    leaf = torch.cat(
        [
            of_user[user.long()],
            torch.stack([of_item[item.long()], of_category[category.long()]], 1).view(-1, 3),
            torch.stack([of_item[items.long()], of_category[categories.long()]], 2).view(-1, 3),
        ]
    )
    whole = made.eval()(lengths, user, item, category, items, categories, torch.ones(5))
    torch.testing.assert_close(whole, dense.eval()(lengths, leaf))
    names = set(made.state_dict())
    assert {f"tables.{name}.weight" for name in network.TABLES} <= names
    assert {f"dense.{name}" for name in dense.state_dict()} <= names


def test_the_network_file_is_for_python_3_8_and_imports_torch_alone():
    tree = ast.parse(Path(network.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
    named = {
        (alias.name if isinstance(node, ast.Import) else node.module).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert named - set(sys.stdlib_module_names) == {"torch"}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"aiter", "anext"}
    assert not [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords if k.arg == "strict"
    ]


def _parts(leaf, batch):
    user, target, past = torch.split(leaf, [batch, 2 * batch, len(leaf) - 3 * batch])
    return user, target.view(batch, -1), past.view(-1, 2 * leaf.shape[1])
