"""The dense part of DLRM: two MLPs and the interaction between them (Naumov et al. 2019, arXiv:1906.00091).

Names of parameters and their initial distributions are those of facebookresearch/dlrm (`dlrm_s_pytorch.py`), so that
its checkpoints load here. The last sigmoid is part of the loss and of `probabilities`, where it is exact in fp32.

    B batch, d embedding width, T tables, n = T + 1 vectors that interact, P their pairs
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api import TableEngine
from workloads.dlrm.sizes import ModelSizes


class _PairwiseDots(torch.autograd.Function):
    """The dot products of chosen pairs of vectors: [B, n, d] -> [B, P].

    Autograd alone would scatter the gradient into a zeroed [B, n, n] and multiply twice. Here each entry of that
    matrix's symmetric gradient is looked up instead, and multiplied once: half the time backward (see docs/log.md).
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, flat: Tensor, symmetric: Tensor) -> Tensor:
        ctx.save_for_backward(vectors, symmetric)
        products = torch.bmm(vectors, vectors.transpose(1, 2))  # [B, n, n]
        return _columns(products.flatten(1), flat)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        vectors, symmetric = ctx.saved_tensors
        (gradient,) = gradients
        padded = F.pad(gradient, (0, 1))  # column P: the entries that no pair reads
        of_products = _columns(padded, symmetric).view(-1, vectors.shape[1], vectors.shape[1])
        result = torch.bmm(of_products, vectors.to(gradient.dtype))
        return result.to(vectors.dtype), None, None


class PairwiseDots(nn.Module):
    """Dot products of each pair of the n vectors of a sample, the strict lower triangle row by row.

    With `itself` the diagonal too. The order is that of facebookresearch/dlrm's `interact_features`.
    """

    flat: Tensor
    symmetric: Tensor

    def __init__(self, vectors: int, *, itself: bool) -> None:
        super().__init__()
        row, column = torch.tril_indices(vectors, vectors, 0 if itself else -1)
        pairs = torch.arange(row.numel())
        symmetric = torch.full((vectors, vectors), row.numel())
        symmetric[row, column] = pairs
        symmetric[column, row] = pairs
        self.itself = itself
        self.register_buffer("flat", row * vectors + column, persistent=False)
        self.register_buffer("symmetric", symmetric.flatten(), persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        if self.itself:  # a square's gradient is twice its vector, so the single look-up would lose half of it
            products = torch.bmm(vectors, vectors.transpose(1, 2))
            return _columns(products.flatten(1), self.flat)
        result: Tensor = _PairwiseDots.apply(vectors, self.flat, self.symmetric)  # type: ignore[no-untyped-call]
        return result


class DlrmDense(nn.Module):
    """Dense features [B, 13] and embeddings [B, T, d] to logits [B]."""

    def __init__(self, sizes: ModelSizes, *, itself: bool) -> None:
        super().__init__()
        self.bot_l = _mlp(sizes.bottom, last_relu=True)
        self.top_l = _mlp(sizes.top, last_relu=False)
        self.interaction = PairwiseDots(len(sizes.tables) + 1, itself=itself) if sizes.pairs else None

    def forward(self, dense: Tensor, embeddings: Tensor) -> Tensor:
        bottom: Tensor = self.bot_l(dense)  # [B, d]
        if self.interaction is None:
            joined = torch.cat([bottom, embeddings.flatten(1)], 1)
        else:
            vectors = torch.cat([bottom.unsqueeze(1), embeddings.to(bottom.dtype)], 1)  # [B, n, d]
            joined = torch.cat([bottom, self.interaction(vectors)], 1)
        logits: Tensor = self.top_l(joined)
        return logits.squeeze(1)


class DlrmModel:
    """The dense module and its tables, as an executor wants them."""

    def __init__(self, dense: nn.Module, tables: TableEngine) -> None:
        self.dense = dense
        self.tables = tables

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean binary cross-entropy, in fp32 whatever the precision of the logits."""
        return F.binary_cross_entropy_with_logits(logits.float(), labels)


def initialize_dense(dense: DlrmDense, generator: torch.Generator) -> None:
    """Weights N(0, sqrt(2 / (in + out))), biases N(0, sqrt(1 / out)) (`create_mlp`), bottom first."""
    with torch.no_grad():
        for layer in (*dense.bot_l, *dense.top_l):
            if isinstance(layer, nn.Linear):
                out_width, in_width = layer.weight.shape
                layer.weight.normal_(0.0, math.sqrt(2.0 / (in_width + out_width)), generator=generator)
                layer.bias.normal_(0.0, math.sqrt(1.0 / out_width), generator=generator)


def _columns(matrix: Tensor, index: Tensor) -> Tensor:
    """matrix[:, index]; on a CPU `gather` is as fast as `index_select` in fp32, and 2.5 times as fast in bf16."""
    return matrix.gather(1, index.expand(len(matrix), -1))


def _mlp(widths: Sequence[int], *, last_relu: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*(layers if last_relu else layers[:-1]))
