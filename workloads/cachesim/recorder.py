"""Records the embedding lookups of a model in its own process, to replay them against cache policies.

    recorder = LookupRecorder(model)
    train(model)
    recorder.close()
    recorder.save(Path("lookups.npz"))

Every `nn.EmbeddingBag` and `nn.Embedding` inside the model (so also TorchRec's EmbeddingBagCollection) and every
table-batched module of FBGEMM is watched by a forward hook; its name, size, width and type become the schema. A call
of the model is a batch. Ids are copied to the host at each call: on a GPU that is a synchronisation, so record runs
that are not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.api import RunFailed, UsageError
from workloads.cachesim.traces.array_formats import is_own_npz
from workloads.cachesim.traces.builder import Column, Samples, TraceBuilder
from workloads.cachesim.traces.schema import Schema, Table, canonical_dtype
from workloads.cachesim.traces.trace import Trace
from workloads.cachesim.traces.writers import write_npz, write_oracle_general

__all__ = ["LookupRecorder", "Schema", "Table", "check_target"]

Integers = npt.NDArray[np.int64]
_ENDINGS = (".npz", ".oraclegeneral")
Lookups = tuple[Integers, Integers]  # values [n] and how many each sample makes [B]


def check_target(path: Path) -> None:
    """UsageError where a trace cannot be saved there: asked before a long recording.

    A trace that was saved before is replaced; any other file is somebody's.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise UsageError(f"{path} ends in {path.suffix!r}, expected .npz or .oracleGeneral")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.absolute().parent}")
    if path.is_dir() or (path.exists() and not (path.suffix.lower() == ".npz" and is_own_npz(path))):
        raise UsageError(f"{path} is there already, and is no recorded trace", hint="choose another name")


