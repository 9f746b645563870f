"""Sizes of a DIN from its definition: parameters, operations, memory. Arithmetic only, nothing is allocated."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harness.api import UsageError, Work
from workloads.common.memory import RESERVE_BYTES, gigabytes
from workloads.din.network import Shape

FLOAT_BYTES = 4


def dense_parameters(shape: Shape) -> int:
    """Weights, biases and Dice's alphas of everything but the tables."""
    fc = (shape.joined_width, *shape.fc_layers, 2)
    count = sum((before + 1) * after for before, after in pairwise(fc)) + sum(shape.fc_layers)
    count += 2 * shape.joined_width if shape.batch_norm else 0
    if shape.attention == "mean":
        return count
    if shape.attention_size != shape.item_width:
        count += shape.item_width * shape.attention_size
    return count + sum((before + 1) * after for before, after in pairwise(_unit(shape)))


def table_parameters(shape: Shape, table_rows: Sequence[int]) -> int:
    return sum(table_rows) * shape.embedding_dim


def check_tables_fit(shape: Shape, table_rows: Sequence[int], copies: int, available: int) -> None:
    """UsageError when the tables and their optimizer's state need more than `available` bytes."""
    needed = copies * table_parameters(shape, table_rows) * FLOAT_BYTES
    if needed + RESERVE_BYTES <= available:
        return
    beside = f", {copies} times for adam" if copies > 1 else ""
    raise UsageError(
        f"the embedding tables need {gigabytes(needed)} ({sum(table_rows):,} rows of {shape.embedding_dim} "
        f"floats{beside}) and the rest of the run {gigabytes(RESERVE_BYTES)}, but {gigabytes(available)} of memory "
        "are free",
        hint="smaller tables: --users, --items, --categories for synthetic samples; or --optimizer sgd",
    )


def work_per_step(shape: Shape, samples: int, mean_length: float, *, training: bool, adam: bool) -> Work:
    """The least that a step over `samples` must do, each with a past of `mean_length`.

    The unit's first layer counts as `merged`: a product with k alone. Training adds a product for the gradient of the
    weights and one for that of the inputs. Every id reads its row; training updates it, under Adam with two moments.
    """
    fc = (shape.joined_width, *shape.fc_layers, 2)
    forward = 2.0 * sum(before * after for before, after in pairwise(fc))
    if shape.attention != "mean":
        unit = (shape.attention_size, *_unit(shape)[1:])
        forward += 2.0 * mean_length * sum(before * after for before, after in pairwise(unit))
    forward += 4.0 * mean_length * shape.item_width
    rows = 3.0 + 2.0 * mean_length
    touches = 1 if not training else 6 if adam else 2
    return Work(
        flops=forward * samples * (3 if training else 1),
        stream_bytes=float(dense_parameters(shape) * FLOAT_BYTES * (2 if training else 1)) + samples * 4.0 * rows,
        gathered_rows=rows * touches * samples,
        row_bytes=float(shape.embedding_dim * FLOAT_BYTES),
    )


def _unit(shape: Shape) -> tuple[int, ...]:
    layers = () if shape.attention == "linear" else tuple(shape.attention_layers)
    return (4 * shape.attention_size, *layers, 1)
