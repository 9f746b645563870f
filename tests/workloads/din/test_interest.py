"""The three forms of the attention over the past give one result and one gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workloads.din.models import leaf_of, padded, small
from workloads.din import head, interest

CHANGES = (
    {},
    {"weights": "plain", "scale": True},
    {"dice": "batch", "attention_layers": (4,)},
    {"batch_norm": True, "scale": True},
)


def _everything(dense, lengths, leaf):
    """Logits, gradients of leaf and weights, and what the buffers became."""
    own = leaf.detach().clone().requires_grad_()
    weights = torch.linspace(-1.0, 2.0, len(lengths), dtype=leaf.dtype)
    logits = dense(lengths, own)
    (logits * weights).sum().backward()
    return [logits.detach(), own.grad, *(each.grad for each in dense.parameters()), *dense.buffers()]


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("lengths", [(3, 0, 7, 1, 5), (2, 2, 2), (17, 17, 17), (0, 0, 4), (0, 0), (20,) * 5])
def test_fused_equals_plain_in_result_and_gradient(lengths, training, changes):
    if len(lengths) == 1 and training:
        pytest.skip("statistics need two samples")
    sizes, leaf = leaf_of(lengths)
    plain, fused = small("plain", longest=20, **changes), small("fused", longest=20, **changes)
    found = _everything(fused.train(training), sizes, leaf)
    for mine, theirs in zip(found, _everything(plain.train(training), sizes, leaf), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("changes", [*CHANGES, {"attention": "mean"}, {"attention": "linear"}, {"attention_size": 9}])
def test_jagged_equals_padded(changes):
    lengths, leaf = leaf_of()
    asked = small("plain", **changes).eval()(lengths, leaf)
    torch.testing.assert_close(small("padded", **changes).eval()(lengths, padded(lengths, leaf, 7)), asked)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=12), st.sampled_from([1, 8, 64, 4096]))
def test_blocks_of_any_size_give_the_same(lengths, block):
    sizes, leaf = leaf_of(tuple(lengths))
    before, interest.BLOCK_PLACES = interest.BLOCK_PLACES, block
    try:
        found = _everything(small("fused", longest=40), sizes, leaf)
    finally:
        interest.BLOCK_PLACES = before
    for mine, theirs in zip(found, _everything(small("plain", longest=40), sizes, leaf), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-10, rtol=1e-8)


def test_predicting_keeps_nothing_and_gives_the_same():
    lengths, leaf = leaf_of()
    dense = small("fused").eval()
    with torch.no_grad():
        asked = dense(lengths, leaf)
    torch.testing.assert_close(asked, dense(lengths, leaf).detach())


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("lengths", [(2, 0, 3), (16, 16)])
def test_the_gradient_by_hand_is_that_of_finite_differences(softmax, lengths):
    sizes, leaf = leaf_of(lengths)
    dense = small("fused", weights="softmax" if softmax else "plain")
    weights = [each.detach().clone().requires_grad_() for i in range(3) for each in dense.unit.matrix(i)]

    def asked(own, *tensors):
        return interest.Attention.apply(sizes, 0.7, softmax, True, own, *tensors)

    assert torch.autograd.gradcheck(asked, (leaf.requires_grad_(), *weights))


def test_the_head_by_hand_has_the_gradient_of_finite_differences():
    dense = small("fused", dice="batch")
    inputs = [torch.randn(4, width, dtype=torch.float64, requires_grad=True) for width in (3, 6, 6, 6)]
    assert torch.autograd.gradcheck(lambda *each: head.judge(dense, *each), inputs)


def test_half_precision_goes_the_plain_way_and_stays_near():
    lengths, leaf = leaf_of(dtype=torch.float32)
    dense = small("plain", dtype=torch.float32).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = dense(lengths, leaf).float()
    assert (half - dense(lengths, leaf)).abs().max() < 0.2
