"""What a run's settings come to on its device: everything that is None in the configuration is decided here, once.

The decisions depend on variant, mode and device alone, so all repeats agree; they stand in the run's record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.api import Device, Geometry, UsageError
from workloads.din.config import LEARNING_RATES, DINConfig
from workloads.din.host import Past
from workloads.din.network import Shape

PRECISIONS = {"float32": "fp32", "tf32": "tf32", "bfloat16": "bf16", "float16": "fp16"}
IPU_ITERATIONS = {"train": 1600, "infer": 160}  # graphcore/examples: --device-iterations of din_train and din_infer


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """One run, decided."""

    variant: str
    shape: Shape
    past: Past
    geometry: Geometry
    optimizer: str
    learning_rate: float
    epoch_factor: float
    rate_factor: float  # of the learning rate, where the variant's loss is a part of the cross-entropy
    precision: str
    compile: str
    tables: str

    @property
    def jagged(self) -> bool:
        return self.past != "padded"

    def facts(self) -> dict[str, Any]:
        """How this run differs from other DINs, by name."""
        shape, geometry = self.shape, self.geometry
        width = shape.attention_size
        unit = {
            "din": "-".join(map(str, (4 * width, *shape.attention_layers, 1))),
            "linear": f"{4 * width}-1, linear",
            "mean": "none, plain averages",
        }
        scores = "no weights" if shape.attention == "mean" else shape.weights
        return {
            "variant": self.variant,
            "attention": unit[shape.attention],
            "attention_weights": f"{scores}, scores / sqrt({width})" if shape.scale else scores,
            "dice": f"{shape.dice} statistics at inference",
            "batch_norm": shape.batch_norm,
            "loss": "cross-entropy"
            if self.rate_factor == 1.0
            else f"cross-entropy, learning rate x {self.rate_factor:g}",
            "optimizer_asked": f"{self.optimizer}, learning rate {self.learning_rate:g}"
            + (f", x {self.epoch_factor:g} an epoch" if self.epoch_factor != 1.0 else ""),
            "tables_update": f"{self.tables}, " + ("lazy adam" if self.optimizer == "adam" else "sgd"),
            "past": self.past,
            "first_layer": shape.form if self.past == "padded" else "split, or merged where all lengths agree",
            "geometry": f"{geometry.micro_batch} x {geometry.replicas} replicas x {geometry.gradient_accumulation} "
            f"accumulated x {geometry.device_iterations} iterations",
        }


def make_plan(config: DINConfig, device: Device, mode: str) -> RunPlan:
    """UsageError where settings exclude each other, or the device cannot do what is asked."""
    facts = config.variant_facts()
    shape = Shape(
        embedding_dim=config.embedding_dim,
        attention_size=config.attention_size,
        attention_layers=tuple(config.attention_layers),
        fc_layers=tuple(config.fc_layers),
        attention=config.attention or facts.attention,
        weights=facts.weights,
        scale=facts.scale,
        dice=facts.dice,
        batch_norm=facts.batch_norm,
        form=config.first_layer,
    )
    optimizer = facts.optimizer
    if config.optimizer is None and optimizer not in device.capabilities.optimizers:
        optimizer = "sgd"
    past = _past(config, device, shape)
    iterations = config.device_iterations
    if iterations is None:
        iterations = IPU_ITERATIONS[mode] if device.name == "ipu" else 1
    return RunPlan(
        variant=config.variant,
        shape=shape,
        past=past,
        geometry=Geometry(
            micro_batch=config.micro_batch_size,
            replicas=config.replicas,
            gradient_accumulation=config.gradient_accumulation if mode == "train" else 1,
            device_iterations=iterations,
        ),
        optimizer=optimizer,
        learning_rate=config.learning_rate or LEARNING_RATES[optimizer],
        epoch_factor=facts.epoch_factor,
        rate_factor=facts.loss_factor if optimizer == "sgd" else 1.0,
        precision=PRECISIONS[config.data_type],
        compile=config.compile if past == "padded" else "off",
        tables=config.tables,
    )


def _past(config: DINConfig, device: Device, shape: Shape) -> Past:
    """How the past is laid out, and who computes what it says."""
    able = device.capabilities.jagged
    if config.layout == "jagged" and not able:
        raise UsageError(
            f"din: layout jagged is not for {device.name}, whose shapes must not change", hint="--layout padded"
        )
    if config.layout == "jagged" and config.compile == "on":
        raise UsageError(
            "din: a jagged past changes its shape with every batch, and torch.compile would start anew each time",
            hint="--layout padded --compile on, or leave compile at auto",
        )
    jagged = config.layout == "jagged" or (config.layout == "auto" and able and config.compile != "on")
    why_not = _why_not_fused(config, device, shape, jagged)
    if config.interest == "fused" and why_not is not None:
        raise UsageError(f"din: interest fused is {why_not}", hint="leave it at auto")
    if not jagged:
        return "padded"
    return "fused" if config.interest != "plain" and why_not is None else "plain"


def _why_not_fused(config: DINConfig, device: Device, shape: Shape, jagged: bool) -> str | None:
    if not jagged:
        return "for a jagged past"
    if device.name != "cpu":
        return f"for a CPU, not for {device.name}"
    if config.data_type != "float32":
        return f"for float32, not for {config.data_type}"
    if shape.attention != "din" or not shape.attention_layers or shape.attention_size != shape.item_width:
        return "for an attention unit with hidden layers on the items themselves"
    return None
