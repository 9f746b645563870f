"""DIN on devices that run eager PyTorch: `workloads.din.network` behind a leaf of embedding rows.

B samples, N places of the past (B * T where it is padded), D embedding width, V = 2 D
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api import Portable, TableEngine
from workloads.din import head, interest, network
from workloads.din.network import Din, Shape

Past = Literal["padded", "plain", "fused"]


class HostDin(Din):
    """The dense part with the leaf's rows as input: B users, B targets (item, category), N of the past, as they lie.

    `past` says how it is laid out and computed: padded as on every device, or jagged (`workloads.din.interest`).
    """

    def __init__(self, shape: Shape, max_seq_len: int, past: Past) -> None:
        super().__init__(shape, max_seq_len)
        self.past: Past = past

    def forward(self, lengths: Tensor, leaf: Tensor) -> Tensor:  # type: ignore[override]
        """Logits [B] of lengths [B] int32 and leaf [3 B + 2 N, D]."""
        if self.past == "fused":
            found = interest.fused(self, lengths, leaf)
            return head.judge(self, *found) if self.training and head.can_fuse(self) else self.judge(*found)
        user, target, past = interest.split_leaf(leaf, len(lengths))
        if self.past == "padded":
            return super().forward(lengths, user, target, past.view(len(lengths), -1, past.shape[1]))
        return self.judge(user, target, *interest.plain(self, lengths, target, past))


@dataclass(slots=True, eq=False)
class DinModel:
    """The dense module and its tables, as an executor wants them."""

    dense: HostDin
    tables: TableEngine
    table_rows: Sequence[int]
    max_seq_len: int

    @property
    def batch_statistics(self) -> bool:
        return self.dense.shape.dice == "batch"

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean binary cross-entropy, which is that of a softmax over the two outputs."""
        return F.binary_cross_entropy_with_logits(logits.float(), labels)

    def portable(self) -> Portable:
        """The same network with plain tables, for a vendor's Python."""
        shape = {name: list(value) if isinstance(value, tuple) else value for name, value in self._shape().items()}
        return Portable(
            files=(Path(network.__file__),),
            factory="network:build",
            arguments={"shape": shape, "table_rows": list(self.table_rows), "max_seq_len": self.max_seq_len},
        )

    def _shape(self) -> dict[str, object]:
        return self.dense.shape._asdict()


def initialize_dense(dense: Din, generator: torch.Generator) -> None:
    """Glorot's uniform for weights and zeros for biases, as TensorFlow's layers begin (graphcore/examples)."""
    with torch.no_grad():
        for layer in dense.modules():
            if isinstance(layer, nn.Linear):
                bound = math.sqrt(6.0 / sum(layer.weight.shape))
                layer.weight.uniform_(-bound, bound, generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()
