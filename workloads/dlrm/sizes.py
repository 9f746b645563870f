"""Sizes of a DLRM from its definition: layers, parameters, operations, memory. Arithmetic only, nothing is allocated.

B samples, d embedding width, T tables, n = T + 1 vectors that interact
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.api import Work
from workloads.dlrm.config import DENSE_FEATURES, TABLES, DLRMConfig

FLOAT_BYTES = 4
CACHE_BYTES = 64 << 20  # tables that together fit here need not be fetched twice: more than an H200's L2 of 50 MB
SAMPLE_BYTES = (DENSE_FEATURES + TABLES + 1) * 4  # float32 features, int32 ids, a float32 label


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """The shape of one model: `tables` are the rows of each table."""

    embedding_dim: int
    bottom: tuple[int, ...]  # widths with the input's
    top: tuple[int, ...]
    pairs: int  # dot products of one sample
    tables: tuple[int, ...]

    @property
    def dense_parameters(self) -> int:
        return sum((before + 1) * after for layers in (self.bottom, self.top) for before, after in pairwise(layers))

    @property
    def table_parameters(self) -> int:
        return sum(self.tables) * self.embedding_dim

    @property
    def parameters(self) -> int:
        return self.dense_parameters + self.table_parameters

    def table_bytes(self, optimizer: str) -> int:
        """Bytes of the tables and of the optimizer's state beside them."""
        copies = 2 if optimizer == "adagrad" else 1
        return copies * self.table_parameters * FLOAT_BYTES

    def uncached_tables(self, optimizer: str) -> int:
        """How many tables are left when the smallest ones fill a cache."""
        bytes_per_row = (2 if optimizer == "adagrad" else 1) * self.embedding_dim * FLOAT_BYTES
        held = 0
        for index, rows in enumerate(sorted(self.tables)):
            held += rows * bytes_per_row
            if held > CACHE_BYTES:
                return len(self.tables) - index
        return 0

    @property
    def multiply_adds(self) -> int:
        """Of one sample going forward."""
        layers = sum(before * after for widths in (self.bottom, self.top) for before, after in pairwise(widths))
        return layers + self.pairs * self.embedding_dim


def model_sizes(config: DLRMConfig, tables: Sequence[int]) -> ModelSizes:
    """The sizes of `config`'s model over tables of these many rows."""
    vectors = len(tables) + 1
    pairs = 0
    if config.interaction == "dot":
        pairs = vectors * (vectors + 1 if config.interaction_self else vectors - 1) // 2
        width = config.embedding_dim + pairs
    else:
        width = vectors * config.embedding_dim
    return ModelSizes(
        embedding_dim=config.embedding_dim,
        bottom=(DENSE_FEATURES, *config.bottom_mlp),
        top=(width, *config.top_mlp),
        pairs=pairs,
        tables=tuple(tables),
    )


def work_per_step(sizes: ModelSizes, samples: int, *, training: bool, optimizer: str) -> Work:
    """The least that a step over `samples` must do.

    Training adds to each product forward one for the gradient of the weights and one for that of the inputs, which the
    first layer does not need. Every id reads its row and, in training, updates it; Adagrad's sum is a second row read
    and updated. Repeated ids count each time, but the smallest tables that fit in CACHE_BYTES count for nothing: their
    rows come from a cache. Dense weights are read once, and written once in training.
    """
    forward = 2 * sizes.multiply_adds
    flops = forward
    touched_rows = sizes.uncached_tables("adagrad" if training and optimizer == "adagrad" else "sgd")
    weight_passes = 1
    if training:
        flops = 3 * forward - 2 * sizes.bottom[0] * sizes.bottom[1]
        touched_rows *= 4 if optimizer == "adagrad" else 2
        weight_passes = 2
    return Work(
        flops=float(flops * samples),
        stream_bytes=float(weight_passes * sizes.dense_parameters * FLOAT_BYTES + samples * SAMPLE_BYTES),
        gathered_rows=float(touched_rows * samples),
        row_bytes=float(sizes.embedding_dim * FLOAT_BYTES),
    )
