"""PopTorch's own optimizers, as far as they are torch's under another name."""

from __future__ import annotations

import torch


class Optimizer:
    """Marks those of this module."""


class SGD(Optimizer, torch.optim.SGD):
    pass


class Adam(Optimizer, torch.optim.Adam):
    pass


class AdamW(Optimizer, torch.optim.AdamW):
    pass


class RMSprop(Optimizer, torch.optim.RMSprop):
    pass
