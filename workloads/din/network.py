"""The Deep Interest Network (Zhou et al. 2018, arXiv:1706.06978), defined once for every device.

This file also runs under the Poplar SDK's Python 3.8 and torch 2.0 and is compiled there, so it imports torch alone,
its shapes never depend on values, and masking is arithmetic. `Din` is the dense part; `DinNetwork` puts plain embedding
tables before it, for devices that compile the whole model. Hosts gather the rows of the tables themselves
(`workloads.din.host`).

A sample is a user, a target item with its category, and the items of the past with theirs. Its vector into the last
layers is [user, target, sum of the past, target * sum of the past, interest], where the interest is a sum of the past
weighted by what the attention unit makes of [q, k, q - k, q * k] (q the target, k one item of the past).

    B samples, T places of the past, D embedding width, V = 2 D width of an item with its category, A attention width
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

MASKED_SCORE = -(2.0**32) + 1.0  # Alibaba's and Graphcore's: its exponential is 0 beside any score
DICE_EPS = 1e-9  # Graphcore's and Alibaba's Dice.py
NORM_EPS = 1e-3  # tf.layers.batch_normalization
STATISTICS_MOMENTUM = 0.01  # what a batch adds to the running statistics: 1 - 0.99, TensorFlow's default
TABLES = ("user", "item", "category")


class Shape(NamedTuple):
    """What the model is, apart from the sizes of its tables; plain values, so that it travels as JSON."""

    embedding_dim: int = 18
    attention_size: int = 36
    attention_layers: Sequence[int] = (80, 40)
    fc_layers: Sequence[int] = (200, 80)
    attention: str = "din"  # din: the unit; linear: its last layer alone, fed the input; mean: plain averages
    weights: str = "softmax"  # softmax over the past, or plain as the unit gives them
    scale: bool = False  # scores are divided by the root of the attention width
    dice: str = "running"  # statistics at inference: running ones, or those of the batch
    batch_norm: bool = False  # of the vector into the last layers
    form: str = "merged"  # of the unit's first layer: concat, split or merged; all three are equal

    @property
    def item_width(self) -> int:
        return 2 * self.embedding_dim

    @property
    def joined_width(self) -> int:
        """Of the vector into the last layers."""
        return self.embedding_dim + 4 * self.item_width


class BatchStatistics(nn.Module):
    """Mean and variance [W] of the rows of x [B, W] that count; at inference the running ones, or again the batch's."""

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, running: bool) -> None:
        super().__init__()
        self.running = running
        if running:
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("variance", torch.ones(width))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.running and not self.training:
            return self.mean, self.variance
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        if valid is None:
            variance, mean = torch.var_mean(x, 0, unbiased=False)
            share: float | Tensor = STATISTICS_MOMENTUM
        else:
            count = valid.sum()
            weight = (valid / count.clamp(min=1.0)).unsqueeze(1)  # [B, 1]
            mean = (x * weight).sum(0)
            variance = ((x - mean).square() * weight).sum(0)
            share = STATISTICS_MOMENTUM * count.clamp(max=1.0)  # a batch of padding alone changes nothing
        if self.running:
            with torch.no_grad():
                self.mean.add_((mean.detach() - self.mean) * share)
                self.variance.add_((variance.detach() - self.variance) * share)
        return mean, variance


class Dice(nn.Module):
    """The paper's activation (its section 5.3): x where it stands out from its batch, alpha x where it does not."""

    def __init__(self, width: int, running: bool) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(width))
        self.statistics = BatchStatistics(width, running)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        mean, variance = self.statistics(x, valid)
        gate = torch.sigmoid((x - mean) * torch.rsqrt(variance + DICE_EPS))
        return x * (self.alpha + gate * (1.0 - self.alpha))


