"""The rows a DLRM run learns from and is judged on: the built-in click log, or a file of Criteo's text format.

Both end in the same form: int32 dense features as they stand in the log (MISSING where there is none), int32 ids below
their table's size, labels where there are any; cut into train, validation and test parts in order of rows. The
transform of the dense features is part of every batch (`transform_dense`), so a timing scope with input pays for it.

    n rows, 13 dense features, 26 id columns
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.api import Context, DataError, DataIdentity, RunFailed, UsageError
from workloads.common.clicks import ClickLogSpec, generate
from workloads.common.criteo import CATEGORY_NAMES
from workloads.common.criteo_data import (
    CriteoPart,
    DenseTransform,
    PartName,
    PreprocessingRules,
    Split,
    prepare_criteo,
)
from workloads.common.memory import available_bytes
from workloads.common.vocabulary import Vocabulary
from workloads.dlrm.config import DENSE_FEATURES, TABLES, DLRMConfig

PARTS: tuple[PartName, PartName, PartName] = ("train", "validation", "test")
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


class KaggleSplit(Split):
    """facebookresearch/dlrm's: seven days of equal length, the first ones a row longer; of the last one the first half
    tests and the second validates. The bounds are where those two begin."""

    def bounds(self, rows: int) -> tuple[int, int]:
        train_end = rows - rows // KAGGLE_DAYS
        return train_end, train_end + (rows - train_end + 1) // 2

    def __str__(self) -> str:
        return "kaggle"


def split_of(config: DLRMConfig) -> Split:
    """The split that a configuration asks for."""
    if config.split == "kaggle":
        return KaggleSplit()
    validation, test = Fraction(str(config.validation_fraction)), Fraction(str(config.test_fraction))
    return Split(1 - validation - test, validation, test)


def parts_of(split: Split, rows: int, source: str) -> dict[PartName, range]:
    """The three parts of `rows` rows. DataError where the training or the test part would be empty."""
    first, second = split.bounds(rows)
    behind: tuple[PartName, PartName] = ("test", "validation") if isinstance(split, KaggleSplit) else PARTS[1:]
    parts: dict[PartName, range] = {
        "train": range(first),
        behind[0]: range(first, second),
        behind[1]: range(second, rows),
    }
    for name in ("train", "test"):
        if not parts[name]:
            raise DataError(f"{source} has {rows} rows, too few for a {name} part by the split {split}")
    return parts


def load_data(context: Context, vocabulary: Mapping[str, Tensor]) -> ClickData:
    """The rows of `--data`, or the built-in log. A checkpoint's `vocabulary` is used instead of the file's own."""
    config: DLRMConfig = context.config
    if context.data is None:
        return built_in(config, context)
    return criteo_text(config, context, context.data, vocabulary)


def criteo_text(config: DLRMConfig, context: Context, path: Path, vocabulary: Mapping[str, Tensor]) -> ClickData:
    """A file of Criteo text, parsed once and cached. Without labels it has no parts but `all`."""
    split = split_of(config)
    rules = PreprocessingRules(
        frequency_threshold=config.frequency_threshold,
        max_table_rows=config.table_rows,
        dense_transform=config.dense_transform,
        split=split,
    )

    def progress(done: int, total: int) -> None:
        if context.should_stop():
            raise RunFailed(f"stopped while {path} was parsed")
        context.progress(done, total, "bytes parsed")

    prepared = prepare_criteo(
        path,
        rules,
        cache_root=context.cache_dir,
        on_bad_row=config.on_bad_row,
        vocabularies=_from_state(vocabulary) if vocabulary else None,
        progress=progress,
    )
    if prepared.first_bad is not None:
        context.log(f"{prepared.bad_rows} malformed lines were left out, the first: {prepared.first_bad}", "warning")
    rows = _held(prepared.rows, context)
    return ClickData(
        rows=rows,
        parts={} if rows.labels is None else parts_of(split, len(rows), str(path)),
        table_rows=prepared.table_rows,
        identity=DataIdentity(
            fingerprint=prepared.fingerprint(),
            kind="full" if prepared.file.kind == "sha256" else "sampled",
            rows=len(rows),
            description=f"Criteo text {path.name}",
            rules=f"split {split}; dense {config.dense_transform}; threshold {config.frequency_threshold}; "
            f"table rows {config.table_rows or 'unlimited'}",
        ),
        skipped=prepared.bad_rows if config.on_bad_row == "skip" else None,
        vocabulary=_to_state(prepared.vocabularies),
    )


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
        parts=parts_of(split_of(config), total, "the built-in click log"),
        table_rows=spec.cardinalities,
        identity=DataIdentity(
            fingerprint=fingerprint,
            kind="generated",
            rows=total,
            description=f"built-in click log, data seed {context.data_seed}",
            rules=f"split {split_of(config)}; dense {config.dense_transform}",
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


def transform_dense(raw: Tensor, transform: DenseTransform) -> Tensor:
    """float32 of int32 features, as `criteo_data.dense_features`; the least int32 is MISSING, so a clamp catches it."""
    if transform == "log1p":
        return raw.clamp_min(0).float().log1p_()
    return raw.clamp_min(-2).float().add_(3.0).log_()  # -2 and what is missing: log(1)


def _held(rows: CriteoPart, context: Context) -> Rows:
    """The cached arrays in memory, or mapped where they would take more than half of what is free."""
    label_bytes = 0 if rows.labels is None else rows.labels.nbytes
    if rows.dense.nbytes + rows.ids.nbytes + label_bytes <= available_bytes() // 2:
        return Rows(np.array(rows.dense), np.array(rows.ids), None if rows.labels is None else np.array(rows.labels))
    context.log("the rows take more than half of the free memory: they are read from the cache on disk", "warning")
    return Rows(rows.dense, rows.ids, rows.labels)


def _to_state(vocabularies: Sequence[Vocabulary]) -> dict[str, Tensor]:
    """Hashes by column, for a checkpoint; int32 holds the bits, older torch versions know no uint32."""
    named = zip(CATEGORY_NAMES, vocabularies, strict=True)
    return {name: torch.from_numpy(each.hashes.view(np.int32).copy()) for name, each in named}


def _from_state(state: Mapping[str, Tensor]) -> list[Vocabulary]:
    return [Vocabulary.of(state[name].numpy().view(np.uint32)) for name in CATEGORY_NAMES]
