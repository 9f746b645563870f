"""Curves as files: npz, JSON or CSV by their ending. Only sizes at which hits change are written, which loses nothing.

A complete curve has the hits of the size before at every size that is left out; `complete` says so in npz and JSON. CSV
is for other programs: a line for each size, with the share of the rows and the hit ratio.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.api import DataError, UsageError
from harness.errors import did_you_mean
from workloads.cachesim.curves.curve import Curve
from workloads.cachesim.traces.writers import whole_file

FORMAT_NAME = "recbench curves"
FORMAT_VERSION = 1
SUFFIXES = (".npz", ".json", ".csv")
CSV_HEAD = "policy,table,rows,share_of_rows,hits,requests,hit_ratio\n"

Integers = npt.NDArray[np.int64]


def curve_suffix(path: Path) -> str:
    """The form of a curve's file. Raises UsageError for another ending."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"{path} ends in {suffix!r}, and curves are written as .npz, .json or .csv",
            hint=did_you_mean(suffix, SUFFIXES) if suffix else "end it in .npz",
        )
    return suffix


def write_curves(curves: Sequence[Curve], path: Path) -> None:
    """All curves into one file, complete or not at all."""
    suffix = curve_suffix(path)
    with whole_file(path) as file:
        if suffix == ".csv":
            file.write(CSV_HEAD.encode())
            for curve in curves:
                file.write(_csv(curve))
        elif suffix == ".json":
            entries = []
            for curve in curves:
                sizes, hits = _steps(curve)
                entries.append({**_facts(curve), "rows": sizes.tolist(), "hits": hits.tolist()})
            text = json.dumps({"format": FORMAT_NAME, "version": FORMAT_VERSION, "curves": entries})
            file.write(text.encode() + b"\n")
        else:
            arrays: dict[str, npt.NDArray[np.generic]] = {}
            for number, curve in enumerate(curves):
                arrays[f"rows_{number}"], arrays[f"hits_{number}"] = _steps(curve)
            about = {"format": FORMAT_NAME, "version": FORMAT_VERSION, "curves": [_facts(curve) for curve in curves]}
            described = np.frombuffer(json.dumps(about).encode(), np.uint8)
            np.savez(file, allow_pickle=False, recbench_curves=described, **arrays)


def read_curves(path: Path) -> tuple[Curve, ...]:
    """What `write_curves` wrote as npz or JSON. Raises DataError for anything else."""
    try:
        if path.suffix.lower() == ".json":
            about = json.loads(path.read_text(encoding="utf-8"))
            steps = [(entry["rows"], entry["hits"]) for entry in about["curves"]]
        else:
            with np.load(path, allow_pickle=False) as loaded:
                about = json.loads(loaded["recbench_curves"].tobytes())
                steps = [(loaded[f"rows_{number}"], loaded[f"hits_{number}"]) for number in range(len(about["curves"]))]
        if about["format"] != FORMAT_NAME or about["version"] > FORMAT_VERSION:
            raise DataError(
                f"{path} is version {about['version']} of the format, this program reads up to {FORMAT_VERSION}",
                hint="update recbench",
            )
        return tuple(_curve(entry, *step) for entry, step in zip(about["curves"], steps, strict=True))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", hint="bench cache curve --output writes curves") from None
    except (OSError, KeyError, TypeError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} holds no curves: {error}", hint="bench cache curve --output writes them") from error


def _facts(curve: Curve) -> dict[str, Any]:
    return {
        "policy": curve.policy,
        "table": curve.table,
        "requests": curve.requests,
        "unique": curve.unique,
        "complete": curve.complete,
        "estimated": curve.estimated,
    }


def _steps(curve: Curve) -> tuple[Integers, Integers]:
    """The sizes at which hits change, and the first and the last; all of a curve that is not complete."""
    if not curve.complete or curve.sizes.size < 3:
        return curve.sizes, curve.hits
    kept = np.concatenate(([True], np.diff(curve.hits) != 0))
    kept[-1] = True
    return curve.sizes[kept], curve.hits[kept]


def _curve(facts: dict[str, Any], rows: Any, hits: Any) -> Curve:
    sizes, known = np.asarray(rows, np.int64), np.asarray(hits, np.int64)
    unique = int(facts["unique"])
    if facts["complete"]:
        known = np.repeat(known, np.diff(np.append(sizes, unique + 1)))
        sizes = np.arange(unique + 1)
    return Curve(
        facts["policy"], facts["table"], int(facts["requests"]), unique, sizes, known, bool(facts["estimated"])
    )


def _csv(curve: Curve) -> bytes:
    text = io.StringIO()
    sizes, hits = _steps(curve)
    table = "" if curve.table is None else _quoted(curve.table)
    for rows, count in zip(sizes.tolist(), hits.tolist(), strict=True):
        share = rows / curve.unique if curve.unique else 0.0
        ratio = f"{count / curve.requests:.9g}" if curve.requests else ""
        text.write(f"{_quoted(curve.policy)},{table},{rows},{share:.9g},{count},{curve.requests},{ratio}\n")
    return text.getvalue().encode()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n\r') else text
