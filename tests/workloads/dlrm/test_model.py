"""The dense part against a slow independent implementation in NumPy, and its gradients against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness.api import OptimizerSpec
from workloads.dlrm.config import DLRMConfig
from workloads.dlrm.model import DlrmDense, DlrmModel, PairwiseDots, initialize_dense
from workloads.dlrm.sizes import model_sizes
from workloads.dlrm.tables import MergedTables

TABLES = (5, 3, 7, 4)


def _dense(interaction: str, itself: bool) -> DlrmDense:
    config = DLRMConfig(
        embedding_dim=3, bottom_mlp=(6, 3), top_mlp=(5, 1), interaction=interaction, interaction_self=itself
    )
    dense = DlrmDense(model_sizes(config, TABLES), itself=itself).double()
    initialize_dense(dense, torch.Generator().manual_seed(3))
    return dense


def _slow_forward(dense: DlrmDense, features: np.ndarray, rows: np.ndarray, itself: bool) -> np.ndarray:
    """One sample, one product at a time, from the text of the paper."""
    weights = {name: value.numpy() for name, value in dense.state_dict().items()}

    def layer(name: str, vector: list[float]) -> list[float]:
        matrix, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return [sum(w * x for w, x in zip(row, vector, strict=True)) + b for row, b in zip(matrix, bias, strict=True)]

    def relu(vector: list[float]) -> list[float]:
        return [max(0.0, value) for value in vector]

    logits = []
    for sample, embeddings in zip(features, rows, strict=True):
        bottom = relu(layer("bot_l.2", relu(layer("bot_l.0", list(sample)))))
        vectors = [bottom, *(list(row) for row in embeddings)]
        if dense.interaction is None:
            joined = [value for vector in vectors for value in vector]
        else:
            joined = list(bottom)
            for i in range(len(vectors)):
                for j in range(i + 1 if itself else i):
                    joined.append(sum(a * b for a, b in zip(vectors[i], vectors[j], strict=True)))
        logits.append(layer("top_l.2", relu(layer("top_l.0", joined)))[0])
    return np.array(logits)


CASES = [("dot", False), ("dot", True), ("cat", False)]


@pytest.mark.parametrize(("interaction", "itself"), CASES)
def test_forward_equals_the_slow_definition(interaction, itself):
    dense = _dense(interaction, itself)
    chooser = np.random.default_rng(0)
    features, rows = chooser.normal(size=(6, 13)), chooser.normal(size=(6, len(TABLES), 3))
    with torch.no_grad():
        fast = dense(torch.from_numpy(features), torch.from_numpy(rows)).numpy()
    assert fast.shape == (6,)
    np.testing.assert_allclose(fast, _slow_forward(dense, features, rows, itself), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("interaction", "itself"), CASES)
def test_gradients_equal_finite_differences(interaction, itself):
    dense = _dense(interaction, itself)
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(3, 13, dtype=torch.float64, generator=generator).requires_grad_()
    rows = torch.randn(3, len(TABLES), 3, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(dense, (features, rows))


def test_pairwise_dots_in_bf16_give_a_gradient_in_the_precision_of_the_vectors():
    dots = PairwiseDots(5, itself=False)
    exact = torch.randn(4, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    dots(exact).sum().backward()
    rough = exact.detach().float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = dots(rough)
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert rough.grad is not None and rough.grad.dtype == torch.float32
    torch.testing.assert_close(rough.grad.double(), exact.grad, rtol=0.02, atol=0.05)


def test_the_loss_is_binary_cross_entropy_of_a_sigmoid_and_stays_finite():
    model = DlrmModel(torch.nn.Identity(), None)
    logits, labels = torch.tensor([-3.0, 0.0, 2.0]), torch.tensor([0.0, 1.0, 1.0])
    probabilities = 1 / (1 + torch.exp(-logits))
    torch.testing.assert_close(model.loss(logits, labels), torch.nn.BCELoss()(probabilities, labels))
    assert math.isfinite(float(model.loss(torch.tensor([500.0]), torch.tensor([0.0]))))


def test_initial_weights_have_the_reference_distribution_and_follow_the_seed():
    sizes = model_sizes(DLRMConfig(), TABLES)
    first, second, other = (DlrmDense(sizes, itself=False) for _ in range(3))
    for dense, seed in ((first, 1), (second, 1), (other, 2)):
        initialize_dense(dense, torch.Generator().manual_seed(seed))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
        assert not torch.equal(value, other.state_dict()[name])
    weight = first.bot_l[2].weight.detach()  # 512 -> 256
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / (512 + 256)), rel=0.02)
    assert float(first.bot_l[0].bias.detach().std()) == pytest.approx(math.sqrt(1 / 512), rel=0.1)


def test_parameter_names_are_those_of_the_reference_program():
    found = set(_dense("dot", False).state_dict())
    assert found == {f"{mlp}_l.{at}.{kind}" for mlp in ("bot", "top") for at in (0, 2) for kind in ("weight", "bias")}


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch 2.13's own tracing
def test_dense_part_compiles_in_one_graph():
    """With a backend that needs no C++ compiler: no graph break, forward or backward."""
    sizes = model_sizes(DLRMConfig(embedding_dim=4, bottom_mlp=(8, 4), top_mlp=(8, 1)), TABLES)
    dense = DlrmDense(sizes, itself=False)
    initialize_dense(dense, torch.Generator().manual_seed(0))
    tables = MergedTables(TABLES, 4, OptimizerSpec(name="sgd", learning_rate=0.1))
    for weight in tables.weights():
        weight.normal_(generator=torch.Generator().manual_seed(1))
    ids = (torch.tensor([[0, 1, 2, 3], [4, 2, 6, 0]], dtype=torch.int32),)
    features = torch.randn(2, 13, generator=torch.Generator().manual_seed(2))
    compiled = torch.compile(dense, backend="aot_eager", fullgraph=True, dynamic=False)
    leaves = []
    for module in (dense, compiled):
        leaf = tables.lookup(ids)
        module(features, leaf).sum().backward()
        leaves.append(leaf.grad)
    torch.testing.assert_close(leaves[0], leaves[1])
