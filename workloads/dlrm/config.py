"""What DLRM is as a workload: its settings with the sources of their defaults, its modes, its metrics. No torch here.

The defaults are the Kaggle configuration of facebookresearch/dlrm (`bench/dlrm_s_criteo_kaggle.sh`): 26 tables of
width 16, bottom MLP 13-512-256-64-16, dot interaction, top MLP 367-512-256-1, SGD at 0.1, batches of 128, one epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.api import Description, MetricSpec, Mode, UsageError, setting

DENSE_FEATURES = 13  # of every Criteo row
TABLES = 26

KAGGLE_CARDINALITIES = (
    *(1_460, 583, 10_131_227, 2_202_608, 305, 24, 12_517, 633, 3, 93_145, 5_683, 8_351_593, 3_194),
    *(27, 14_992, 5_461_306, 10, 5_652, 2_173, 4, 7_046_547, 18, 15, 286_181, 105, 142_572),
)  # fmt: skip

_KAGGLE_SCRIPT = "facebookresearch/dlrm, bench/dlrm_s_criteo_kaggle.sh"
_PROGRAM = "facebookresearch/dlrm, dlrm_s_pytorch.py"
_PREPROCESSING = "facebookresearch/dlrm, data_utils.py"
_CALIBRATED = "workloads.common.calibration: click rate 0.25, Bayes AUC 0.80, 0.66 from dense features alone"

_MODEL = "Model"
_LEARNING = "Learning"
_EXECUTION = "Execution"
_ROWS = "Rows"
_BUILT_IN = "Built-in click log"


@dataclass(frozen=True, slots=True, kw_only=True)
class DLRMConfig:
    """All settings of one DLRM cell."""

    embedding_dim: int = setting(
        16, minimum=1, help="width of every embedding table", source=f"{_KAGGLE_SCRIPT}: --arch-sparse-feature-size",
        group=_MODEL,
    )  # fmt: skip
    bottom_mlp: tuple[int, ...] = setting(
        (512, 256, 64, 16), minimum=1, help="layer widths of the bottom MLP, behind the 13 dense features",
        source=f"{_KAGGLE_SCRIPT}: --arch-mlp-bot", group=_MODEL,
    )  # fmt: skip
    top_mlp: tuple[int, ...] = setting(
        (512, 256, 1), minimum=1, help="layer widths of the top MLP, behind the interaction; the last is 1",
        source=f"{_KAGGLE_SCRIPT}: --arch-mlp-top", group=_MODEL,
    )  # fmt: skip
    interaction: Literal["dot", "cat"] = setting(
        "dot", help="how features meet: pairwise dot products, or plain concatenation",
        source=f"{_PROGRAM}: --arch-interaction-op", group=_MODEL,
    )  # fmt: skip
    interaction_self: bool = setting(
        False, help="dot products of each vector with itself too", source=f"{_PROGRAM}: --arch-interaction-itself",
        group=_MODEL,
    )  # fmt: skip

    batch: int = setting(
        128, by_mode={"eval": 16_384}, minimum=1, unit="samples", help="samples of one step",
        source=f"{_KAGGLE_SCRIPT}: --mini-batch-size, --test-mini-batch-size", group=_LEARNING,
    )  # fmt: skip
    evaluation_batch: int = setting(
        16_384, minimum=1, unit="samples", help="samples of one batch when a trained model is evaluated",
        source=f"{_KAGGLE_SCRIPT}: --test-mini-batch-size", group=_LEARNING,
    )  # fmt: skip
    optimizer: Literal["sgd", "adagrad"] = setting(
        "sgd", help="of the MLPs and, row by row, of the tables", source=f"{_PROGRAM}: --optimizer", group=_LEARNING
    )
    learning_rate: float = setting(
        0.1, minimum=0.0, help="learning rate", source=f"{_KAGGLE_SCRIPT}: --learning-rate", group=_LEARNING
    )
    warmup_updates: int = setting(
        0, minimum=0, unit="updates", help="the learning rate rises linearly over so many updates",
        source=f"{_PROGRAM}: --lr-num-warmup-steps", group=_LEARNING,
    )  # fmt: skip
    decay_start: int | None = setting(
        None, minimum=0, unit="updates", help="first update of the learning rate's decay; never when not given",
        source=f"{_PROGRAM}: --lr-decay-start-step", group=_LEARNING,
    )  # fmt: skip
    decay_updates: int = setting(
        0, minimum=0, unit="updates", help="length of the decay to zero", source=f"{_PROGRAM}: --lr-num-decay-steps",
        group=_LEARNING,
    )  # fmt: skip
    decay_power: float = setting(
        2.0, minimum=0.0, help="power of the decay", source=f"{_PROGRAM}: class LRPolicyScheduler", group=_LEARNING
    )
    adagrad_eps: float = setting(
        1e-10, minimum=1e-30, help="added to the root of Adagrad's sum", source="torch.optim.Adagrad", group=_LEARNING
    )
    adagrad_initial: float = setting(
        0.0, minimum=0.0, help="what Adagrad's sum starts from", source="torch.optim.Adagrad", group=_LEARNING
    )
    shuffle: bool = setting(
        True, help="a new order of the training rows in each epoch",
        source=f"{_PREPROCESSING}: --data-randomize=total, which permutes once", group=_LEARNING,
    )  # fmt: skip

    precision: Literal["fp32", "tf32", "bf16", "fp16"] = setting(
        "fp32", help="of the MLPs' matrix products; tables stay fp32", source=_PROGRAM, group=_EXECUTION
    )
    compile: Literal["auto", "on", "off"] = setting(
        "auto", help="torch.compile of the dense part; auto: where the device and a compiler allow it",
        group=_EXECUTION,
    )  # fmt: skip
    tables: Literal["merged", "bags"] = setting(
        "merged", help="one tensor of all rows, updated by scatter, or one sparse EmbeddingBag per table",
        source="benchmarks/dlrm_engines.py measures both", group=_EXECUTION,
    )  # fmt: skip

    part: Literal["test", "validation", "train", "all"] = setting(
        "test", help="which rows mode eval goes through; all of them where the file has no labels", group=_ROWS,
        kind="identity",
    )  # fmt: skip
    split: Literal["ordered", "kaggle"] = setting(
        "ordered", help="ordered: train, validation, test in row order; kaggle: six of seven days train, half of "
        "the last one tests, its rest validates", source=f"{_PREPROCESSING}: kaggle is its split", group=_ROWS,
        kind="identity",
    )  # fmt: skip
    validation_fraction: float = setting(
        0.1, minimum=0.0, maximum=0.9, help="share of the rows before the test part that validate (split ordered)",
        group=_ROWS, kind="identity",
    )  # fmt: skip
    test_fraction: float = setting(
        0.2, minimum=0.0, maximum=0.9, help="share of the rows at the end that test (split ordered)", group=_ROWS,
        kind="identity",
    )  # fmt: skip
    dense_transform: Literal["log1p", "log3"] = setting(
        "log1p", help="log1p: log(1 + x), negative and missing as 0; log3: log(3 + x), missing as 0",
        source=f"{_PREPROCESSING}: log(x + 1); log3 is that of NVIDIA DeepLearningExamples", group=_ROWS,
        kind="identity",
    )  # fmt: skip
    frequency_threshold: int = setting(
        3, minimum=1, help="ids seen less often in the training rows share one row of their table (--data only)",
        source="facebookresearch/dlrm, torchrec_dlrm: 3; its first program has no threshold", group=_ROWS,
        kind="identity",
    )  # fmt: skip
    on_bad_row: Literal["error", "skip"] = setting(
        "error", help="a malformed line stops the run, or is skipped and counted (--data only)", group=_ROWS,
        kind="identity",
    )  # fmt: skip
    table_rows: int | None = setting(
        None, minimum=2, help="the most rows of any table: built-in tables are cut to it, those of a file keep the "
        "most frequent ids", source=f"{_KAGGLE_SCRIPT}: no cap", group=_ROWS, kind="identity",
    )  # fmt: skip

    rows: int = setting(
        500_000, minimum=10, help="rows of the built-in log, all three parts together", group=_BUILT_IN,
        kind="identity",
    )  # fmt: skip
    cardinalities: tuple[int, ...] = setting(
        KAGGLE_CARDINALITIES, minimum=1, maximum=2**31 - 1, help="rows of each of the 26 tables of the built-in log",
        source="facebookresearch/dlrm, the counts of the Criteo Kaggle set", group=_BUILT_IN, kind="identity",
    )  # fmt: skip
    zipf_exponent: float = setting(
        1.05, minimum=0.0, maximum=4.0, help="skew of the ids; 0 is uniform",
        source="workloads.common.clicks", group=_BUILT_IN, kind="identity",
    )  # fmt: skip
    scatter_ids: bool = setting(
        True, help="spread popular ids over their table; else id 0 is the most popular", group=_BUILT_IN,
        kind="identity",
    )  # fmt: skip
    teacher_bias: float = setting(
        -1.4713, help="the planted teacher's constant; sets the click rate", source=_CALIBRATED, group=_BUILT_IN,
        kind="identity",
    )  # fmt: skip
    teacher_dense: float = setting(
        0.3268, help="scale of what dense features add to the teacher's logit", source=_CALIBRATED, group=_BUILT_IN,
        kind="identity",
    )  # fmt: skip
    teacher_categorical: float = setting(
        0.4481, help="scale of what ids add to the teacher's logit", source=_CALIBRATED, group=_BUILT_IN,
        kind="identity",
    )  # fmt: skip
    teacher_pairs: tuple[str, ...] = setting(
        (), help="columns, counted from 1, whose ids act together, like 1-5,9-17", group=_BUILT_IN, kind="identity"
    )
    teacher_pair: float = setting(
        0.0, help="scale of what those pairs add to the teacher's logit", group=_BUILT_IN, kind="identity"
    )

    record_lookups: Path | None = setting(
        None, help="write the lookups of repeat 0 as a trace (.npz) for cachesim; made behind the clock, when the run "
        "ends", group=_EXECUTION, kind="free",
    )  # fmt: skip
    allow_random_weights: bool = setting(
        False, help="mode eval may run without --init-from, for its speed alone", group=_EXECUTION
    )

    def __post_init__(self) -> None:
        if not self.bottom_mlp or not self.top_mlp:
            raise UsageError("dlrm: bottom_mlp and top_mlp each need at least one layer")
        if self.bottom_mlp[-1] != self.embedding_dim:
            raise UsageError(
                f"dlrm: the bottom MLP ends in {self.bottom_mlp[-1]}, but embedding_dim is {self.embedding_dim}",
                hint="its output meets the embeddings, so both must have one width",
            )
        if self.top_mlp[-1] != 1:
            raise UsageError(f"dlrm: the top MLP ends in {self.top_mlp[-1]}, expected 1, the logit of a click")
        if len(self.cardinalities) != TABLES:
            raise UsageError(f"dlrm: cardinalities has {len(self.cardinalities)} numbers, expected {TABLES}")
        if self.learning_rate <= 0.0:
            raise UsageError("dlrm: learning_rate must be above 0")
        if self.validation_fraction + self.test_fraction > 0.95:
            raise UsageError(
                f"dlrm: validation_fraction {self.validation_fraction:g} and test_fraction {self.test_fraction:g} "
                "leave less than a twentieth of the rows for training"
            )
        self.pairs()

    def pairs(self) -> tuple[tuple[int, int], ...]:
        """`teacher_pairs` as columns counted from 0. UsageError where one is not like 1-5."""
        found = []
        for text in self.teacher_pairs:
            first, _, second = text.partition("-")
            if not (first.isdecimal() and second.isdecimal()):
                raise UsageError(f"dlrm: teacher_pairs holds {text!r}, expected two columns like 1-5")
            pair = int(first) - 1, int(second) - 1
            if pair[0] == pair[1] or not all(0 <= column < TABLES for column in pair):
                raise UsageError(f"dlrm: teacher_pairs holds {text!r}, expected two different columns of 1 to {TABLES}")
            found.append(pair)
        return tuple(found)

    def table_sizes(self) -> tuple[int, ...]:
        """Rows of each built-in table under the cap."""
        cap = self.table_rows
        return self.cardinalities if cap is None else tuple(min(size, cap) for size in self.cardinalities)


_SCOPES: tuple[Literal["compute", "compute+input", "end_to_end"], ...] = ("compute", "compute+input", "end_to_end")

DESCRIPTION = Description(
    name="dlrm",
    version=1,
    summary="DLRM click-through model (26 embedding tables, two MLPs, dot interaction) on Criteo rows",
    config=DLRMConfig,
    workload="workloads.dlrm.workload:DLRMWorkload",
    modes={
        "train": Mode("steady", "train, then judge the model on held-out rows", _SCOPES),
        "eval": Mode("pass", "predict the test part once with the weights of --init-from", _SCOPES, sample="rows"),
    },
    metrics=(
        MetricSpec("throughput", "samples/s", "higher", "primary", "ratio", "samples over seconds of measuring"),
        MetricSpec("auc", "", "higher", "gate", "difference", "ROC AUC, exact, ties counted one half"),
        MetricSpec("auc_standard_error", "", "none", "info", "difference", "DeLong's, over the rows of the part"),
        MetricSpec("auc_bayes", "", "none", "info", "difference", "what no model can beat on these rows"),
        MetricSpec("auc_dense_bayes", "", "none", "info", "difference", "the same from dense features alone"),
        MetricSpec("log_loss", "nat", "lower", "info", "difference", "mean binary cross-entropy"),
        MetricSpec("normalized_entropy", "", "lower", "info", "difference", "log loss over the click rate's entropy"),
        MetricSpec("accuracy", "", "higher", "info", "difference", "share of rows on the right side of 0.5"),
        MetricSpec("accuracy_majority", "", "none", "info", "difference", "accuracy of the commoner label for all"),
        MetricSpec("calibration", "", "none", "info", "difference", "mean prediction over click rate; 1 is right"),
        MetricSpec("rows_evaluated", "rows", "none", "info", "exact", "rows the quality was computed over"),
        MetricSpec("rows_skipped", "rows", "none", "info", "exact", "malformed lines left out by --on-bad-row skip"),
        MetricSpec("compile_s", "s", "lower", "info", "ratio", "compilation and graph capture"),
        MetricSpec("input_s", "s", "lower", "info", "ratio", "gathering, transforming and staging inside the clock"),
        MetricSpec("stage_s", "s", "lower", "info", "ratio", "the same ahead of the clock (timing scope compute)"),
    ),
    install="pip install 'recbench[torch]'",
    run_defaults={"train": {"epochs": 1.0}, "eval": {"warmup": "none"}},
)
