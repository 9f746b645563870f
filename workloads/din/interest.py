"""What a past without padding says of its target: the attention of `workloads.din.network` over flat sequences.

`plain` is written in operations that autograd knows. `fused` computes the same, and its gradient by hand, for CPUs: a
block of positions at a time, so that what one layer hands to the next stays in the cache, and with one pass where
autograd makes several. A block whose samples have one length multiplies each with a matrix of its own (`merged`), any
other one multiplies [k, q * k] (`split`).

    B samples, N places of all pasts, V width of an item with its category, A attention width, W first layer
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from workloads.din.network import Din

BLOCK_PLACES = 4096  # places of a block: fewer cost calls, more fall out of the cache (benchmarks/din.py)
_EVEN_FROM = 16


def sample_of(lengths: Tensor, places: int) -> Tensor:
    """Which sample each place belongs to [N], without waiting for the device."""
    numbers = torch.arange(len(lengths), device=lengths.device)
    return torch.repeat_interleave(numbers, lengths, output_size=places)


def plain(dense: Din, lengths: Tensor, target: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the past and interest, [B, V] each, of targets [B, V] and a flat past [N, V]."""
    sample = sample_of(lengths, len(past))
    total = _sums(past, sample, len(target))
    if dense.unit is None:
        weights = (1.0 / lengths.clamp(min=1).to(past.dtype)).index_select(0, sample)
    else:
        scores = _scores(dense, sample, target, past)
        wide = torch.promote_types(scores.dtype, torch.float32)
        weights = softmax(scores.to(wide), sample, len(target)) if dense.shape.weights == "softmax" else scores
    return total, _sums(past * weights.to(past.dtype).unsqueeze(1), sample, len(target))


def softmax(scores: Tensor, sample: Tensor, samples: int) -> Tensor:
    """Softmax [N] over the places of each sample."""
    highest = scores.detach().new_full((samples,), -torch.inf).scatter_reduce(0, sample, scores.detach(), "amax")
    shifted = torch.exp(scores - highest.index_select(0, sample))
    norm = shifted.new_zeros(samples).index_add(0, sample, shifted)
    return shifted / norm.index_select(0, sample)


def _sums(values: Tensor, sample: Tensor, samples: int) -> Tensor:
    return values.new_zeros(samples, values.shape[1]).index_add(0, sample, values)


def _scores(dense: Din, sample: Tensor, target: Tensor, past: Tensor) -> Tensor:
    unit = dense.unit
    assert unit is not None
    q, k = (target, past) if dense.project is None else (dense.project(target), dense.project(past))
    of_q, of_k, of_product = unit.parts()
    offset = F.linear(q, of_q, unit.matrix(0)[1]).index_select(0, sample)
    hidden = F.linear(k, of_k) + F.linear(k * q.index_select(0, sample), of_product) + offset
    for index in range(1, len(unit.layers)):
        hidden = F.linear(torch.sigmoid(hidden), *unit.matrix(index))
    scores = hidden.squeeze(1)
    return scores * dense.score_factor() if dense.shape.scale else scores


def fused(dense: Din, lengths: Tensor, leaf: Tensor) -> tuple[Tensor, ...]:
    """User, target, sum of the past and interest [B, …] of a leaf [3 B + 2 N, D], by `Attention`.

    The sums are those of `plain`; only for a real unit on the items themselves.
    """
    unit = dense.unit
    assert unit is not None and dense.project is None
    weights = [tensor for index in range(len(unit.layers)) for tensor in unit.matrix(index)]
    scale = dense.score_factor() if dense.shape.scale else 1.0
    found: tuple[Tensor, ...] = Attention.apply(  # type: ignore[no-untyped-call]
        lengths, scale, dense.shape.weights == "softmax", torch.is_grad_enabled(), leaf, *weights
    )
    return found