class LookupRecorder:
    """Attaches to a model, or takes batches by hand (`add_batch`, `add_matrix`) for the tables of a schema.

    `limit` stops recording after so many lookups, with the batch that is being looked up. With `scratch`, a folder,
    the requests are kept in files there instead of in memory. Raises UsageError for a model without embeddings.
    """

    def __init__(
        self,
        model: Any = None,
        *,
        schema: Schema | None = None,
        limit: int | None = None,
        scratch: Path | None = None,
    ) -> None:
        if (model is None) == (schema is None):
            raise UsageError("a recorder needs either a model or the schema of its tables")
        if limit is not None and limit < 1:
            raise UsageError(f"limit must be at least 1, not {limit}")
        self._limit, self._batch, self._inside = limit, dict[int, Lookups](), False
        self._builder = TraceBuilder(folder=scratch)
        self._handles: list[Any] = []
        self._trace: Trace | None = None
        self.schema = schema if schema is not None else Schema(self._attach(model))

    @property
    def requests(self) -> int:
        """Lookups recorded so far, those of the current batch left out."""
        return self._builder.requests

    @property
    def full(self) -> bool:
        return self._limit is not None and self.requests >= self._limit

    def add_batch(self, lookups: Mapping[str, Lookups]) -> None:
        """A batch by hand: for each table by name, values [n] and how many of them each sample makes [B].

        Tables left out are not looked up. Raises UsageError for unknown tables and lengths that do not fit.
        """
        for name, (values, lengths) in lookups.items():
            self._look_up(self.schema.index(name), np.asarray(values), np.asarray(lengths), merge=True)
        self.end_batch()

    def add_matrix(self, ids: npt.NDArray[np.integer[Any]], *, batch: int | None = None) -> None:
        """A batch in which every sample makes one lookup in each table: ids [B, T].

        With `batch` they are several batches of so many samples, of which the last may be smaller.
        """
        if ids.ndim != 2 or ids.shape[1] != len(self.schema):
            raise UsageError(f"ids of shape {list(ids.shape)} do not fit {len(self.schema)} tables")
        if batch is not None:
            self._add_batches(ids, batch)
            return
        ones = np.ones(ids.shape[0], np.int64)
        for table in range(ids.shape[1]):
            self._look_up(table, np.asarray(ids[:, table]), ones, merge=False)
        self.end_batch()

    def _add_batches(self, ids: npt.NDArray[np.integer[Any]], batch: int) -> None:
        self.end_batch()
        if self.full or not ids.size:
            return
        if int(ids.min()) < 0:
            raise UsageError(f"the row number {int(ids.min())} is negative")
        if self._limit is not None:
            ids = ids[: batch * -((self.requests - self._limit) // (ids.shape[1] * batch))]
        columns = [Column(ids[:, table].astype(np.int64)) for table in range(len(self.schema))]
        samples = Samples(columns, len(ids), self.schema, row_numbers=True, batch=batch)
        self._builder.add(samples, "the recorded lookups")

    def end_batch(self) -> None:
        """What was looked up since the last batch is a batch; needed only where the model itself is never called."""
        if not self._batch:
            return
        batch, self._batch = self._batch, {}
        if self.full:
            return
        samples = next(iter(batch.values()))[1].size
        none = Column(np.empty(0, np.int64), np.zeros(samples, np.int64))
        columns = [Column(*batch[table]) if table in batch else none for table in range(len(self.schema))]
        self._builder.add(
            Samples(columns, samples, self.schema, ends_batch=True, row_numbers=True), "the recorded lookups"
        )

    def close(self) -> None:
        """Lets go of the model; what was recorded stays."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._inside = False
        self.end_batch()

    def trace(self) -> Trace:
        """What was recorded; ends the recording. Raises RunFailed when no lookup was seen."""
        self.close()
        if self._trace is None:
            if self._builder.requests == 0:
                raise RunFailed("no lookup was recorded", hint="call the model between attaching and closing")
            self._trace = self._builder.finish("recorded lookups")
        return self._trace

    def save(self, path: Path) -> None:
        """Writes the trace as npz, or as oracleGeneral where the name ends so; ends the recording."""
        if path.suffix.lower() == ".npz":
            write_npz(self.trace(), path)
        elif path.suffix.lower() == ".oraclegeneral":
            write_oracle_general(self.trace(), path)
        else:
            raise UsageError(f"{path} ends in {path.suffix!r}, expected .npz or .oracleGeneral")

    def __enter__(self) -> LookupRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attach(self, model: Any) -> tuple[Table, ...]:
        from torch import nn

        tables: list[Table] = []
        self._handles.append(model.register_forward_pre_hook(self._enter_model))
        for name, module in model.named_modules():
            hook: Callable[[Any, tuple[Any, ...], dict[str, Any]], None]
            if isinstance(module, (nn.EmbeddingBag, nn.Embedding)):
                hook = self._module_hook(len(tables), bags=isinstance(module, nn.EmbeddingBag))
                tables.append(_table(name or "table", module))
            elif hasattr(module, "embedding_specs") and hasattr(module, "feature_table_map"):
                hook = self._batched_hook(len(tables), [int(each) for each in module.feature_table_map])
                tables += _batched_tables(name or "tables", module)
            else:
                continue
            self._handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
        self._handles.append(model.register_forward_hook(self._leave_model, always_call=True))
        if not tables:
            for handle in self._handles:
                handle.remove()
            raise UsageError(
                f"{type(model).__name__} holds no nn.EmbeddingBag, nn.Embedding or table-batched FBGEMM module",
                hint="attach before the model is sharded or compiled, or record by hand with add_batch",
            )
        return tuple(tables)

    def _enter_model(self, module: Any, inputs: Any) -> None:
        self.end_batch()
        self._inside = True

    def _leave_model(self, module: Any, inputs: Any, output: Any) -> None:
        self._inside = False
        self.end_batch()

    def _module_hook(self, table: int, *, bags: bool) -> Callable[[Any, tuple[Any, ...], dict[str, Any]], None]:
        def hook(module: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            if self.full:
                return
            ids = _host(inputs[0] if inputs else named["input"])
            if bags and ids.ndim == 1:
                offsets = _host(inputs[1] if len(inputs) > 1 else named["offsets"])
                ends = offsets if module.include_last_offset else np.append(offsets, ids.size)
                lengths = np.diff(ends)
            else:
                samples = ids.shape[0] if ids.ndim else 1
                lengths = np.full(samples, ids.size // max(samples, 1), np.int64)
            values = ids.ravel()
            if module.padding_idx is not None:  # PyTorch leaves these rows out of a bag and never learns them
                values, lengths = _without(values, lengths, int(module.padding_idx))
            self._look_up(table, values, lengths, merge=self._inside)

        return hook

    def _batched_hook(
        self, first: int, feature_table: Sequence[int]
    ) -> Callable[[Any, tuple[Any, ...], dict[str, Any]], None]:
        def hook(module: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            if self.full:
                return
            indices = _host(inputs[0] if inputs else named["indices"])
            offsets = _host(inputs[1] if len(inputs) > 1 else named["offsets"])
            samples = (offsets.size - 1) // len(feature_table)
            for feature, table in enumerate(feature_table):
                bags = offsets[feature * samples : (feature + 1) * samples + 1]
                repeated = table in feature_table[:feature]
                self._look_up(first + table, indices[bags[0] : bags[-1]], np.diff(bags), merge=self._inside or repeated)

        return hook

    def _look_up(self, table: int, values: Integers, lengths: Integers, *, merge: bool) -> None:
        """Adds lookups to the batch. A table that was looked up before gets longer bags, or begins the next batch."""
        values, lengths = values.astype(np.int64), lengths.astype(np.int64)
        name = self.schema.names[table]
        if int(lengths.sum()) != values.size or (lengths.size and int(lengths.min()) < 0):
            raise UsageError(f"table {name!r}: {values.size} lookups, but lengths that sum to {int(lengths.sum())}")
        if values.size and int(values.min()) < 0:
            raise UsageError(f"table {name!r}: the row number {int(values.min())} is negative")
        if table in self._batch and not merge:
            self.end_batch()
        for other, (_, known) in self._batch.items():
            if known.size != lengths.size:
                raise UsageError(
                    f"table {name!r} is looked up by {lengths.size} samples, "
                    f"table {self.schema.names[other]!r} in the same batch by {known.size}",
                    hint="record tables with other samples by a recorder of their own",
                )
        if table in self._batch:
            values, lengths = _merged(self._batch[table], (values, lengths))
        self._batch[table] = (values, lengths)


def _table(name: str, module: Any) -> Table:
    return Table(
        name, int(module.num_embeddings), int(module.embedding_dim), canonical_dtype(str(module.weight.dtype), name)
    )


def _batched_tables(name: str, module: Any) -> list[Table]:
    """Tables of an FBGEMM module, whose specs begin with rows and dimension, or with a name before those."""
    tables = []
    for number, spec in enumerate(module.embedding_specs):
        own = f"{name}.{spec[0]}" if isinstance(spec[0], str) else f"{name}.{number}"
        rows, dim = (int(each) for each in (spec[1:3] if isinstance(spec[0], str) else spec[:2]))
        precision = getattr(module, "weights_precision", None)
        dtype = None if precision is None else str(getattr(precision, "value", precision))
        tables.append(Table(own, rows, dim, None if dtype is None else canonical_dtype(dtype, own)))
    return tables


def _host(tensor: Any) -> Integers:
    """Ids as an array on the host, a copy: the model may reuse its buffer."""
    array: Integers = tensor.detach().to("cpu", copy=True).numpy().astype(np.int64)
    return array


def _without(values: Integers, lengths: Integers, padding: int) -> Lookups:
    kept = values != padding
    before = np.concatenate(([0], np.cumsum(kept)))
    ends = np.cumsum(lengths)
    return values[kept], before[ends] - before[ends - lengths]


def _merged(first: Lookups, second: Lookups) -> Lookups:
    """Bag by bag, the first's lookups before the second's."""
    owner = np.concatenate([np.repeat(np.arange(lengths.size), lengths) for _, lengths in (first, second)])
    order = np.argsort(owner, kind="stable")
    return np.concatenate((first[0], second[0]))[order], first[1] + second[1]
