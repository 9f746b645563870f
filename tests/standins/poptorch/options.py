"""Options: set by methods, refused when unknown, frozen once a model has used them."""

from __future__ import annotations

import copy
import json
import os
from typing import Any, Dict

import torch

from .enums import ConnectionType, OutputMode, ReductionType


class OptionsDict:
    """Values under names that only methods set."""

    def __init__(self, **values: Any) -> None:
        self.__dict__["values"] = values
        self.__dict__["frozen"] = False

    def set(self, **values: Any) -> None:
        if self.__dict__["frozen"]:
            raise AttributeError("Can't modify frozen Options")
        self.__dict__["values"].update(values)

    def exists(self, name: str) -> bool:
        return name in self.__dict__["values"]

    def freeze(self) -> None:
        self.__dict__["frozen"] = True

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["values"][name]
        except KeyError:
            raise AttributeError("Options has no attribute %r" % name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dict__["values"]:
            raise AttributeError("Options has no attribute %r" % name)
        self.set(**{name: value})


class TrainingOptions(OptionsDict):
    def __init__(self) -> None:
        super().__init__(gradient_accumulation=1, reduction=ReductionType.Mean)

    def gradientAccumulation(self, count: int) -> TrainingOptions:
        self.set(gradient_accumulation=count)
        return self

    def accumulationAndReplicationReductionType(self, reduction: ReductionType) -> TrainingOptions:
        assert isinstance(reduction, ReductionType), "reduction_type must be a poptorch.ReductionType"
        self.set(reduction=reduction)
        return self


class Options(OptionsDict):
    """POPTORCH_DEFAULT_OPTIONS comes first, as it does in PopTorch."""

    def __init__(self) -> None:
        super().__init__(
            device_iterations=1,
            replication_factor=1,
            output_mode=OutputMode.Default,
            output_return_period=1,
            connection_type=ConnectionType.Always,
            cache=None,
            auto_round_num_ipus=False,
            available_memory_proportion={},
            log_cycle_count=False,
            show_progress=True,
        )
        self.__dict__["Training"] = TrainingOptions()
        if os.environ.get("POPTORCH_CACHE_DIR"):
            self.enableExecutableCaching(os.environ["POPTORCH_CACHE_DIR"])
        for name, value in json.loads(os.environ.get("POPTORCH_DEFAULT_OPTIONS") or "{}").items():
            target: Any = self
            for part in name.split("."):
                target = getattr(target, part)
            target(*value) if isinstance(value, list) else target(value)

    def deviceIterations(self, count: int) -> Options:
        self.set(device_iterations=count)
        return self

    def replicationFactor(self, count: int) -> Options:
        self.set(replication_factor=count)
        return self

    def outputMode(self, mode: OutputMode, output_return_period: int = 0) -> Options:
        assert isinstance(mode, OutputMode)
        if mode == OutputMode.EveryN:
            assert output_return_period > 0, (
                "EveryN anchor must have output_return_period set to valid positive integer"
            )
        self.set(output_mode=mode, output_return_period=output_return_period or 1)
        return self

    def randomSeed(self, random_seed: int) -> Options:
        assert isinstance(random_seed, int)
        torch.manual_seed(random_seed)
        self.set(random_seed=random_seed)
        return self

    def connectionType(self, kind: ConnectionType) -> Options:
        self.set(connection_type=kind)
        return self

    def useIpuModel(self, use_model: bool) -> Options:
        self.set(use_model=use_model)
        return self

    def enableExecutableCaching(self, path: str) -> Options:
        self.set(cache=path)
        return self

    def setAvailableMemoryProportion(self, proportion: Dict[str, float]) -> Options:
        for key in proportion:
            assert key.startswith("IPU"), "Invalid key: %s" % key
        self.set(available_memory_proportion=proportion)
        return self

    def autoRoundNumIPUs(self, auto_round_num_ipus: bool = True) -> Options:
        self.set(auto_round_num_ipus=auto_round_num_ipus)
        return self

    def logCycleCount(self, log_cycle_count: bool) -> Options:
        self.set(log_cycle_count=log_cycle_count)
        return self

    def showCompilationProgressBar(self, show: bool = True) -> Options:
        self.set(show_progress=show)
        return self

    @property
    def emulated(self) -> bool:
        if self.exists("use_model"):
            return bool(self.use_model)
        return os.environ.get("POPTORCH_IPU_MODEL", "").strip() in ("1", "true")

    @property
    def ipus(self) -> int:
        """IPUs are taken by powers of two."""
        wanted = int(self.replication_factor)
        rounded = 1 << (wanted - 1).bit_length()
        if rounded != wanted and not self.auto_round_num_ipus:
            raise AssertionError(
                "PopTorch must attach to a power of 2 IPUs: %d were asked for; see autoRoundNumIPUs" % wanted
            )
        return rounded

    def clone(self) -> Options:
        twin = Options.__new__(Options)
        OptionsDict.__init__(twin, **copy.deepcopy(self.__dict__["values"]))
        training = TrainingOptions()
        training.set(**copy.deepcopy(self.Training.__dict__["values"]))
        twin.__dict__["Training"] = training
        return twin

    def freeze(self) -> None:
        super().freeze()
        self.Training.freeze()
