"""DIN as the harness runs it: `train` repeats a call over shuffled epochs, `infer` predicts a part of the rows.

bench run din --rows 40000 --users 2000 --items 5000 --categories 100
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from harness.api import (
    BaseWorkload,
    Context,
    Executor,
    HostBatch,
    Metric,
    OptimizerSpec,
    RunFailed,
    Step,
    UsageError,
    Work,
)
from workloads.common.epochs import Epoch
from workloads.common.memory import available_bytes, gigabytes
from workloads.din.batches import NOTHING, Batches, order_of_epoch, pool_batches
from workloads.din.checkpoint import Weights, copied, load_dense, read_weights, write_weights
from workloads.din.config import DINConfig
from workloads.din.data import DinData, PartName, load_data
from workloads.din.host import DinModel, HostDin, initialize_dense
from workloads.din.plan import RunPlan, make_plan
from workloads.din.quality import facts_of, quality
from workloads.din.samples import Samples
from workloads.din.schedule import make_schedule
from workloads.din.sizes import check_tables_fit, dense_parameters, table_parameters, work_per_step
from workloads.din.tables import initialize_tables, make_tables

_STAGED_SHARE = 0.5  # of the memory that is free when the first epoch begins


class DINWorkload(BaseWorkload):
    """One repeat of one DIN cell."""

    _context: Context
    _config: DINConfig
    _plan: RunPlan
    _data: DinData
    _executor: Executor
    _batches: Batches  # of the training part, or of the part that `infer` goes through

    def __init__(self) -> None:
        self._epoch: Epoch | None = None
        self._epoch_number = 0
        self._order_seed = 0
        self._pool: int | None = None
        self._opened = False
        self._logits: npt.NDArray[np.float32] | None = None  # of mode infer, row by row
        self._best: dict[str, Any] | None = None  # epochs, auc and executor of the weights that validated best
        self._validated_at: tuple[int, int] | None = None  # epoch and place of the last validation

    def setup(self, context: Context) -> None:
        config: DINConfig = context.config
        self._context, self._config, self._order_seed = context, config, context.seed
        if context.world_size != 1:
            raise UsageError(f"din runs in one process, not in {context.world_size}", hint="leave --ranks at 1")
        self._plan = make_plan(config, context.device, context.mode)
        weights = self._initial_weights()
        self._data = load_data(context)
        self._say_what_data()
        self._executor = self._make_executor(weights)
        self._opened = True
        self._batches = self._make_batches(self._own_rows(), self._plan.geometry.call_samples)
        with context.timer("compile"):
            self._prepare()
        context.engine(**self._plan.facts(), **self._executor.resolved(), **self._sizes())

    def begin_epoch(self, epoch: int) -> None:
        """In scope `compute+input` validation would stand inside the clock, and waits for the end of training."""
        if epoch > 0 and self._logits is None and self._context.timing_scope != "compute+input":
            self._validate((epoch, 0))
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
        else:
            start = index * self._batches.batch
            self._logits[start : start + samples] = self._executor.infer_call(epoch.take(), samples).numpy()
        return Step(samples, epoch_end=epoch.over)

    def evaluate(self, part: PartName) -> Sequence[Metric]:
        if self._logits is not None:
            return self._judge_pass(self._logits) if part == "test" else ()
        if part == "validation":
            return self._validate(self._place())
        return self._judge_training()

    def epoch_samples(self) -> int | None:
        return self._batches.rows

    def training_loss(self) -> float | None:
        stats = self._executor.drain()
        if stats.loss_mean is not None and not math.isfinite(stats.loss_mean):
            raise RunFailed(
                f"the training loss of din became {stats.loss_mean} in epoch {self._epoch_number}",
                hint=f"the learning rate is {self._plan.learning_rate:g} under {self._plan.optimizer}: try a lower one",
            )
        return stats.loss_mean

    def synchronize(self) -> None:
        self._context.device.synchronize()

    def work_per_step(self) -> Work | None:
        return work_per_step(
            self._plan.shape,
            min(self._batches.batch, self._batches.rows),
            self._batches.mean_length,
            training=self._logits is None,
            adam=self._plan.optimizer == "adam",
        )

    def state_dict(self) -> Mapping[str, Any]:
        """Weights, optimizer, place in the data and the best weights so far; live until the next step."""
        return {
            "executor": dict(self._executor.state_dict()),
            "epoch": self._epoch_number,
            "position": self._epoch.position if self._epoch is not None else 0,
            "order_seed": self._order_seed,
            "data": self._data.identity.fingerprint,
            "protocol": self._data.protocol,
            "best": self._best or {},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["data"] != self._data.identity.fingerprint:
            raise UsageError(
                "the checkpoint was made on other rows than this run's", hint="give the same --data and --data-seed"
            )
        self._executor.load_state_dict(state["executor"])
        self._order_seed = int(state["order_seed"])
        self._best = dict(state["best"]) or None
        self._open_epoch(int(state["epoch"]), int(state["position"]))

    def close(self) -> None:
        self._epoch = None
        if self._opened:
            self._executor.close()

    def _initial_weights(self) -> Weights | None:
        context, config = self._context, self._config
        path = context.init_from
        if context.mode == "infer" and path is None:
            path = config.model_path
            if path is None and not config.allow_random_weights:
                raise UsageError(
                    "din --mode infer needs --init-from CHECKPOINT (or --model-path), the weights to predict with",
                    hint="train with --checkpoint to get one, or say --allow-random-weights to measure speed alone",
                )
        return None if path is None else read_weights(path)

    def _say_what_data(self) -> None:
        context, data = self._context, self._data
        context.identify(data.identity)
        context.engine(protocol=data.protocol, table_rows=list(data.table_rows))
        if data.protocol == "synthetic":
            if not self._config.use_synthetic_data:
                context.log("no --data is given: the samples are synthetic, with a planted interest")
            if data.unique_rows is not None:
                context.metric("unique_rows", float(data.unique_rows))

    def _own_rows(self) -> Samples:
        """The samples that steps go through; in mode `infer` with room for their predictions."""
        if self._context.mode == "train":
            return self._data.parts["train"]
        rows = self._data.parts[self._config.part]
        if not len(rows):
            raise UsageError(f"the {self._config.part} part of the rows is empty", hint="choose another --part")
        self._logits = np.full(len(rows), np.nan, np.float32)
        return rows

    def _make_batches(self, samples: Samples, batch: int) -> Batches:
        fixed = self._context.device.capabilities.static_shapes
        return Batches(
            samples,
            batch,
            longest=None if self._plan.jagged else self._config.max_seq_len,
            padding=0 if fixed else NOTHING,  # a device of fixed shapes has tables without a row for nothing
            fill=fixed,
        )

    def _evaluation_batches(self, samples: Samples) -> Batches:
        fixed = self._context.device.capabilities.static_shapes
        return self._make_batches(samples, self._plan.geometry.call_samples if fixed else self._config.evaluation_batch)

    def _make_executor(self, weights: Weights | None) -> Executor:
        """Initialises dense part and tables from this repeat's seed, or from a checkpoint."""
        config, context, plan = self._config, self._context, self._plan
        copies = 3 if plan.optimizer == "adam" and context.mode == "train" else 1
        check_tables_fit(plan.shape, self._data.table_rows, copies, available_bytes())
        # Predictions need no moments, and Adam's would take twice the room of the tables.
        name = plan.optimizer if context.mode == "train" else "sgd"
        optimizer = OptimizerSpec(name=name, learning_rate=plan.learning_rate, eps=1e-8)
        dense = HostDin(plan.shape, config.max_seq_len, plan.past)
        tables = make_tables(config.tables, self._data.table_rows, config.embedding_dim, optimizer)
        if weights is None:
            generator = torch.Generator().manual_seed(context.seed)
            initialize_dense(dense, generator)
            initialize_tables(tables, generator)
        else:
            if weights.protocol not in (None, self._data.protocol):
                context.log(
                    f"the weights were trained by protocol {weights.protocol}, these rows are of protocol "
                    f"{self._data.protocol}",
                    "warning",
                )
            load_dense(dense, weights.dense)
            tables.load_state_dict(weights.tables)
        return context.device.executor(
            DinModel(dense, tables, self._data.table_rows, config.max_seq_len),
            plan.geometry,
            precision=plan.precision,
            compile=plan.compile,
            optimizer=optimizer,
        )

    def _prepare(self) -> None:
        config, plan = self._config, self._plan
        schedule = make_schedule(
            rate=plan.learning_rate,
            file=config.learning_rate_file,
            unit=config.learning_rate_unit,
            epoch_updates=-(-self._batches.rows // plan.geometry.global_batch),
            epoch_factor=plan.epoch_factor,
            loss_factor=plan.rate_factor,
        )
        example = next(self._batches.make(0, 1, None))
        if self._logits is not None:
            self._executor.prepare(None, example, schedule)
        else:
            self._executor.prepare(example, self._evaluation_example(), schedule)

    def _evaluation_example(self) -> HostBatch:
        return next(self._evaluation_batches(self._data.parts["test"]).make(0, 1, None))

    def _sizes(self) -> dict[str, Any]:
        shape, tables = self._plan.shape, self._data.table_rows
        return {
            "parameters": dense_parameters(shape) + table_parameters(shape, tables),
            "dense_parameters": dense_parameters(shape),
            "mean_length": round(self._batches.mean_length, 2),
        }

    def _open_epoch(self, epoch: int, position: int) -> None:
        """Makes the epoch's order and, in scope `compute`, stages it ahead of the clock."""
        self._epoch_number = epoch
        self._epoch = None  # its staged batches are freed before the next ones are made
        order = None
        if self._logits is None and self._config.shuffle:
            order = order_of_epoch(self._order_seed, epoch, self._batches.rows)
        self._epoch = Epoch(self._batches, self._executor.stage, order, self._pool_size(), position=position)
        if self._context.timing_scope == "compute" and not self._epoch.over:
            with self._context.timer("stage"):
                self._epoch.fill()

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

    def _predict(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Logits [n] of these samples, in their order."""
        batches = self._evaluation_batches(samples)
        predicted = np.empty(len(samples), np.float32)
        for index, batch in enumerate(batches.make(0, len(batches), None)):
            start = index * batches.batch
            staged = self._executor.stage(batch)
            predicted[start : start + batch.rows] = self._executor.infer_call(staged, batch.rows).numpy()
            self._context.progress(start + batch.rows, len(samples), "rows evaluated")
        return predicted

    def _place(self) -> tuple[int, int]:
        return self._epoch_number, self._epoch.position if self._epoch is not None else 0

    def _validate(self, place: tuple[int, int]) -> Sequence[Metric]:
        """Quality on the validation rows; keeps the weights if none were better before."""
        rows = self._data.parts["validation"]
        if not len(rows):
            return ()
        with self._context.timer("validate"):
            found = quality(rows, self._predict(rows))
        self._validated_at = place
        epochs = place[0] + place[1] / len(self._batches)
        auc = next(metric.value for metric in found if metric.name == "auc")
        self._context.series("validation_auc", "epochs", "", [epochs], [auc])
        if auc is not None and (self._best is None or auc > self._best["auc"]):
            self._best = {"epochs": epochs, "auc": auc, "executor": copied(self._executor.state_dict())}
        return found

    def _judge_training(self) -> list[Metric]:
        """Quality on the test rows by the last weights, and by those that validated best."""
        place = self._place()
        if self._validated_at is None or self._validated_at != place:
            self._validate(place)
        rows = self._data.parts["test"]
        found = [*quality(rows, self._predict(rows)), *facts_of(rows)]
        if self._best is not None:
            now = place[0] + place[1] / len(self._batches)
            found.append(Metric("best_epoch", self._best["epochs"]))
            if self._best["epochs"] == now:
                found += [Metric(each.name, each.value, {"weights": "best"}) for each in found if _is_quality(each)]
            else:
                found += self._judge_best(rows, self._best["executor"])
        path = self._config.model_path
        if path is not None:
            write_weights(path, self.state_dict())
            self._context.log(f"the weights of the last step were written to {path}")
        return found

    def _judge_best(self, rows: Samples, best: Mapping[str, Any]) -> list[Metric]:
        last = copied(self._executor.state_dict())
        self._executor.load_state_dict(best)
        try:
            return quality(rows, self._predict(rows), "best")
        finally:
            self._executor.load_state_dict(last)

    def _judge_pass(self, passed: npt.NDArray[np.float32]) -> list[Metric]:
        """Quality by the logits of the pass: of the rows it reached, where it was stopped before all."""
        rows = self._data.parts[self._config.part]
        reached = len(passed)
        if self._epoch is not None and self._epoch_number == 0:
            reached = min(self._epoch.position * self._batches.batch, reached)
        some = rows.rows(slice(0, reached))
        return [*quality(some, passed[:reached]), *facts_of(some)]


def _is_quality(metric: Metric) -> bool:
    return metric.name not in ("rows_evaluated", "auc_bayes", "best_epoch") and not metric.labels
