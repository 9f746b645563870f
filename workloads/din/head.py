"""The layers behind the attention in training, with their gradient by hand: for small batches on a CPU.

The same as `Din.judge` with Dice by the statistics of the batch. Autograd makes some ninety small calls of it, each of
which costs more than its arithmetic at a batch of 32; here they are forty.

    B samples, W width of a layer, J width of the joined vector
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from workloads.din.network import DICE_EPS, STATISTICS_MOMENTUM, Dice, Din


def can_fuse(dense: Din) -> bool:
    """Dice alone, without batch normalisation before it."""
    return dense.norm is None


def judge(dense: Din, user: Tensor, target: Tensor, total: Tensor, interest: Tensor) -> Tensor:
    """Logits [B], as `Din.judge` gives them in training; running statistics move as there."""
    layers: list[Tensor] = []
    statistics: list[tuple[Tensor, Tensor] | None] = []
    for layer, dice in zip(dense.fc, dense.dice, strict=True):
        assert isinstance(layer, torch.nn.Linear) and isinstance(dice, Dice)
        layers += [layer.weight, layer.bias, dice.alpha]
        own = dice.statistics
        statistics.append((own.mean, own.variance) if own.running else None)
    logits: Tensor = Judge.apply(  # type: ignore[no-untyped-call]
        statistics, user, target, total, interest, dense.last.weight, dense.last.bias, *layers
    )
    return logits


class Judge(torch.autograd.Function):
    """(running statistics, user, target, total, interest, last layer, (weight, bias, alpha) of each) -> logits [B]."""

    @staticmethod
    def forward(
        ctx: Any,
        statistics: list[tuple[Tensor, Tensor] | None],
        user: Tensor,
        target: Tensor,
        total: Tensor,
        interest: Tensor,
        last_weight: Tensor,
        last_bias: Tensor,
        *layers: Tensor,
    ) -> Tensor:
        x = torch.cat([user, target, total, target * total, interest], 1)  # [B, J]
        kept = []
        for index, own in enumerate(statistics):
            weight, bias, alpha = layers[3 * index : 3 * index + 3]
            z = torch.addmm(bias, x, weight.t())
            normal, mean, inverse = torch.native_batch_norm(z, None, None, None, None, True, 0.0, DICE_EPS)
            if own is not None:
                own[0].lerp_(mean, STATISTICS_MOMENTUM)
                own[1].lerp_(inverse.pow(-2).sub_(DICE_EPS), STATISTICS_MOMENTUM)
            gate = normal.sigmoid_()
            share = torch.addcmul(alpha, gate, 1.0 - alpha)
            kept += [x, z, mean, inverse, gate, share]
            x = z * share
        ctx.save_for_backward(target, total, last_weight, x, *layers, *kept)
        ctx.count = len(statistics)
        ctx.widths = [user.shape[1], target.shape[1]]
        return torch.addmv(last_bias[1] - last_bias[0], x, last_weight[1] - last_weight[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        target, total, last_weight, x, *rest = ctx.saved_tensors
        layers, kept = rest[: 3 * ctx.count], rest[3 * ctx.count :]
        (d_logits,) = gradients
        d_click = torch.mv(x.t(), d_logits)
        d_last = torch.stack([-d_click, d_click])
        d_last_bias = d_logits.sum().mul(torch.tensor([-1.0, 1.0], dtype=x.dtype))
        below = torch.outer(d_logits, last_weight[1] - last_weight[0])
        d_layers: list[Tensor] = []
        for index in range(ctx.count - 1, -1, -1):
            weight, _, alpha = layers[3 * index : 3 * index + 3]
            above, z, mean, inverse, gate, share = kept[6 * index : 6 * index + 6]
            through = below * z
            d_alpha = torch.sub(through.sum(0), torch.linalg.vecdot(through, gate, dim=0))
            d_normal = torch.ops.aten.sigmoid_backward(through.mul_(1.0 - alpha), gate)
            d_z, _, _ = torch.ops.aten.native_batch_norm_backward(
                d_normal, z, None, None, None, mean, inverse, True, DICE_EPS, [True, False, False]
            )
            d_z.addcmul_(below, share)
            d_layers = [torch.mm(d_z.t(), above), d_z.sum(0), d_alpha, *d_layers]
            below = torch.mm(d_z, weight)
        d_user, d_target, d_total, d_product, d_interest = torch.split(below, [ctx.widths[0], *[ctx.widths[1]] * 4], 1)
        d_target = torch.addcmul(d_target, d_product, total)
        d_total = torch.addcmul(d_total, d_product, target)
        return (None, d_user, d_target, d_total, d_interest, d_last, d_last_bias, *d_layers)