class BatchNorm(nn.Module):
    """Batch normalisation that leaves out the rows which do not count."""

    def __init__(self, width: int, running: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.statistics = BatchStatistics(width, running)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        mean, variance = self.statistics(x, valid)
        scaled: Tensor = (x - mean) * (torch.rsqrt(variance + NORM_EPS) * self.weight)
        return scaled + self.bias


class AttentionUnit(nn.Module):
    """Scores [B, T] of the past k [B, T, A] before the target q [B, A].

    The first layer's W = [Wq, Wk, Wd, Wp] over [q, k, q - k, q * k] is, without making that input,
    q (Wq + Wd) + k (Wk - Wd) + (q * k) Wp (`split`), and k ((Wk - Wd) + q * Wp) with one matrix a sample (`merged`).
    """

    def __init__(self, width: int, layers: Sequence[int], form: str) -> None:
        super().__init__()
        widths = [4 * width, *layers, 1]
        self.width = width
        self.form = form
        self.layers = linears(widths)

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        hidden = self.first(q, k)
        for index in range(1, len(self.layers)):
            weight, bias = self.matrix(index)
            hidden = nn.functional.linear(torch.sigmoid(hidden), weight, bias)
        return hidden.squeeze(-1)

    def matrix(self, index: int) -> tuple[Tensor, Tensor]:
        """Weight [out, in] and bias [out] of one layer."""
        layer = self.layers[index]
        assert isinstance(layer, nn.Linear)
        return layer.weight, layer.bias

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """The first layer's matrices [W, A] of q, of k and of q * k."""
        of_q, of_k, of_difference, of_product = torch.split(self.matrix(0)[0], self.width, 1)
        return of_q + of_difference, of_k - of_difference, of_product

    def first(self, q: Tensor, k: Tensor) -> Tensor:
        """The first layer before its sigmoid [B, T, W]."""
        weight, bias = self.matrix(0)
        if self.form == "concat":
            spread = q.unsqueeze(1).expand_as(k)
            return nn.functional.linear(torch.cat([spread, k, spread - k, spread * k], 2), weight, bias)
        of_q, of_k, of_product = self.parts()
        offset = (torch.matmul(q, of_q.t()) + bias).unsqueeze(1)  # [B, 1, W]
        if self.form == "split":
            return torch.matmul(k, of_k.t()) + torch.matmul(k * q.unsqueeze(1), of_product.t()) + offset
        matrices = of_k.t() + q.unsqueeze(2) * of_product.t()  # [B, A, W]
        return torch.baddbmm(offset, k, matrices)


class Din(nn.Module):
    """The dense part: embeddings in, logits out."""

    positions: Tensor

    def __init__(self, shape: Shape, max_seq_len: int) -> None:
        super().__init__()
        self.shape = shape
        layers = [] if shape.attention == "linear" else list(shape.attention_layers)
        self.project: nn.Linear | None = None
        self.unit: AttentionUnit | None = None
        if shape.attention != "mean":
            if shape.attention_size != shape.item_width:
                self.project = nn.Linear(shape.item_width, shape.attention_size, bias=False)
            self.unit = AttentionUnit(shape.attention_size, layers, shape.form)
        running = shape.dice == "running"
        self.norm = BatchNorm(shape.joined_width, running) if shape.batch_norm else None
        widths = [shape.joined_width, *shape.fc_layers]
        self.fc = linears(widths)
        self.dice = nn.ModuleList([Dice(width, running) for width in shape.fc_layers])
        self.last = nn.Linear(widths[-1], 2)
        self.register_buffer("positions", torch.arange(max_seq_len, dtype=torch.int32), persistent=False)

    def forward(
        self, lengths: Tensor, user: Tensor, target: Tensor, past: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Logits [B] of a click. lengths [B] int32; user [B, D]; target [B, V]; past [B, T, V], its first `lengths`
        places real; valid [B] is 1.0 for samples and 0.0 for rows that no statistics may see."""
        mask = (self.positions[: past.shape[1]] < lengths.unsqueeze(1)).to(past.dtype)  # [B, T]
        masked = past * mask.unsqueeze(2)
        total = masked.sum(1)  # [B, V]
        weights = self.weights(lengths, mask, target, past)
        interest = torch.bmm(weights.to(past.dtype).unsqueeze(1), masked).squeeze(1)  # [B, V]
        return self.judge(user, target, total, interest, valid)

    def weights(self, lengths: Tensor, mask: Tensor, target: Tensor, past: Tensor) -> Tensor:
        """How much each place of the past counts [B, T]; 0 where there is none."""
        if self.unit is None:
            return mask / lengths.clamp(min=1).to(mask.dtype).unsqueeze(1)
        scores = self.scores(target, past)
        if self.shape.weights == "plain":
            return scores * mask
        wide = torch.promote_types(scores.dtype, torch.float32)  # half a float cannot hold the masked score
        mask = mask.to(wide)
        scores = scores.to(wide) * mask + (1.0 - mask) * MASKED_SCORE  # exact: a product with 1 or 0, a sum with 0
        return torch.softmax(scores, 1) * mask  # without a past the softmax is even, and the mask takes it all

    def scores(self, target: Tensor, past: Tensor) -> Tensor:
        assert self.unit is not None
        if self.project is not None:
            target, past = self.project(target), self.project(past)
        scores: Tensor = self.unit(target, past)
        return scores * self.score_factor() if self.shape.scale else scores

    def score_factor(self) -> float:
        return 1.0 / math.sqrt(self.shape.attention_size)

    def judge(
        self, user: Tensor, target: Tensor, total: Tensor, interest: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Logits [B] of what is known of each sample: the layers behind the attention."""
        x = torch.cat([user, target, total, target * total, interest], 1)
        if self.norm is not None:
            x = self.norm(x, valid)
        for layer, dice in zip(self.fc, self.dice):  # noqa: B905 -- Python 3.8 has no strict
            x = dice(layer(x), valid)
        both: Tensor = self.last(x)  # [B, 2]: no click, click
        return both[:, 1] - both[:, 0]


def linears(widths: Sequence[int]) -> nn.ModuleList:
    """Layers from each width to the next."""
    return nn.ModuleList([nn.Linear(widths[i], widths[i + 1]) for i in range(len(widths) - 1)])


class Table(nn.Module):
    """Rows of one embedding table, as every device can gather them."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width))

    def forward(self, ids: Tensor) -> Tensor:
        return nn.functional.embedding(ids, self.weight)


class DinNetwork(nn.Module):
    """Tables and dense part in one module: forward(lengths, user, item, category, past items, past categories, valid).

    All ids are int32; the past is [B, T], what lies behind `lengths` is any id of the table.
    """

    def __init__(self, shape: Shape, table_rows: Sequence[int], max_seq_len: int) -> None:
        super().__init__()
        self.tables = nn.ModuleDict(
            {name: Table(rows, shape.embedding_dim) for name, rows in zip(TABLES, table_rows)}  # noqa: B905
        )
        self.dense = Din(shape, max_seq_len)

    def forward(
        self,
        lengths: Tensor,
        user: Tensor,
        item: Tensor,
        category: Tensor,
        past_items: Tensor,
        past_categories: Tensor,
        valid: Tensor,
    ) -> Tensor:
        target = torch.cat([self.tables["item"](item), self.tables["category"](category)], 1)
        past = torch.cat([self.tables["item"](past_items), self.tables["category"](past_categories)], 2)
        logits: Tensor = self.dense(lengths, self.tables["user"](user), target, past, valid)
        return logits


def build(arguments: dict[str, Any]) -> DinNetwork:
    """The whole network from JSON values: `shape` (the fields of Shape), `table_rows` and `max_seq_len`."""
    shape = Shape(**arguments["shape"])
    return DinNetwork(shape, arguments["table_rows"], arguments["max_seq_len"])


def table_names() -> list[str]:
    """The parameters of the tables, as a state calls them."""
    return ["tables." + name + ".weight" for name in TABLES]
