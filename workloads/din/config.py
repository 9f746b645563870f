"""What DIN is as a workload: its settings with the sources of their defaults, its modes, its metrics. No torch here.

The model and the options are those of graphcore/examples (`recommendation/click_through_rate/tensorflow1`), without
its defects. A default that depends on the variant, the protocol or the device is written `None` and resolved when the
run is set up; what it became stands in the run's record.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.api import Description, MetricSpec, Mode, UsageError, setting

Variant = Literal["paper", "dien", "graphcore"]
Protocol = Literal["paper", "dien", "synthetic"]

_PAPER = "Zhou et al. 2018, arXiv:1706.06978"
_SEED = "graphcore/examples v3.0.0, recommendation/click_through_rate/tensorflow1"
_DIEN = "mouna99/dien, Model_DIN"
_MEASURED = "benchmarks/din.py"

_MODEL = "Model"
_LEARNING = "Learning"
_GEOMETRY = "Geometry"
_EXECUTION = "Execution"
_ROWS = "Rows"
_SYNTHETIC = "Synthetic samples"


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantFacts:
    """What a variant changes; the last two are what its authors trained with."""

    attention: Literal["din", "linear"]
    weights: Literal["softmax", "plain"]
    scale: bool
    dice: Literal["running", "batch"]
    batch_norm: bool
    optimizer: Literal["sgd", "adam"]
    epoch_factor: float
    loss_factor: float


VARIANTS: dict[str, VariantFacts] = {
    "paper": VariantFacts(
        attention="din", weights="softmax", scale=False, dice="running", batch_norm=False, optimizer="adam",
        epoch_factor=1.0, loss_factor=1.0,
    ),
    "dien": VariantFacts(
        attention="din", weights="softmax", scale=False, dice="batch", batch_norm=True, optimizer="adam",
        epoch_factor=0.5, loss_factor=1.0,
    ),
    "graphcore": VariantFacts(
        attention="linear", weights="softmax", scale=False, dice="batch", batch_norm=False, optimizer="sgd",
        epoch_factor=1.0, loss_factor=0.5,
    ),
}  # fmt: skip
LEARNING_RATES = {"sgd": 0.1, "adam": 1e-3}


@dataclass(frozen=True, slots=True, kw_only=True)
class DINConfig:
    """All settings of one DIN cell."""

    variant: Variant = setting(
        "paper", help="paper: real attention unit, softmax over its scores, Dice by running statistics; dien: the same "
        "with batch normalisation, Dice by batch statistics, Adam halved every epoch; graphcore: linear attention, "
        "Dice by batch statistics, half the loss, SGD", source=f"{_PAPER}; {_DIEN}; {_SEED}", group=_MODEL,
    )  # fmt: skip
    attention: Literal["din", "linear", "mean"] | None = setting(
        None, help="din: the unit's layers; linear: its last layer alone on the same input; mean: plain averages; the "
        "variant's when not given", source=f"{_SEED}: linear is what its code computes", group=_MODEL,
    )  # fmt: skip
    attention_weights: Literal["softmax", "plain"] | None = setting(
        None, help="scores of the past go through a softmax, or weigh as they are; the variant's when not given",
        source=f"{_PAPER}, section 4.3: plain; all its programs: softmax", group=_MODEL,
    )  # fmt: skip
    attention_scale: bool | None = setting(
        None, help="scores are divided by the root of the attention width; no variant does when not given",
        source="zhougr1993/DeepInterestNetwork, model.py: yes; the paper, DIEN and Graphcore: no", group=_MODEL,
    )  # fmt: skip
    dice: Literal["running", "batch"] | None = setting(
        None, help="statistics that Dice uses at inference; the variant's when not given", source=f"{_SEED}: batch",
        group=_MODEL,
    )  # fmt: skip
    batch_norm: bool | None = setting(
        None, help="batch normalisation before the last layers; the variant's when not given", source=f"{_DIEN}: bn1",
        group=_MODEL,
    )  # fmt: skip
    embedding_dim: int = setting(
        18, minimum=1, help="width of the user, item and category embeddings", source=f"{_SEED}: EMBEDDING_DIM",
        group=_MODEL,
    )  # fmt: skip
    attention_size: int = setting(
        36, minimum=1, help="width the attention unit works on; other than twice --embedding-dim, items are projected",
        source=f"{_SEED}: --attention-size", group=_MODEL,
    )  # fmt: skip
    attention_layers: tuple[int, ...] = setting(
        (80, 40), minimum=1, help="layer widths of the attention unit before its last, which is 1",
        source=f"{_SEED}: din_attention", group=_MODEL,
    )  # fmt: skip
    fc_layers: tuple[int, ...] = setting(
        (200, 80), minimum=1, help="widths of the layers with Dice; a pair of outputs follows",
        source=f"{_SEED}: build_fcn_net", group=_MODEL,
    )  # fmt: skip
    max_seq_len: int = setting(
        100, minimum=1, unit="items", help="the last so many items of the past are used",
        source=f"{_SEED}: --max-seq-len", group=_MODEL,
    )  # fmt: skip

    optimizer: Literal["sgd", "adam"] | None = setting(
        None, help="of the dense part and, row by row, of the tables; the variant's when not given",
        source=f"{_SEED}: sgd; {_DIEN}: adam", group=_LEARNING,
    )  # fmt: skip
    learning_rate: float | None = setting(
        None, minimum=0.0, help="learning rate; 0.1 under sgd and 0.001 under adam when not given",
        source=f"{_SEED}: 0.1; {_DIEN}: 0.001", group=_LEARNING,
    )  # fmt: skip
    learning_rate_file: Path | None = setting(
        None, help="a schedule: lines like 10:0.5, the rate from that epoch (or update) on", group=_LEARNING,
        source=f"{_SEED}: --lr-type file, --lr-file",
    )  # fmt: skip
    learning_rate_unit: Literal["epochs", "updates"] = setting(
        "epochs", help="what the schedule file counts", source=f"{_SEED} says epochs and counts updates",
        group=_LEARNING,
    )  # fmt: skip
    epoch_factor: float | None = setting(
        None, minimum=1e-6, maximum=1.0, help="the learning rate is multiplied by this after every epoch; the "
        "variant's when not given", source=f"{_DIEN}: 0.5", group=_LEARNING,
    )  # fmt: skip
    shuffle: bool = setting(
        True, help="a new order of the training rows in each epoch", source=f"{_SEED} never shuffles", group=_LEARNING
    )
    model_path: Path | None = setting(
        None, help="the trained weights are written there, and read by mode infer; the seed's word for --checkpoint "
        "and --init-from", source=f"{_SEED}: --model-path", group=_LEARNING,
    )  # fmt: skip

    micro_batch_size: int = setting(
        32, by_mode={"infer": 128}, minimum=1, unit="samples", help="samples that go through the model at once",
        source=f"{_SEED}: --micro-batch-size", group=_GEOMETRY,
    )  # fmt: skip
    replicas: int = setting(
        1, minimum=1, help="copies of the model that share each update; a host takes them in turn",
        source=f"{_SEED}: --replicas", group=_GEOMETRY,
    )  # fmt: skip
    gradient_accumulation: int = setting(
        1, minimum=1, unit="micro-batches", help="micro-batches of a replica that make one update", group=_GEOMETRY
    )
    device_iterations: int | None = setting(
        None, minimum=1, help="updates of one call; when not given 1, and on an ipu 1600 in train and 160 in infer",
        source=f"{_SEED}: --device-iterations", group=_GEOMETRY,
    )  # fmt: skip
    evaluation_batch: int = setting(
        4096, minimum=1, unit="samples", help="samples of one batch when a trained model is judged (devices of fixed "
        "shapes take what a call holds)", group=_GEOMETRY,
    )  # fmt: skip

    data_type: Literal["float32", "tf32", "bfloat16", "float16"] = setting(
        "float32", help="of the matrix products; tables stay float32", source=f"{_SEED}: --data-type", group=_EXECUTION
    )
    layout: Literal["auto", "jagged", "padded"] = setting(
        "auto", help="jagged: the past without padding; auto: jagged where the device can", source=_MEASURED,
        group=_EXECUTION,
    )  # fmt: skip
    first_layer: Literal["merged", "split", "concat"] = setting(
        "merged", help="how the attention unit's first layer meets [q, k, q-k, q*k] where the past is padded: one "
        "matrix a sample, three products, or the input itself", source=_MEASURED, group=_EXECUTION,
    )  # fmt: skip
    interest: Literal["auto", "fused", "plain"] = setting(
        "auto", help="the attention of a jagged past by one hand-written gradient, a block of samples at a time, or by "
        "autograd; auto: fused on a CPU in float32", source=_MEASURED, group=_EXECUTION,
    )  # fmt: skip
    tables: Literal["merged", "bags", "dense"] = setting(
        "merged", help="merged: one tensor of all rows, of which an update touches those of the batch; bags: one "
        "sparse torch embedding each; dense: gradients over whole tables", source=_MEASURED, group=_EXECUTION,
    )  # fmt: skip
    compile: Literal["auto", "on", "off"] = setting(
        "auto", help="torch.compile of the dense part; a jagged past changes its shape with every batch and is never "
        "compiled", group=_EXECUTION,
    )  # fmt: skip
    allow_random_weights: bool = setting(
        False, help="mode infer may run without a checkpoint, for its speed alone", group=_EXECUTION
    )

    protocol: Protocol | None = setting(
        None, help="paper: every prefix, even negatives, the last place tests; dien: the last place only, as the seven "
        "files have it; found from --data when not given. Part of the data's identity", source=f"{_PAPER}; {_DIEN}",
        group=_ROWS, kind="free",
    )  # fmt: skip
    part: Literal["test", "validation", "train"] = setting(
        "test", help="which rows mode infer goes through", group=_ROWS, kind="identity"
    )
    validation: Literal["user", "time"] | None = setting(
        None, help="how rows for validation are taken out of the training part: all of some users, or their last ones "
        "before the test; time under protocol paper and user under dien when not given", group=_ROWS, kind="identity",
    )  # fmt: skip
    validation_fraction: float = setting(
        0.05, minimum=0.0, maximum=0.5, help="share of the users who validate", group=_ROWS, kind="identity"
    )
    use_synthetic_data: bool = setting(
        False, help="the synthetic samples, as when no --data is given", source=f"{_SEED}: --use-synthetic-data",
        group=_SYNTHETIC, kind="identity",
    )  # fmt: skip
    rows: int = setting(
        200_000, minimum=40, help="synthetic samples, all three parts together", group=_SYNTHETIC, kind="identity"
    )
    users: int = setting(
        543_060, minimum=2, help="rows of the user table", source=f"{_SEED}: Amazon Books", group=_SYNTHETIC,
        kind="identity",
    )  # fmt: skip
    items: int = setting(
        367_983, minimum=2, help="rows of the item table", source=f"{_SEED}: Amazon Books", group=_SYNTHETIC,
        kind="identity",
    )  # fmt: skip
    categories: int = setting(
        1_601, minimum=2, help="rows of the category table", source=f"{_SEED}: Amazon Books", group=_SYNTHETIC,
        kind="identity",
    )  # fmt: skip
    lengths: Literal["real", "full"] = setting(
        "real", help="real: geometric with mean --mean-length; full: every past has --max-seq-len items",
        group=_SYNTHETIC, kind="identity",
    )  # fmt: skip
    mean_length: int = setting(
        9, minimum=1, unit="items", help="mean length of the past", source="Amazon Beauty and Sports: 8.9 and 8.3",
        group=_SYNTHETIC, kind="identity",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.learning_rate is not None and self.learning_rate <= 0.0:
            raise UsageError("din: learning_rate must be above 0")
        if not self.fc_layers:
            raise UsageError("din: fc_layers needs at least one layer")
        if self.use_synthetic_data and self.protocol not in (None, "synthetic"):
            raise UsageError(f"din: use_synthetic_data and protocol = {self.protocol!r} are two different data sets")
        if self.items < self.categories:
            raise UsageError(f"din: {self.items} items cannot fill {self.categories} categories")
        if self.mean_length > self.max_seq_len:
            raise UsageError(f"din: mean_length {self.mean_length} is above max_seq_len {self.max_seq_len}")

    def variant_facts(self) -> VariantFacts:
        """The variant with what was set beside it."""
        base = VARIANTS[self.variant]
        return VariantFacts(
            attention=base.attention,
            weights=self.attention_weights or base.weights,
            scale=base.scale if self.attention_scale is None else self.attention_scale,
            dice=self.dice or base.dice,
            batch_norm=base.batch_norm if self.batch_norm is None else self.batch_norm,
            optimizer=self.optimizer or base.optimizer,
            epoch_factor=self.epoch_factor or base.epoch_factor,
            loss_factor=base.loss_factor,
        )


_SCOPES: tuple[Literal["compute", "compute+input", "end_to_end"], ...] = ("compute", "compute+input", "end_to_end")

DESCRIPTION = Description(
    name="din",
    version=1,
    summary="Deep Interest Network (attention over the past) on Amazon sequences or synthetic samples",
    config=DINConfig,
    workload="workloads.din.workload:DINWorkload",
    modes={
        "train": Mode("steady", "train, then judge the model on held-out rows", _SCOPES),
        "infer": Mode("steady", "predict the rows of --part with trained weights", _SCOPES, latency=True),
    },
    metrics=(
        MetricSpec("throughput", "samples/s", "higher", "primary", "ratio", "samples over seconds of measuring"),
        MetricSpec("auc", "", "higher", "gate", "difference", "ROC AUC, exact, ties counted one half"),
        MetricSpec("gauc", "", "higher", "info", "difference", "AUC inside each user's rows, weighted by their number"),
        MetricSpec("auc_standard_error", "", "none", "info", "difference", "DeLong's, over the rows of the part"),
        MetricSpec("auc_bayes", "", "none", "info", "difference", "what no model can beat on these rows"),
        MetricSpec("log_loss", "nat", "lower", "info", "difference", "mean binary cross-entropy"),
        MetricSpec("accuracy", "", "higher", "info", "difference", "share of rows on the right side of 0.5"),
        MetricSpec("best_epoch", "epochs", "none", "info", "exact", "epochs trained when validation was best"),
        MetricSpec("rows_evaluated", "rows", "none", "info", "exact", "rows the quality was computed over"),
        MetricSpec("unique_rows", "rows", "none", "info", "exact", "synthetic samples that differ from each other"),
        MetricSpec("compile_s", "s", "lower", "info", "ratio", "compilation and graph capture"),
        MetricSpec("input_s", "s", "lower", "info", "ratio", "gathering and staging inside the clock"),
        MetricSpec("stage_s", "s", "lower", "info", "ratio", "the same ahead of the clock (timing scope compute)"),
        MetricSpec("validate_s", "s", "lower", "info", "ratio", "judging the validation rows between epochs"),
    ),
    run_defaults={"train": {"epochs": 2.0}, "infer": {"epochs": 1.0}},
)
