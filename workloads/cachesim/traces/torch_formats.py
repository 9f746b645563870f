"""Readers of PyTorch files: Meta's `dlrm_datasets` and KeyedJaggedTensors saved as plain tensors.

Files are opened with `weights_only`, which builds tensors and plain containers and refuses everything else: no code in
a file is ever run. Tensors are mapped, not read, so memory stays bounded however large a file is; a `.pt.gz` is
unpacked to a scratch file first. Meta's format (github.com/facebookresearch/dlrm_datasets): a tuple of indices [n],
offsets [T * B + 1] and lengths [T, B], table after table; a file is one batch of B samples.
"""

from __future__ import annotations

import contextlib
import pickle
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.api import DataError, RunFailed, UnavailableError
from workloads.cachesim.traces.array_formats import jagged, table_major
from workloads.cachesim.traces.builder import Block
from workloads.cachesim.traces.files import ByteSource, check_file
from workloads.cachesim.traces.options import ReadOptions

EXPECTED = "a tuple (indices, offsets, lengths), or a dict of keys, values and lengths"


def read_torch(path: Path, options: ReadOptions) -> Iterator[Block]:
    """Either format, told by what the file holds."""
    with _unpacked(path, options) as plain:
        content = _load(plain, path)
        if isinstance(content, (tuple, list)) and len(content) == 3 and all(_is_tensor(each) for each in content):
            indices, offsets, lengths = (_array(each, path) for each in content)
            yield from table_major(indices, offsets, lengths, str(path), options)
            return
        batches = content if isinstance(content, (tuple, list)) else [content]
        if not batches or not all(isinstance(each, Mapping) for each in batches):
            raise DataError(f"{path} holds {_describe(content)}, expected {EXPECTED}")
        for number, batch in enumerate(batches):
            place = str(path) if len(batches) == 1 else f"{path}, batch {number}"
            missing = [name for name in ("keys", "values") if name not in batch]
            if missing or not {"lengths", "offsets"} & set(batch):
                raise DataError(
                    f"{place} holds {_describe(batch)}, expected {EXPECTED}",
                    hint="save a KeyedJaggedTensor k as "
                    "{'keys': k.keys(), 'values': k.values(), 'lengths': k.lengths()}",
                )
            arrays = {name: _array(batch[name], path) for name in ("values", "lengths", "offsets") if name in batch}
            yield from jagged({"keys": batch["keys"], **arrays}, place, options)


def _load(plain: Path, path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UnavailableError(
            f"{path} is a PyTorch file, and torch is not installed", hint='pip install "recbench[torch]"'
        ) from error
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that it goes on to refuse
            with contextlib.suppress(RuntimeError, ValueError):  # PyTorch's older format cannot be mapped
                return torch.load(plain, map_location="cpu", weights_only=True, mmap=True)
            return torch.load(plain, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path} does not hold the expected tensors: it was refused, and nothing in it was executed",
            hint=f"expected {EXPECTED}; no other object is ever loaded",
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or 'it ends early'}") from error
    except Exception as error:  # what a damaged file makes torch raise is of no certain kind
        raise DataError(
            f"{path} cannot be read as a PyTorch file: it is cut short or damaged",
            hint=f"copy or download it again; expected {EXPECTED}",
        ) from error


@contextlib.contextmanager
def _unpacked(path: Path, options: ReadOptions) -> Iterator[Path]:
    """The file itself, or its content in a scratch file that goes away."""
    check_file(path)
    if path.suffix.lower() not in (".gz", ".xz", ".zst"):
        yield path
        return
    if options.scratch is not None:
        options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="recbench-unpack-", dir=options.scratch) as folder:
        plain = Path(folder) / path.stem
        try:
            with ByteSource(path, progress=options.progress) as source, plain.open("wb") as file:
                while piece := source.read():
                    file.write(piece)
        except OSError as error:
            free = shutil.disk_usage(folder).free
            raise RunFailed(
                f"{path} cannot be unpacked to {folder}: {error.strerror} ({free / 1e9:.1f} GB are free)",
                hint="unpack it yourself, or choose another cache folder",
            ) from error
        yield plain


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "numpy")


def _array(value: Any, path: Path) -> npt.NDArray[Any]:
    """A tensor of integers as an array, without a copy."""
    if not _is_tensor(value):
        raise DataError(f"{path} holds {_describe(value)} where a tensor was expected")
    if value.is_floating_point() or value.is_complex() or str(value.dtype) == "torch.bool":
        raise DataError(f"{path} holds a tensor of {value.dtype}, expected integers")
    try:
        array: npt.NDArray[np.int64] = value.detach().numpy()
    except (RuntimeError, TypeError) as error:  # a sparse one, or one without content
        raise DataError(f"{path} holds a tensor that is no plain array", hint=f"expected {EXPECTED}") from error
    return array


def _describe(value: Any) -> str:
    if _is_tensor(value):
        return f"a tensor of shape {list(value.shape)}"
    if isinstance(value, Mapping):
        return "a dict of " + (", ".join(sorted(str(key) for key in value)[:6]) or "nothing")
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"
