"""From a Criteo text file to arrays that a model reads: parsed once, encoded by vocabularies, split in order, cached.

Two cache entries: the parsed file (by its fingerprint) and its encoding (by the rules as well), so other rules cost no
second parse. The arrays stay on disk, mapped into memory; one column at a time is held while its vocabulary is made.

    n rows; 13 dense integers and 26 table rows each
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DataError, UsageError
from workloads.common.cache import ArrayWriter, CacheEntry, Facts, cached
from workloads.common.criteo import CATEGORY_NAMES, INTEGER_NAMES, MISSING, OnBadRow, Progress, iterate_criteo
from workloads.common.fingerprint import FileFingerprint, fingerprint_file
from workloads.common.vocabulary import Vocabulary, build_vocabulary, digest

PARSER_VERSION = 2  # raised when the parsed arrays change
RULES_VERSION = 1  # raised when the same rules give other numbers
PARSED_BYTES_PER_ROW = 4 * len(INTEGER_NAMES) + 4 * len(CATEGORY_NAMES) + 4 + 1
ENCODED_BYTES_PER_ROW = 4 * len(CATEGORY_NAMES)
SHORTEST_LINE_BYTES = 150  # of a typical Criteo line of 240, to estimate the rows of a file from above
ENCODED_ROWS = 1 << 18  # rows encoded at a time

DenseTransform = Literal["log1p", "log3"]
PartName = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Split:
    """Shares of train, validation and test, in file order: the first rows train, the last ones test."""

    train: Fraction = Fraction(7, 10)
    validation: Fraction = Fraction(1, 10)
    test: Fraction = Fraction(2, 10)

    @classmethod
    def parse(cls, text: str) -> Split:
        """'7:1:2' or '0.7:0.1:0.2': any three numbers, of which validation and test may be 0."""
        try:
            shares = [Fraction(part.strip()) for part in text.split(":")]
        except (ValueError, ZeroDivisionError):
            shares = []
        if len(shares) != 3 or min(shares) < 0 or shares[0] == 0:
            raise UsageError(
                f"split {text!r}: expected three shares, train:validation:test, with a train share above 0",
                hint="for example 7:1:2",
            )
        whole = sum(shares)
        return cls(*(share / whole for share in shares))

    def bounds(self, rows: int) -> tuple[int, int]:
        """Where the validation and the test part begin."""
        return int(self.train * rows), int((self.train + self.validation) * rows)

    def __str__(self) -> str:
        return f"{self.train}:{self.validation}:{self.test}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessingRules:
    """Everything between the file and the numbers a model sees; part of a result's identity.

    `frequency_threshold` 3 is TorchRec's and NVIDIA's smallest.
    """

    frequency_threshold: int = 3
    max_table_rows: int | None = None
    dense_transform: DenseTransform = "log1p"
    split: Split = Split()

    def __post_init__(self) -> None:
        if self.frequency_threshold < 1:
            raise UsageError(f"frequency_threshold must be at least 1, not {self.frequency_threshold}")
        if self.max_table_rows is not None and self.max_table_rows < 2:
            raise UsageError(f"max_table_rows must be at least 2 (rare and missing ids), not {self.max_table_rows}")

    def describe(self) -> dict[str, str | int | None]:
        """The rules as plain JSON, with their version."""
        return {"version": RULES_VERSION, **asdict(self), "split": str(self.split)}

    def fingerprint(self) -> str:
        return _sha256(self.describe())


@dataclass(frozen=True, slots=True, eq=False)
class CriteoPart:
    """Some consecutive rows."""

    dense: npt.NDArray[np.int32]  # [n, 13], MISSING where empty; see `dense_features`
    ids: npt.NDArray[np.int32]  # [n, 26] rows of the tables
    labels: npt.NDArray[np.int8] | None  # [n]

    def __len__(self) -> int:
        return int(self.dense.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class CriteoData:
    """A prepared file."""

    file: FileFingerprint
    rules: PreprocessingRules
    rows: CriteoPart  # all of them
    bounds: tuple[int, int]  # where validation and test begin
    vocabularies: tuple[Vocabulary, ...]
    bad_rows: int
    first_bad: str | None

    @property
    def table_rows(self) -> tuple[int, ...]:
        return tuple(vocabulary.table_rows for vocabulary in self.vocabularies)

    def part(self, name: PartName) -> CriteoPart:
        validation, test = self.bounds
        edges = {"train": (0, validation), "validation": (validation, test), "test": (test, len(self.rows))}
        rows = slice(*edges[name])
        labels = self.rows.labels
        return CriteoPart(self.rows.dense[rows], self.rows.ids[rows], None if labels is None else labels[rows])

    def fingerprint(self) -> str:
        """The identity of the data: file, rules, vocabularies and lines left out."""
        return _sha256([str(self.file), self.rules.describe(), digest(self.vocabularies), self.bad_rows])


def prepare_criteo(
    path: Path,
    rules: PreprocessingRules,
    *,
    cache_root: Path,
    on_bad_row: OnBadRow = "error",
    vocabularies: Sequence[Vocabulary] | None = None,
    progress: Progress | None = None,
) -> CriteoData:
    """The rows of a Criteo file, encoded and split by `rules`, from the cache when they are there.

    Vocabularies are made from the training part alone. Give those of a trained model to encode another file for it
    (the unlabelled `test.txt`, say); then all rows are the test part. Raises DataError for a bad file, RunFailed when
    the disk is full.
    """
    parsed_key, file, parsed = _parsed(path, cache_root, on_bad_row, progress)
    count = int(parsed.facts["rows"])
    if vocabularies is None:
        if not parsed.facts["labelled"]:
            raise DataError(
                f"{path} has no labels (39 fields a line), so no model can be trained or judged on it",
                hint="train on a labelled file; an unlabelled one serves for predictions",
            )
        bounds = rules.split.bounds(count)
        _check_parts(path, count, bounds, rules.split)
    else:
        bounds = (0, 0)
    encoded = _encoded(parsed_key, parsed, rules, bounds[0], vocabularies, cache_root)
    hashes = encoded.array("vocabulary")
    edges = np.cumsum([0, *encoded.facts["vocabulary_sizes"]])
    return CriteoData(
        file=file,
        rules=rules,
        rows=CriteoPart(
            parsed.array("dense"),
            encoded.array("ids"),
            parsed.array("labels") if parsed.facts["labelled"] else None,
        ),
        bounds=bounds,
        vocabularies=tuple(Vocabulary.of(np.array(hashes[start:stop])) for start, stop in itertools.pairwise(edges)),
        bad_rows=int(parsed.facts["bad_rows"]),
        first_bad=parsed.facts["first_bad"],
    )


def dense_features(dense: npt.NDArray[np.int32], transform: DenseTransform) -> npt.NDArray[np.float32]:
    """Dense integers [n, 13] as a model's input.

    log1p: log(x + 1), missing and negative as 0 (facebookresearch/dlrm and MindSpore).
    log3: log(x + 3) and 0 for missing (NVIDIA DeepLearningExamples); values below -2 count as -2.
    """
    missing = dense == MISSING
    if transform == "log1p":
        logarithms: npt.NDArray[np.float32] = np.log1p(np.maximum(dense, 0), dtype=np.float32)
        return logarithms
    features: npt.NDArray[np.float32] = np.log(np.maximum(dense, -2).astype(np.float32) + np.float32(3.0))
    features[missing] = 0.0
    return features


def _parsed(
    path: Path, cache_root: Path, on_bad_row: OnBadRow, progress: Progress | None
) -> tuple[str, FileFingerprint, CacheEntry]:
    next(iterate_criteo(path, on_bad_row=on_bad_row))  # a wrong file is told before it is hashed
    file = fingerprint_file(path, memory=cache_root / "fingerprints.json")
    key = "criteo-rows-" + _sha256([PARSER_VERSION, str(file), file.bytes])[:32]

    def build(folder: Path) -> Facts:
        return _write_parsed(path, folder, on_bad_row, progress)

    needed = file.bytes // SHORTEST_LINE_BYTES * PARSED_BYTES_PER_ROW
    entry = cached(cache_root, key, build, needed_bytes=needed)
    if entry.facts["bad_rows"] and on_bad_row == "error":
        raise DataError(entry.facts["first_bad"])
    return key, file, entry


def _write_parsed(path: Path, folder: Path, on_bad_row: OnBadRow, progress: Progress | None) -> Facts:
    rows, bad_rows, first_bad, labelled = 0, 0, None, False
    bits = np.uint32(1) << np.arange(len(CATEGORY_NAMES), dtype=np.uint32)
    with contextlib.ExitStack() as stack:
        dense = stack.enter_context(ArrayWriter(folder / "dense.npy", np.int32, (len(INTEGER_NAMES),)))
        missing = stack.enter_context(ArrayWriter(folder / "missing.npy", np.uint32))
        labels = stack.enter_context(ArrayWriter(folder / "labels.npy", np.int8))
        columns = [stack.enter_context(ArrayWriter(folder / f"{name}.npy", np.uint32)) for name in CATEGORY_NAMES]
        for block in iterate_criteo(path, on_bad_row=on_bad_row, progress=progress):
            dense.append(block.dense)
            missing.append(block.missing_ids @ bits)
            for number, column in enumerate(columns):
                column.append(block.ids[:, number])
            if block.labels is not None:
                labelled = True
                labels.append(block.labels)
            rows += len(block)
            bad_rows += block.bad_rows
            first_bad = first_bad or block.first_bad
    return {"rows": rows, "bad_rows": bad_rows, "first_bad": first_bad, "labelled": labelled}


def _encoded(
    parsed_key: str,
    parsed: CacheEntry,
    rules: PreprocessingRules,
    training_rows: int,
    vocabularies: Sequence[Vocabulary] | None,
    cache_root: Path,
) -> CacheEntry:
    thresholds = [rules.frequency_threshold, rules.max_table_rows, training_rows] if vocabularies is None else None
    given = None if vocabularies is None else digest(vocabularies)
    key = "criteo-ids-" + _sha256([RULES_VERSION, parsed_key, thresholds, given])[:32]

    def build(folder: Path) -> Facts:
        used = _vocabularies(parsed, rules, training_rows) if vocabularies is None else vocabularies
        _write_ids(parsed, used, folder)
        np.save(folder / "vocabulary.npy", np.concatenate([each.hashes for each in used]))
        return {"vocabulary_sizes": [int(each.hashes.size) for each in used]}

    return cached(cache_root, key, build, needed_bytes=int(parsed.facts["rows"]) * ENCODED_BYTES_PER_ROW)


def _vocabularies(parsed: CacheEntry, rules: PreprocessingRules, training_rows: int) -> list[Vocabulary]:
    missing = parsed.array("missing")[:training_rows]
    return [
        build_vocabulary(
            np.array(parsed.array(name)[:training_rows]),
            _missing_in(missing, number),
            frequency_threshold=rules.frequency_threshold,
            max_table_rows=rules.max_table_rows,
        )
        for number, name in enumerate(CATEGORY_NAMES)
    ]


def _write_ids(parsed: CacheEntry, vocabularies: Sequence[Vocabulary], folder: Path) -> None:
    missing = parsed.array("missing")
    columns = [parsed.array(name) for name in CATEGORY_NAMES]
    with ArrayWriter(folder / "ids.npy", np.int32, (len(CATEGORY_NAMES),)) as writer:
        for start in range(0, int(parsed.facts["rows"]), ENCODED_ROWS):
            rows = slice(start, start + ENCODED_ROWS)
            absent = np.array(missing[rows])
            block = np.empty((absent.size, len(CATEGORY_NAMES)), np.int32)
            for number, (column, vocabulary) in enumerate(zip(columns, vocabularies, strict=True)):
                block[:, number] = vocabulary.encode(np.array(column[rows]), _missing_in(absent, number))
            writer.append(block)


def _missing_in(bits: npt.NDArray[np.uint32], column: int) -> npt.NDArray[np.bool_]:
    absent: npt.NDArray[np.bool_] = (bits >> np.uint32(column)) & np.uint32(1) != 0
    return absent


def _check_parts(path: Path, rows: int, bounds: tuple[int, int], split: Split) -> None:
    sizes = {"train": bounds[0], "validation": bounds[1] - bounds[0], "test": rows - bounds[1]}
    for name, size in sizes.items():
        if size == 0 and getattr(split, name) > 0:
            raise DataError(
                f"{path} has {rows} rows, and the split {split} leaves none of them for {name}",
                hint="give more rows or another split",
            )


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
