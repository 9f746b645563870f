"""Small models with random weights, and the same samples in both layouts."""

from __future__ import annotations

import torch

from workloads.din.host import HostDin
from workloads.din.network import Shape

LENGTHS = (3, 0, 7, 1, 5)
SHAPE = Shape(embedding_dim=3, attention_size=6, attention_layers=(7, 5), fc_layers=(8, 4))


def small(past="plain", *, longest=7, seed=0, dtype=torch.float64, **changes):
    """A HostDin whose weights depend on the seed alone."""
    shape = SHAPE._replace(**changes)
    dense = HostDin(shape, longest, past).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in dense.parameters():
            parameter.normal_(0.0, 0.4, generator=generator)
        for name, buffer in dense.named_buffers():
            if name.endswith("mean"):
                buffer.normal_(0.0, 0.1, generator=generator)
            if name.endswith("variance"):
                buffer.uniform_(0.5, 1.5, generator=generator)
    return dense


def leaf_of(lengths=LENGTHS, *, width=3, seed=1, dtype=torch.float64):
    """Lengths [B] and a flat leaf [3 B + 2 N, D]."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.tensor(lengths, dtype=torch.int32)
    rows = 3 * len(lengths) + 2 * int(sizes.sum())
    return sizes, torch.randn(rows, width, generator=generator, dtype=dtype)


def padded(lengths, leaf, longest, *, filler=0.0):
    """The same leaf with every past `longest` places long."""
    batch = len(lengths)
    head, past = leaf[: 3 * batch], leaf[3 * batch :].view(-1, 2 * leaf.shape[1])
    wide = torch.full((batch, longest, past.shape[1]), filler, dtype=leaf.dtype)
    place = 0
    for sample, length in enumerate(lengths.tolist()):
        wide[sample, :length] = past[place : place + length]
        place += length
    return torch.cat([head, wide.view(-1, leaf.shape[1])])
