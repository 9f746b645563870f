"""DLRM as the harness runs it: `train` repeats a step over shuffled epochs, `eval` predicts a part of the rows once.

bench run dlrm --profile demo
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from harness.api import (
    BaseWorkload,
    Context,
    Executor,
    Geometry,
    HostBatch,
    Metric,
    OptimizerSpec,
    RunFailed,
    Schedule,
    Step,
    UsageError,
    Work,
)
from workloads.common.criteo_data import PartName
from workloads.common.epochs import Epoch
from workloads.common.memory import available_bytes, gigabytes
from workloads.dlrm.batches import Batches, order_of_epoch, pool_batches
from workloads.dlrm.checkpoint import Weights, load_dense, read_weights
from workloads.dlrm.config import DLRMConfig
from workloads.dlrm.data import ClickData, Rows, load_data
from workloads.dlrm.memory import check_tables_fit
from workloads.dlrm.model import DlrmDense, DlrmModel, initialize_dense
from workloads.dlrm.predictions import write_predictions
from workloads.dlrm.quality import optima, quality
from workloads.dlrm.recording import Passed, require_memory, require_recorder, write_lookups
from workloads.dlrm.sizes import ModelSizes, model_sizes, work_per_step
from workloads.dlrm.tables import initialize_tables, make_tables

_STAGED_SHARE = 0.5  # of the memory that is free when the first epoch begins
_HOPELESS_SIGMAS = 2.0  # an AUC this close to 0.5, in standard errors, deserves a word


class DLRMWorkload(BaseWorkload):
    """One repeat of one DLRM cell."""

    _context: Context
    _config: DLRMConfig
    _data: ClickData
    _sizes: ModelSizes
    _executor: Executor
    _rows: Rows  # of the training part, or of the part that `eval` goes through
    _batches: Batches  # of the training part, or of the part that `eval` goes through

    def __init__(self) -> None:
        self._epoch: Epoch | None = None
        self._epoch_number = 0
        self._order_seed = 0
        self._pool: int | None = None
        self._opened = False
        self._optima: dict[str, list[Metric]] = {}
        self._logits: npt.NDArray[np.float32] | None = None  # of mode eval, row by row
        self._record: Path | None = None  # --record-lookups, in the repeat that does
        self._passed: list[Passed] = []
        self._opened_at = 0  # the batch that the epoch began with

    def setup(self, context: Context) -> None:
        config: DLRMConfig = context.config
        self._context, self._config, self._order_seed = context, config, context.seed
        if context.world_size != 1:
            raise UsageError(f"dlrm runs in one process, not in {context.world_size}", hint="leave --ranks at 1")
        self._record = config.record_lookups if context.repeat == 0 else None
        if self._record is not None:
            require_recorder(self._record)
        weights = self._initial_weights()
        self._data = load_data(context, weights.vocabulary if weights else {})
        context.identify(self._data.identity)
        if self._data.skipped is not None:
            context.metric("rows_skipped", float(self._data.skipped))
        self._sizes = model_sizes(config, self._data.table_rows)
        check_tables_fit(self._sizes, config.optimizer, available_bytes())
        self._executor = self._make_executor(weights)
        self._opened = True
        pad = context.device.capabilities.static_shapes
        self._rows = self._own_rows()
        self._batches = Batches(self._rows, config.batch, config.dense_transform, pad=pad)
        self._announce_recording()
        with context.timer("compile"):
            self._prepare()
        context.engine(
            **self._executor.resolved(),
            tables=config.tables,
            parameters=self._sizes.parameters,
            table_bytes=self._sizes.table_bytes(config.optimizer),
        )

    def begin_epoch(self, epoch: int) -> None:
        self._open_epoch(epoch, 0)

    def step(self) -> Step:
        epoch = self._epoch
        assert epoch is not None
        if epoch.empty:
            with self._context.timer("input"):
                epoch.fill()
        index = epoch.position
        samples = self._batches.size(index)
        if self._logits is None:
            self._executor.train_call(epoch.take())
            return Step(samples, epoch_end=epoch.over)
        start = index * self._batches.batch
        self._logits[start : start + samples] = self._executor.infer_call(epoch.take(), samples).numpy()
        return Step(samples, done=epoch.over)

    def evaluate(self, part: PartName) -> Sequence[Metric]:
        """In mode `eval` the part is the one that the pass went through, whatever is asked for."""
        if self._logits is not None:
            return self._judge_pass(self._logits)
        rows = self._data.part(part)
        if not len(rows):
            return ()
        predicted = self._predict(rows)
        found = quality(rows, predicted, self._optima_of(part, rows))
        self._warn_when_hopeless(found)
        return found

    def epoch_samples(self) -> int | None:
        return self._batches.rows

    def training_loss(self) -> float | None:
        stats = self._executor.drain()
        if stats.loss_mean is not None and not math.isfinite(stats.loss_mean):
            config = self._config
            raise RunFailed(
                f"the training loss of dlrm became {stats.loss_mean} in epoch {self._epoch_number}",
                hint=f"the learning rate is {config.learning_rate:g} in {config.precision}: try a lower one",
            )
        return stats.loss_mean

    def synchronize(self) -> None:
        self._context.device.synchronize()

    def work_per_step(self) -> Work | None:
        return work_per_step(
            self._sizes,
            min(self._config.batch, self._batches.rows),
            training=self._logits is None,
            optimizer=self._config.optimizer,
        )

    def state_dict(self) -> Mapping[str, Any]:
        """Weights, optimizer and place in the data; the tensors are live until the next step."""
        return {
            "executor": dict(self._executor.state_dict()),
            "epoch": self._epoch_number,
            "position": self._epoch.position if self._epoch is not None else 0,
            "order_seed": self._order_seed,
            "data": self._data.identity.fingerprint,
            "vocabulary": dict(self._data.vocabulary),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["data"] != self._data.identity.fingerprint:
            raise UsageError(
                "the checkpoint was made on other rows than this run's", hint="give the same --data and --data-seed"
            )
        self._executor.load_state_dict(state["executor"])
        self._order_seed = int(state["order_seed"])
        self._open_epoch(int(state["epoch"]), int(state["position"]))

    def close(self) -> None:
        self._remember_epoch()
        self._epoch = None
        if self._opened:
            self._executor.close()
        self._write_lookups()

    def _initial_weights(self) -> Weights | None:
        context = self._context
        if context.init_from is not None:
            return read_weights(context.init_from)
        if context.mode == "eval" and not self._config.allow_random_weights:
            raise UsageError(
                "dlrm --mode eval needs --init-from CHECKPOINT, the weights to judge",
                hint="train with --checkpoint to get one, or say --allow-random-weights to measure speed alone",
            )
        return None

    def _own_rows(self) -> Rows:
        """The rows that steps go through; in mode `eval` with room for their predictions."""
        if self._context.mode != "eval":
            if self._data.rows.labels is None:
                raise UsageError(
                    f"{self._context.data} has no labels to learn from", hint="unlabelled rows are for --mode eval"
                )
            return self._data.part("train")
        rows = self._data.part(self._eval_part())
        if not len(rows):
            raise UsageError(f"the {self._config.part} part of the rows is empty", hint="choose another --part")
        self._logits = np.full(len(rows), np.nan, np.float32)
        return rows

    def _eval_part(self) -> Any:
        return "all" if self._data.rows.labels is None else self._config.part

    def _make_executor(self, weights: Weights | None) -> Executor:
        """Initialises dense part and tables from this repeat's seed, or from a checkpoint."""
        config, context = self._config, self._context
        optimizer = OptimizerSpec(
            name=config.optimizer,
            learning_rate=config.learning_rate,
            eps=config.adagrad_eps,
            initial_accumulator=config.adagrad_initial,
        )
        dense = DlrmDense(self._sizes, itself=config.interaction_self)
        tables = make_tables(config.tables, self._sizes.tables, config.embedding_dim, optimizer)
        if weights is None:
            generator = torch.Generator().manual_seed(context.seed)
            initialize_dense(dense, generator)
            initialize_tables(tables, generator)
        else:
            load_dense(dense, weights.dense)
            tables.load_state_dict(weights.tables)
        return context.device.executor(
            DlrmModel(dense, tables),
            Geometry(micro_batch=config.batch),
            precision=config.precision,
            compile=config.compile,
            optimizer=optimizer,
        )

    def _prepare(self) -> None:
        config = self._config
        example = next(self._batches.make(0, 1, None))
        schedule = Schedule(
            learning_rate=config.learning_rate,
            warmup_updates=config.warmup_updates,
            decay_start=config.decay_start,
            decay_updates=config.decay_updates,
            power=config.decay_power,
        )
        if self._logits is not None:
            self._executor.prepare(None, example, schedule)
            return
        self._executor.prepare(example, self._evaluation_example(), schedule)

    def _evaluation_example(self) -> HostBatch | None:
        rows = self._data.part("test")
        return next(self._evaluation_batches(rows).make(0, 1, None)) if len(rows) else None

    def _evaluation_batches(self, rows: Rows) -> Batches:
        pad = self._context.device.capabilities.static_shapes
        return Batches(rows, self._config.evaluation_batch, self._config.dense_transform, pad=pad)

    def _open_epoch(self, epoch: int, position: int) -> None:
        """Makes the epoch's order and, in scope `compute`, stages it ahead of the clock."""
        self._remember_epoch()
        self._epoch_number, self._opened_at = epoch, position
        self._epoch = None  # its staged batches are freed before the next ones are made
        order = self._order(epoch)
        self._epoch = Epoch(self._batches, self._executor.stage, order, self._pool_size(), position=position)
        if self._context.timing_scope == "compute" and not self._epoch.over:
            with self._context.timer("stage"):
                self._epoch.fill()

    def _order(self, epoch: int) -> torch.Tensor | None:
        if self._logits is not None or not self._config.shuffle:
            return None
        return order_of_epoch(self._order_seed, epoch, self._batches.rows)

    def _announce_recording(self) -> None:
        path = self._record
        if path is not None:
            require_memory(self._data.table_rows, self._batches.rows, available_bytes())
            self._context.engine(recording_lookups=str(path))
            self._context.log(f"the lookups of this run are recorded: {path} is written when it ends, behind the clock")

    def _remember_epoch(self) -> None:
        """How far the open epoch came; all that recording costs while the clock runs."""
        if self._epoch is not None and self._epoch.position > self._opened_at:
            self._passed.append(Passed(self._epoch_number, self._opened_at, self._epoch.position))

    def _write_lookups(self) -> None:
        path, context = self._record, self._context
        if path is None or not self._passed:
            return
        count = write_lookups(
            path,
            self._rows.ids,
            self._passed,
            self._order,
            batch=self._batches.batch,
            table_rows=self._data.table_rows,
            embedding_dim=self._config.embedding_dim,
            progress=lambda done, total: context.progress(done, total, "samples recorded"),
        )
        context.log(f"{count:,} lookups were recorded in {path}")

    def _pool_size(self) -> int:
        """Decided once a run, so that all its epochs are staged alike."""
        if self._pool is not None:
            return self._pool
        if self._context.timing_scope != "compute":
            self._pool = 1
            self._context.engine(staging="one batch at a time, inside the clock")
            return self._pool
        limit = int(available_bytes() * _STAGED_SHARE)
        self._pool = pool_batches(self._batches, limit)
        if self._pool == len(self._batches):
            self._context.engine(staging="the whole epoch, ahead of the clock")
        else:
            self._context.engine(staging=f"pools of {self._pool} batches, refilled inside the clock")
            self._context.log(
                f"the {len(self._batches)} batches of an epoch do not fit in {gigabytes(limit)}: {self._pool} are "
                "staged at a time, and refilled inside the clock",
                "warning",
            )
        return self._pool

    def _predict(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Logits [n] of these rows, in their order."""
        batches = self._evaluation_batches(rows)
        predicted = np.empty(len(rows), np.float32)
        for index, batch in enumerate(batches.make(0, len(batches), None)):
            start = index * batches.batch
            staged = self._executor.stage(batch)
            predicted[start : start + batch.rows] = self._executor.infer_call(staged, batch.rows).numpy()
            self._context.progress(start + batch.rows, len(rows), "rows evaluated")
        return predicted

    def _judge_pass(self, passed: npt.NDArray[np.float32]) -> list[Metric]:
        """Quality by the logits of the pass; without labels they become a file of predictions instead.

        A pass that was stopped is judged by the rows it reached. RunFailed where a logit is not finite.
        """
        assert self._epoch is not None
        reached = min(self._epoch.position * self._batches.batch, self._batches.rows)
        name = self._eval_part()
        rows = self._data.part(name).part(0, reached)
        logits = passed[:reached]
        if rows.labels is None:
            lost = reached - int(np.count_nonzero(np.isfinite(logits)))
            if lost:
                raise RunFailed(
                    f"{lost} of {reached} predictions of dlrm are not finite (NaN or infinite), so none were written",
                    hint="the model of the checkpoint has diverged: train it again with a lower learning rate",
                )
            path = write_predictions(self._context.output_dir / "predictions.csv", rows.first, logits)
            self._context.artifact("predictions", path)
            return [Metric("rows_evaluated", float(reached))]
        found = quality(rows, logits, optima(rows))
        self._warn_when_hopeless(found)
        return found

    def _optima_of(self, part: PartName, rows: Rows) -> list[Metric]:
        """They depend on the rows alone, and sorting them is not free."""
        if part not in self._optima:
            self._optima[part] = optima(rows)
        return self._optima[part]

    def _warn_when_hopeless(self, found: Sequence[Metric]) -> None:
        values = {metric.name: metric.value for metric in found}
        auc, error = values.get("auc"), values.get("auc_standard_error")
        random_weights = self._context.mode == "eval" and self._context.init_from is None
        if auc is None or error is None or random_weights or auc - 0.5 > _HOPELESS_SIGMAS * error:
            return
        self._context.log(
            f"AUC {auc:.4f} ± {error:.4f} is no better than chance: nothing was learned from these rows", "warning"
        )
