"""The shared real traces, the Zipf trace of golden counts, and small seeded ones."""

from __future__ import annotations

import functools
import hashlib
import json
import lzma
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[4] / ".." / "shared" / "data" / "traces"
ZIPF_SHA256 = "0b263aee9a1f280d6dc2250517708799d1564a4d9dbdbe9fb290573a723703c5"


def golden():
    return json.loads(_shared("golden_hits.json").read_text())


@functools.cache
def trace(name):
    """Dense int32 ids and the number of rows."""
    if name == "dlrm_reuse_medium_500K":
        ids = np.loadtxt(_shared(f"{name}.txt"), dtype=np.int64)
    elif name == "scarab-recs":
        ids = np.frombuffer(lzma.decompress(_shared(f"{name}.trace.xz").read_bytes()), dtype=">i8").astype(np.int64)
    else:
        return zipf_10m(), 1_000_000
    rows, dense = np.unique(ids, return_inverse=True)
    return dense.astype(np.int32), len(rows)


def zipf_10m():
    random = np.random.Generator(np.random.PCG64(42))
    share = np.cumsum(1.0 / np.arange(1, 1_000_001, dtype=np.float64))
    ranks = np.searchsorted(share / share[-1], random.random(10_000_000), side="right")
    ids = random.permutation(1_000_000)[ranks].astype("<i8")
    assert hashlib.sha256(ids.tobytes()).hexdigest() == ZIPF_SHA256
    return ids.astype(np.int32)


def small_zipf(requests, n_rows, seed):
    random = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, n_rows + 1)
    return random.permutation(n_rows)[random.choice(n_rows, size=requests, p=weights / weights.sum())].astype(np.int32)


def drifting(requests, n_rows, seed):
    """Popular rows change with time, with scans between: what makes policies differ."""
    random = np.random.default_rng(seed)
    hot = (random.zipf(1.3, requests) + np.arange(requests) // 200) % n_rows
    scan = np.arange(requests) % n_rows
    return np.where((np.arange(requests) // 150) % 5 == 4, scan, hot).astype(np.int32)


def _shared(name):
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"the shared data has no traces/{name}")
    return path
