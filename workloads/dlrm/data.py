"""The rows a DLRM run learns from and is judged on: the built-in click log, or a file of Criteo's text format.

Both end in the same form: int32 dense features as they stand in the log (MISSING where there is none), int32 ids below
their table's size, labels where there are any; cut into train, validation and test parts in order of rows. The
transform of the dense features is part of every batch (`transform_dense`), so a timing scope with input pays for it.

    n rows, 13 dense features, 26 id columns
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.api import Context, DataError, DataIdentity, RunFailed, UsageError
from workloads.common.clicks import MISSING, ClickLogSpec, generate
from workloads.dlrm.config import DENSE_FEATURES, TABLES, DLRMConfig

PartName = Literal["train", "validation", "test"]
PARTS: tuple[PartName, ...] = ("train", "validation", "test")
KAGGLE_DAYS = 7
_GENERATED_AT_ONCE = 1 << 17


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Consecutive rows of a log. What is not known of them is None."""

    dense: npt.NDArray[np.int32]  # [n, 13]
    ids: npt.NDArray[np.int32]  # [n, 26]
    labels: npt.NDArray[np.int8] | None  # [n]
    first: int = 0  # number of the first row, from 0
    probabilities: npt.NDArray[np.float64] | None = None  # [n] true ones, of generated rows
    dense_logits: npt.NDArray[np.float64] | None = None  # [n] the dense features' share of the true logit

    def __len__(self) -> int:
        return len(self.dense)

    def part(self, start: int, stop: int) -> Rows:
        """Rows start to stop - 1 of these, without a copy."""
        return Rows(
            self.dense[start:stop],
            self.ids[start:stop],
            None if self.labels is None else self.labels[start:stop],
            self.first + start,
            None if self.probabilities is None else self.probabilities[start:stop],
            None if self.dense_logits is None else self.dense_logits[start:stop],
        )


@dataclass(frozen=True, slots=True, eq=False)
class ClickData:
    """All rows of a run, the tables their ids belong to, and their identity."""

    rows: Rows
    parts: Mapping[PartName, range]
    table_rows: tuple[int, ...]
    identity: DataIdentity
    skipped: int | None = None  # malformed lines left out; None where none were allowed
    vocabulary: Mapping[str, Tensor] = field(default_factory=dict)  # what makes ids of a file's hashes

    def part(self, name: Literal["train", "validation", "test", "all"]) -> Rows:
        if name == "all":
            return self.rows
        return self.rows.part(self.parts[name].start, self.parts[name].stop)


def load_data(context: Context, vocabulary: Mapping[str, Tensor]) -> ClickData:
    """The rows of `--data`, or the built-in log. `vocabulary` is a checkpoint's, to be used instead of the file's."""
    config: DLRMConfig = context.config
    if context.data is None:
        return built_in(config, context)
    raise NotImplementedError


def split(rows: int, config: DLRMConfig, source: str) -> dict[PartName, range]:
    """The three parts of `rows` rows. DataError where the training or the test part would be empty.

    `ordered`: the last `test_fraction` tests, the `validation_fraction` before it validates. `kaggle`: the rows are
    seven days of equal length (the first days one row longer); of the last, the first half tests.
    """
    if config.split == "kaggle":
        train_end = rows - rows // KAGGLE_DAYS
        test_end = train_end + (rows - train_end + 1) // 2
        parts: dict[PartName, range] = {
            "train": range(train_end),
            "validation": range(test_end, rows),
            "test": range(train_end, test_end),
        }
    else:
        test_start = rows - round(rows * config.test_fraction)
        validation_start = test_start - round(rows * config.validation_fraction)
        parts = {
            "train": range(validation_start),
            "validation": range(validation_start, test_start),
            "test": range(test_start, rows),
        }
    for name in ("train", "test"):
        if not parts[name]:
            raise DataError(f"{source} has {rows} rows, too few for a {name} part by the {config.split} split")
    return parts


def built_in(config: DLRMConfig, context: Context) -> ClickData:
    """The seeded synthetic log. Cut short only by `should_stop`, which ends the run."""
    spec = click_log_spec(config, context.data_seed)
    total = config.rows
    dense = np.empty((total, DENSE_FEATURES), np.int32)
    ids = np.empty((total, TABLES), np.int32)
    labels = np.empty(total, np.int8)
    probabilities, dense_logits = np.empty(total), np.empty(total)
    for start in range(0, total, _GENERATED_AT_ONCE):
        stop = min(start + _GENERATED_AT_ONCE, total)
        if context.should_stop():
            raise RunFailed("stopped while the built-in rows were made")
        try:
            block = generate(spec, start, stop)
        except ValueError as problem:
            raise UsageError(f"dlrm: the built-in click log cannot be made: {problem}") from problem
        dense[start:stop], ids[start:stop], labels[start:stop] = block.dense, block.ids, block.labels
        probabilities[start:stop], dense_logits[start:stop] = block.probabilities, block.dense_logits
        context.progress(stop, total, "rows generated")
    fingerprint = hashlib.sha256(f"{spec.fingerprint()} {total}".encode()).hexdigest()
    return ClickData(
        rows=Rows(dense, ids, labels, 0, probabilities, dense_logits),
        parts=split(total, config, "the built-in click log"),
        table_rows=spec.cardinalities,
        identity=DataIdentity(
            fingerprint=fingerprint,
            kind="generated",
            rows=total,
            description=f"built-in click log, data seed {context.data_seed}",
            rules=f"{_split_rule(config)}; dense {config.dense_transform}",
        ),
    )


def click_log_spec(config: DLRMConfig, data_seed: int) -> ClickLogSpec:
    """The generator's spec for a configuration."""
    return ClickLogSpec(
        seed=data_seed,
        cardinalities=config.table_sizes(),
        zipf_exponent=config.zipf_exponent,
        scatter_ids=config.scatter_ids,
        bias=config.teacher_bias,
        dense_scale=config.teacher_dense,
        categorical_scale=config.teacher_categorical,
        pairs=config.pairs(),
        pair_scale=config.teacher_pair,
    )


def transform_dense(raw: Tensor, transform: Literal["log1p", "log3", "none"]) -> Tensor:
    """float32 of int32 features. MISSING is the least int32, so a clamp from below catches it too."""
    if transform == "log1p":
        return raw.clamp_min(0).float().log1p_()
    if transform == "log3":
        return raw.clamp_min(-2).float().add_(3.0).log_()  # -2 and what is missing: log(1)
    return torch.where(raw == MISSING, 0, raw).float()


def _split_rule(config: DLRMConfig) -> str:
    if config.split == "kaggle":
        return "split kaggle"
    return f"split ordered {config.validation_fraction:g}/{config.test_fraction:g}"
