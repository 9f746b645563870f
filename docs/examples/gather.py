"""A workload in one file: how many embedding rows a second numpy can gather.

bench run gather --plugin docs/examples/gather.py --rows 2M --seconds 2
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import BaseWorkload, Context, DataIdentity, Description, Mode, Step, Work, setting


@dataclass(frozen=True, kw_only=True)
class GatherConfig:
    rows: int = setting(1_000_000, help="rows of the table", minimum=1, kind="identity")
    width: int = setting(16, help="numbers in a row", minimum=1)
    batch: int = setting(4096, help="rows gathered in a step", minimum=1)


class Gather(BaseWorkload):
    def setup(self, context: Context) -> None:
        import numpy as np

        self.config: GatherConfig = context.config
        chooser = np.random.default_rng(context.data_seed)
        self.table = np.ones((self.config.rows, self.config.width), dtype=np.float32)
        self.ids = chooser.integers(self.config.rows, size=(1024, self.config.batch))
        self.next = 0
        context.identify(DataIdentity(fingerprint=f"uniform-{self.config.rows}", kind="generated"))

    def step(self) -> Step:
        self.table.take(self.ids[self.next % 1024], axis=0)
        self.next += 1
        return Step(self.config.batch)

    def work_per_step(self) -> Work:
        return Work(gathered_rows=self.config.batch, row_bytes=4 * self.config.width)


WORKLOADS = [
    Description(
        name="gather",
        version=1,
        summary="gathers random rows of one table with numpy",
        config=GatherConfig,
        workload=Gather,
        modes={"infer": Mode("steady", "gathers rows", sample="rows")},
    )
]