def split_leaf(leaf: Tensor, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Users [B, D], targets [B, V] and the past [N, V] of a leaf [3 B + 2 N, D], without a copy."""
    users, targets, past = torch.split(leaf, [batch, 2 * batch, len(leaf) - 3 * batch])
    return users, targets.view(batch, -1), past.view(-1, 2 * leaf.shape[1])


def can_fuse(dense: Din) -> bool:
    """A unit of at least one hidden layer, on the items themselves."""
    return dense.unit is not None and dense.project is None and len(dense.unit.layers) > 1


class _Pool:
    """Memory for what the forward pass keeps, used again: fresh pages of this size cost more than the sums in them."""

    def __init__(self) -> None:
        self._free: dict[tuple[int, torch.dtype], list[Tensor]] = {}

    def take(self, rows: int, width: int, dtype: torch.dtype) -> Tensor:
        free = self._free.get((width, dtype), [])
        while free:
            found = free.pop()
            if len(found) >= rows:
                return found
        return torch.empty(rows + rows // 8, width, dtype=dtype)

    def give(self, tensor: Tensor) -> None:
        self._free.setdefault((tensor.shape[1], tensor.dtype), []).append(tensor)


_POOL = _Pool()


class _Lease:
    """Buffers of the pool, given back when the last one who knows them is gone."""

    def __init__(self, rows: int, widths: Sequence[int], dtype: torch.dtype) -> None:
        self.tensors = [_POOL.take(rows, width, dtype) for width in widths]

    def __del__(self) -> None:
        for tensor in self.tensors:
            _POOL.give(tensor)


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Samples [first, last) with their places [begin, end)."""

    first: int
    last: int
    begin: int
    end: int


class _Segments:
    """The samples' places in blocks. `even` is the one length of all samples, or None; from 16 places on, a matrix for
    each sample pays."""

    def __init__(self, lengths: Tensor, places: int) -> None:
        sizes: list[int] = lengths.tolist()
        self.even = sizes[0] if sizes and min(sizes) == max(sizes) >= _EVEN_FROM else None
        if self.even is not None:
            step = max(1, BLOCK_PLACES // self.even)
            edges = [*range(0, len(sizes), step), len(sizes)]
            self.blocks = [_Block(first, last, first * self.even, last * self.even) for first, last in pairwise(edges)]
            return
        ends = [0, *accumulate(sizes)]
        self.offsets = torch.tensor(ends)
        self.places = torch.arange(min(places, BLOCK_PLACES + max(sizes, default=0)))
        self.sample = torch.repeat_interleave(torch.arange(len(sizes)), lengths, output_size=places)
        self.blocks, first = [], 0
        while first < len(sizes):
            last = max(first + 1, bisect_right(ends, ends[first] + BLOCK_PLACES) - 1)
            if ends[last] > ends[first]:
                self.blocks.append(_Block(first, last, ends[first], ends[last]))
            first = last

    def sums(self, values: Tensor, block: _Block, weights: Tensor | None = None) -> Tensor:
        """Sums [b, W] of the rows [n, W] of each sample of a block, weighted if asked."""
        offsets = self.offsets[block.first : block.last + 1]
        return F.embedding_bag(
            self.places[: len(values)],
            values,
            offsets - block.begin if block.begin else offsets,
            mode="sum",
            per_sample_weights=weights,
            include_last_offset=True,
        )


class _Layers:
    """The unit's matrices, the first one taken apart."""

    def __init__(self, tensors: Sequence[Tensor], width: int) -> None:
        self.weights, self.biases = tensors[::2], tensors[1::2]
        of_q, of_k, of_difference, of_product = torch.split(self.weights[0], width, 1)
        self.of_q = of_q + of_difference  # [W, V]
        self.of_both = torch.cat([of_k - of_difference, of_product], 1)  # [W, 2 V]: of k, of q * k
        self.of_k_t = self.of_both[:, :width].t().contiguous()  # [V, W]
        self.of_product_t = of_product.t().contiguous()

    def matrices(self, q: Tensor) -> Tensor:
        """The first layer of k, one for each target: [b, V, W]."""
        return torch.addcmul(self.of_k_t, q.unsqueeze(2), self.of_product_t)


class Attention(torch.autograd.Function):
    """(lengths, scale, softmax or not, keep, leaf, weight and bias of each layer) -> (user, target, sum, interest).

    `keep`: a gradient will be asked for.
    """

    @staticmethod
    def forward(
        ctx: Any,
        lengths: Tensor,
        scale: float,
        with_softmax: bool,
        keep: bool,
        leaf: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        user, target, past = split_leaf(leaf, len(lengths))
        segments = _Segments(lengths, len(past))
        layers = _Layers(tensors, target.shape[1])
        offset = torch.addmm(layers.biases[0], target, layers.of_q.t())  # [B, W]
        widths = [len(bias) for bias in layers.biases[:-1]]
        rows = len(past) if keep else max((block.end - block.begin for block in segments.blocks), default=0)
        lease = _Lease(rows, widths, past.dtype)
        weights = past.new_empty(len(past))
        pooled = target.new_zeros(len(target), 2, target.shape[1])  # sum of the past, interest
        matrices: list[Tensor | None] = []
        for block in segments.blocks:
            k = past[block.begin : block.end]
            begin = block.begin if keep else 0
            own = [each[begin : begin + len(k)] for each in lease.tensors]
            matrices.append(_first_layer(segments, layers, block, target, k, offset, own[0]))
            for index in range(1, len(own)):
                below = own[index - 1].sigmoid_()
                torch.addmm(layers.biases[index], below, layers.weights[index].t(), out=own[index])
            scores = torch.addmv(layers.biases[-1], own[-1].sigmoid_(), layers.weights[-1][0])
            if scale != 1.0:
                scores.mul_(scale)
            if with_softmax:
                scores = _softmax(segments, block, scores)
            weights[block.begin : block.end] = scores
            some = slice(block.first, block.last)
            if segments.even is None:
                pooled[some, 0] = segments.sums(k, block)
                pooled[some, 1] = segments.sums(k, block, scores)
            else:
                both = _with_ones(scores, block.last - block.first, segments.even)
                torch.bmm(both, k.view(-1, segments.even, k.shape[1]), out=pooled[some])
        if keep:
            ctx.save_for_backward(leaf, weights, *tensors)
            ctx.known = (segments, layers, lease, matrices, scale, with_softmax)
        return user.clone(), target.clone(), pooled[:, 0], pooled[:, 1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        leaf, weights, *tensors = ctx.saved_tensors
        segments, layers, lease, matrices, scale, with_softmax = ctx.known
        d_user, d_target_outside, d_total, d_interest = gradients
        _, target, past = split_leaf(leaf, len(d_user))
        d_leaf = torch.empty_like(leaf)
        d_leaf[: len(d_user)] = d_user
        _, d_target, d_past = split_leaf(d_leaf, len(d_user))
        d_target.zero_()
        d_pooled = torch.stack([d_total, d_interest], 1)
        d_interest = d_pooled[:, 1]
        d_tensors = [torch.zeros_like(tensor) for tensor in tensors]
        d_weights, d_biases = d_tensors[::2], d_tensors[1::2]
        d_offset = target.new_zeros(len(target), len(layers.biases[0]))
        d_both = torch.zeros_like(layers.of_both)
        for block, matrix in zip(segments.blocks, matrices, strict=True):
            places = slice(block.begin, block.end)
            own = [each[places] for each in lease.tensors]
            d_scores = _scores_backward(segments, block, past[places], weights[places], d_interest, with_softmax)
            if scale != 1.0:
                d_scores.mul_(scale)
            d_weights[-1][0].addmv_(own[-1].t(), d_scores)
            d_biases[-1].add_(d_scores.sum())
            below = torch.outer(d_scores, layers.weights[-1][0])
            for index in range(len(own) - 1, 0, -1):
                _sigmoid_backward(below, own[index])
                d_weights[index].addmm_(below.t(), own[index - 1])
                d_biases[index].add_(below.sum(0))
                below = torch.mm(below, layers.weights[index])
            _sigmoid_backward(below, own[0])
            _first_backward(segments, layers, block, matrix, target, past, below, d_both, d_offset, d_target, d_past)
            _add_pooled(segments, block, weights[places], d_pooled, d_past[places])
        d_of_q = torch.mm(d_offset.t(), target)
        d_target.addmm_(d_offset, layers.of_q).add_(d_target_outside)
        d_of_k, d_of_product = torch.split(d_both, target.shape[1], 1)
        d_weights[0].copy_(torch.cat([d_of_q, d_of_k, d_of_q - d_of_k, d_of_product], 1))
        d_biases[0].copy_(d_offset.sum(0))
        return (None, None, None, None, d_leaf, *d_tensors)


def _first_layer(
    segments: _Segments, layers: _Layers, block: _Block, target: Tensor, k: Tensor, offset: Tensor, out: Tensor
) -> Tensor | None:
    """The unit's first layer of a block before its sigmoid, into `out` [n, W]; the matrices, where there were any."""
    some = slice(block.first, block.last)
    if segments.even is None:
        sample = segments.sample[block.begin : block.end]
        torch.addmm(offset.index_select(0, sample), _beside_product(target, sample, k), layers.of_both.t(), out=out)
        return None
    samples = block.last - block.first
    matrices = layers.matrices(target[some])
    shape = (samples, segments.even, -1)
    torch.baddbmm(offset[some].unsqueeze(1), k.view(shape), matrices, out=out.view(shape))
    return matrices


def _with_ones(weights: Tensor, samples: int, places: int) -> Tensor:
    """[b, 2, L]: ones, for the sum, and the weights, for the interest."""
    both = weights.new_ones(samples, 2, places)
    both[:, 1] = weights.view(samples, places)
    return both


def _beside_product(target: Tensor, sample: Tensor, k: Tensor) -> Tensor:
    """[k, q * k] of some places [n, 2 V]."""
    width = k.shape[1]
    both = k.new_empty(len(k), 2 * width)
    both[:, :width] = k
    torch.mul(k, target.index_select(0, sample), out=both[:, width:])
    return both


def _softmax(segments: _Segments, block: _Block, scores: Tensor) -> Tensor:
    if segments.even is not None:
        return torch.softmax(scores.view(-1, segments.even), 1).view(-1)
    sample = segments.sample[block.begin : block.end] - block.first
    return softmax(scores, sample, block.last - block.first)


def _scores_backward(
    segments: _Segments, block: _Block, k: Tensor, weights: Tensor, d_interest: Tensor, with_softmax: bool
) -> Tensor:
    """From the gradient of the interest [B, V] to that of a block's scores [n], before their scale."""
    some = slice(block.first, block.last)
    if segments.even is not None:
        shape = (block.last - block.first, segments.even)
        d_weights = torch.bmm(k.view(*shape, -1), d_interest[some].unsqueeze(2)).squeeze(2)
        if not with_softmax:
            return d_weights.reshape(-1)
        by_sample = weights.view(shape)
        found: Tensor = torch._softmax_backward_data(d_weights, by_sample, 1, weights.dtype)
        return found.reshape(-1)
    sample = segments.sample[block.begin : block.end]
    d_weights = (k * d_interest.index_select(0, sample)).sum(1)
    if not with_softmax:
        return d_weights
    weighted = weights * d_weights
    sums = segments.sums(weighted.unsqueeze(1), block)
    return weighted.addcmul_(weights, sums.index_select(0, sample - block.first).squeeze(1), value=-1.0)


def _first_backward(
    segments: _Segments,
    layers: _Layers,
    block: _Block,
    matrices: Tensor | None,
    target: Tensor,
    past: Tensor,
    below: Tensor,  # gradient of the first layer before its sigmoid [n, W]
    d_both: Tensor,
    d_offset: Tensor,
    d_target: Tensor,
    d_past: Tensor,
) -> None:
    """Adds to the gradients of the first layer, sets those of a block's targets, and of its past through the scores."""
    some, places = slice(block.first, block.last), slice(block.begin, block.end)
    k, q, width = past[places], target[some], target.shape[1]
    if segments.even is not None and matrices is not None:
        shape = (block.last - block.first, segments.even, -1)
        by_sample = below.view(shape)
        torch.sum(by_sample, 1, out=d_offset[some])
        d_matrices = torch.bmm(k.view(shape).transpose(1, 2), by_sample)  # [b, V, W]
        torch.bmm(by_sample, matrices.transpose(1, 2), out=d_past[places].view(shape))
        d_both[:, :width].add_(d_matrices.sum(0).t())
        torch.sum(d_matrices * layers.of_product_t, 2, out=d_target[some])
        d_both[:, width:].add_(d_matrices.mul_(q.unsqueeze(2)).sum(0).t())
        return
    sample = segments.sample[places]
    d_both.addmm_(below.t(), _beside_product(target, sample, k))
    d_k, d_product = torch.split(torch.mm(below, layers.of_both), width, 1)
    d_offset[some] = segments.sums(below, block)
    d_target[some] = segments.sums(d_product * k, block)
    torch.addcmul(d_k, d_product, target.index_select(0, sample), out=d_past[places])


def _add_pooled(segments: _Segments, block: _Block, weights: Tensor, d_pooled: Tensor, d_past: Tensor) -> None:
    """What the sum and the interest [B, 2, V] add to the gradient of a block's past [n, V]."""
    some = d_pooled[block.first : block.last]
    if segments.even is not None:
        both = _with_ones(weights, len(some), segments.even)
        d_past.view(len(some), segments.even, -1).baddbmm_(both.transpose(1, 2), some)
        return
    sample = segments.sample[block.begin : block.end] - block.first
    d_past.add_(some[:, 0].index_select(0, sample))
    d_past.addcmul_(weights.unsqueeze(1), some[:, 1].index_select(0, sample))


def _sigmoid_backward(gradient: Tensor, output: Tensor) -> None:
    """Turns the gradient of a sigmoid's output into that of its input, in place."""
    torch.ops.aten.sigmoid_backward.grad_input(gradient, output, grad_input=gradient)
