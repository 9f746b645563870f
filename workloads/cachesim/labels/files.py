"""Labels as npz: plain arrays, and what they were made from and for in JSON.

| array             | meaning                                                       |
|-------------------|---------------------------------------------------------------|
| `keep`            | [N] uint8, 1: OPT keeps the row until its next use            |
| `hits`            | [N] uint8, 1: this request hits in OPT                        |
| `misses`          | int32, the rows of the requests that miss, in order           |
| `shard_starts`    | [S + 1] int64, the request each shard begins with, then N     |
| `capacities`      | [S] int64, rows of the cache                                  |
| `unique`          | [S] int64, distinct rows of the shard                         |
| `recbench_labels` | the description: policy, capacity shares, trace, its fingerprint |
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from harness.api import DataError
from workloads.cachesim.labels.make import Labels
from workloads.cachesim.traces.writers import whole_file

FORMAT_NAME = "recbench labels"
FORMAT_VERSION = 1
_ARRAYS = ("keep", "hits", "misses", "shard_starts", "capacities", "unique")


def write_labels(labels: Labels, path: Path) -> None:
    """Complete or not at all."""
    about = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "policy": labels.policy,
        "requests": labels.requests,
        "capacity_rows": labels.capacities.tolist(),
        "capacity_shares": labels.capacity_shares.tolist(),
        "trace_fingerprint": labels.trace_fingerprint,
        "source": labels.source,
    }
    arrays = {name: getattr(labels, name) for name in _ARRAYS}
    with whole_file(path) as file:
        np.savez(
            file, allow_pickle=False, recbench_labels=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays
        )


def read_labels(path: Path) -> Labels:
    """What `write_labels` wrote. Raises DataError for anything else, and for arrays that contradict each other."""
    try:
        with np.load(path, allow_pickle=False) as loaded:
            if not isinstance(loaded, np.lib.npyio.NpzFile) or "recbench_labels" not in loaded.files:
                raise DataError(f"{path} holds no labels", hint="bench cache label makes them")
            about = json.loads(loaded["recbench_labels"].tobytes())
            if about["format"] != FORMAT_NAME or about["version"] > FORMAT_VERSION:
                raise DataError(
                    f"{path} is version {about['version']} of the format, this program reads up to {FORMAT_VERSION}",
                    hint="update recbench",
                )
            arrays: dict[str, Any] = {name: loaded[name] for name in _ARRAYS}
        labels = Labels(
            **arrays, policy=about["policy"], trace_fingerprint=about["trace_fingerprint"], source=about["source"]
        )
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", hint="bench cache label makes labels") from None
    except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} holds no labels: {error}", hint="bench cache label makes them") from error
    _check(labels, path)
    return labels


def _check(labels: Labels, path: Path) -> None:
    shards = labels.capacities.size
    wrong = (
        labels.hits.shape != labels.keep.shape
        or labels.unique.size != shards
        or labels.shard_starts.size != shards + 1
        or int(labels.shard_starts[-1]) != labels.requests
        or labels.misses.size != labels.requests - int(np.count_nonzero(labels.hits))
    )
    if wrong:
        raise DataError(f"{path} is damaged: its arrays do not fit each other", hint="make the labels again")
