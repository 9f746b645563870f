"""DIN in NumPy, sample by sample and place by place, after the paper's formulas: nothing is shared with the product."""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def unit(q, k, layers):
    """The score of one past item: layers of (weight [out, in], bias) on [q, k, q - k, q * k], sigmoid between them."""
    x = np.concatenate([q, k, q - k, q * k])
    for weight, bias in layers[:-1]:
        x = sigmoid(weight @ x + bias)
    weight, bias = layers[-1]
    return float((weight @ x + bias)[0])


def pool(q, past, layers, *, softmax, scale):
    """Sum of the past and interest of one target; past [n, V]."""
    total = past.sum(0) if len(past) else np.zeros_like(q)
    if not len(past):
        return total, np.zeros_like(q)
    scores = np.array([unit(q, k, layers) for k in past])
    if scale:
        scores = scores / np.sqrt(len(q))
    if softmax:
        scores = np.exp(scores - scores.max())
        scores /= scores.sum()
    return total, (scores[:, None] * past).sum(0)


def dice(x, alpha, mean, variance):
    p = sigmoid((x - mean) / np.sqrt(variance + 1e-9))
    return p * x + (1.0 - p) * alpha * x


def norm(x, weight, bias, mean, variance):
    return (x - mean) / np.sqrt(variance + 1e-3) * weight + bias


def logits(user, target, total, interest, fc, alphas, last, *, statistics=None):
    """[B]; `statistics` (mean, variance) of each Dice, or None for those of the batch."""
    x = np.concatenate([user, target, total, target * total, interest], 1)
    for index, (weight, bias) in enumerate(fc):
        z = x @ weight.T + bias
        mean, variance = (z.mean(0), z.var(0)) if statistics is None else statistics[index]
        x = dice(z, alphas[index], mean, variance)
    weight, bias = last
    both = x @ weight.T + bias
    odds = np.exp(both - both.max(1, keepdims=True))
    chance = odds[:, 1] / odds.sum(1)
    return np.log(chance / (1.0 - chance))
