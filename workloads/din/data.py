"""The samples of a DIN run, in three parts: from the seven Amazon files, from ordered sequences, or synthetic.

A protocol says what a sample is and which ones test; published numbers of different protocols are different tasks, so
the protocol is part of the data's identity. Validation is taken out of the training part, never out of the test part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.api import Context, DataError, DataIdentity, RunFailed, UsageError
from workloads.common.counter import below, stream
from workloads.din.amazon import AmazonFiles, is_amazon_folder, read_amazon
from workloads.din.config import DINConfig, Protocol
from workloads.din.samples import Samples, check_ids
from workloads.din.sequences import NEGATIVES_VERSION, read_sequences, samples_of
from workloads.din.synthetic import SyntheticSpec, generate

PartName = Literal["train", "validation", "test"]
_SPLIT_VERSION = 1
_SYNTHETIC_PARTS = (0.8, 0.9)  # where validation and test begin


@dataclass(frozen=True, slots=True, eq=False)
class DinData:
    """All samples of a run, the tables their ids belong to, and their identity."""

    parts: Mapping[PartName, Samples]
    table_rows: tuple[int, int, int]  # user, item, category
    protocol: Protocol
    identity: DataIdentity
    unique_rows: int | None = None


def load_data(context: Context) -> DinData:
    """The samples of `--data`, or synthetic ones. UsageError where protocol and data do not belong together."""
    config: DINConfig = context.config
    protocol = protocol_of(config, context.data)
    data = context.data
    if protocol == "synthetic":
        return _synthetic(config, context)
    assert data is not None
    if protocol == "dien":
        return _dien(config, context, data)
    return _paper(config, context, data)


def protocol_of(config: DINConfig, data: Path | None) -> Protocol:
    """The protocol asked for, or the one that belongs to the data."""
    asked = config.protocol
    if config.use_synthetic_data and data is not None:
        raise UsageError(f"din: --use-synthetic-data and --data {data} are two different data sets")
    if data is None:
        if asked in ("paper", "dien"):
            wanted = "a file of ordered sequences" if asked == "paper" else "a folder with the seven Amazon files"
            raise UsageError(f"din: protocol {asked} needs --data, {wanted}")
        return "synthetic"
    if asked == "synthetic":
        raise UsageError(f"din: protocol synthetic makes its own samples, but --data {data} is given")
    if not data.exists():
        raise DataError(f"{data} is not there")
    found: Protocol = "dien" if data.is_dir() else "paper"
    if found == "dien" and not is_amazon_folder(data):
        raise DataError(
            f"{data} has no file local_train_splitByUser",
            hint="protocol dien takes a folder with the seven Amazon files, protocol paper a file of sequences",
        )
    if asked is not None and asked != found:
        has = "the seven Amazon files" if found == "dien" else "ordered sequences"
        raise UsageError(
            f"din: protocol {asked} cannot be had from {data}, which holds {has}", hint=f"--protocol {found}"
        )
    return found


def _paper(config: DINConfig, context: Context, path: Path) -> DinData:
    ordered = read_sequences(path, cache_root=context.cache_dir, progress=_Parsing(context, path))
    train, test, left = samples_of(ordered, context.data_seed)
    how = config.validation or "time"
    users = len(ordered.begins) - 1
    chosen = _users_who_validate(users, config.validation_fraction, context.data_seed)
    held = chosen[train.groups]
    if how == "time":
        held &= left == 1
    return _made(
        config,
        protocol="paper",
        train=train.rows(np.flatnonzero(~held)),
        validation=train.rows(np.flatnonzero(held)),
        test=test,
        table_rows=ordered.table_rows,
        digest=f"{ordered.fingerprint} negatives {NEGATIVES_VERSION} {context.data_seed}",
        description=f"sequences {path.name}",
        rules=f"negatives of data seed {context.data_seed}; validation by {how}, {config.validation_fraction:g} of "
        "the users",
    )


def _dien(config: DINConfig, context: Context, folder: Path) -> DinData:
    how = config.validation or "user"
    if how == "time":
        raise UsageError(
            "din: protocol dien has one place for each user, so nothing can validate by time",
            hint="--validation user, or protocol paper from a file of sequences",
        )
    files = read_amazon(folder, cache_root=context.cache_dir, progress=_Parsing(context, folder))
    _tell_of_unknown(files, context)
    train = files.train
    count = int(train.groups.max()) + 1
    held = _users_who_validate(count, config.validation_fraction, context.data_seed)[train.groups]
    # Their users are unknown, as those of the test part are: the vocabulary has only users who train.
    validation = train.rows(np.flatnonzero(held))
    validation = replace(validation, users=np.zeros_like(validation.users))
    return _made(
        config,
        protocol="dien",
        train=train.rows(np.flatnonzero(~held)),
        validation=validation,
        test=files.test,
        table_rows=files.table_rows,
        digest=files.fingerprint,
        description=f"seven Amazon files {folder.name}",
        rules=f"validation by user, {config.validation_fraction:g} of the users, data seed {context.data_seed}",
    )


def _synthetic(config: DINConfig, context: Context) -> DinData:
    try:
        spec = SyntheticSpec(
            seed=context.data_seed,
            users=config.users,
            items=config.items,
            categories=config.categories,
            max_seq_len=config.max_seq_len,
            mean_length=config.mean_length if config.lengths == "real" else None,
        )
    except ValueError as problem:
        raise UsageError(f"din: the synthetic samples cannot be made: {problem}") from problem

    def progress(done: int, total: int) -> None:
        if context.should_stop():
            raise RunFailed("stopped while the synthetic samples were made")
        context.progress(done, total, "samples generated")

    samples, different = generate(spec, config.rows, progress)
    pairs = len(samples) // 2
    first, second = (2 * int(pairs * share) for share in _SYNTHETIC_PARTS)
    made = _made(
        config,
        protocol="synthetic",
        train=samples.rows(slice(0, first)),
        validation=samples.rows(slice(first, second)),
        test=samples.rows(slice(second, len(samples))),
        table_rows=(spec.users, spec.items, spec.categories),
        digest=f"{spec.fingerprint()} {len(samples)}",
        description=f"synthetic samples, data seed {context.data_seed}",
        rules="parts in order of rows",
    )
    return replace(made, unique_rows=different, identity=replace(made.identity, kind="generated"))


def _made(
    config: DINConfig,
    *,
    protocol: Protocol,
    train: Samples,
    validation: Samples,
    test: Samples,
    table_rows: tuple[int, int, int],
    digest: str,
    description: str,
    rules: str,
) -> DinData:
    for name, samples in (("training", train), ("test", test)):
        if not len(samples):
            raise DataError(f"{description} leaves no {name} samples by protocol {protocol}")
        check_ids(samples, table_rows, description)
    longest = config.max_seq_len
    rules = f"protocol {protocol}; {rules}; the last {longest} of the past"
    fingerprint = hashlib.sha256(f"din {_SPLIT_VERSION} {digest} {rules}".encode()).hexdigest()
    return DinData(
        parts={"train": train.cut(longest), "validation": validation.cut(longest), "test": test.cut(longest)},
        table_rows=table_rows,
        protocol=protocol,
        identity=DataIdentity(
            fingerprint=fingerprint,
            kind="full",
            rows=len(train) + len(validation) + len(test),
            description=description,
            rules=rules,
        ),
    )


def _users_who_validate(users: int, fraction: float, data_seed: int) -> npt.NDArray[np.bool_]:
    """[users] by a hash of their number, so that one user's part does not depend on how many there are."""
    share = below(stream(data_seed, _SPLIT_VERSION, "din validation").at(np.arange(users)), 1 << 30)
    chosen: npt.NDArray[np.bool_] = share < round(fraction * (1 << 30))
    return chosen


@dataclass(frozen=True, slots=True)
class _Parsing:
    """Progress of a reader, which also ends it when the run is asked to stop."""

    context: Context
    path: Path

    def __call__(self, done: int, total: int) -> None:
        if self.context.should_stop():
            raise RunFailed(f"stopped while {self.path} was parsed")
        self.context.progress(done, total, "bytes parsed")


def _tell_of_unknown(files: AmazonFiles, context: Context) -> None:
    """Names without an id share row 0: of users that is a real user's row, as in the original."""
    for what, count in files.unknown.items():
        level: Literal["info", "warning"] = "info" if what == "test users" else "warning"
        context.log(f"{count} {what} are not in the vocabulary and share the row with id 0", level)
