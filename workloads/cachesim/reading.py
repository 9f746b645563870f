"""How a trace is read, as settings: what the workload and the commands on traces have in common. No numpy here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.api import setting

_TRACE = "Trace"

FormatName = Literal[
    "lines", "csv", "npz", "npy", "torch", "parquet", "oracleGeneral", "binary", "int64-be", "recmg", "criteo"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """See `traces.options.ReadOptions`."""

    format: FormatName | None = setting(
        None, help="of the trace; told by its ending and first bytes when not given", group=_TRACE, kind="identity"
    )
    schema: Path | None = setting(
        None, help="TOML or CSV file with name, rows, dim and dtype of the tables; needed for bytes", group=_TRACE
    )
    batch_size: int | None = setting(
        None, minimum=1, unit="samples", help="samples a batch (requests, where the trace tells no samples); as in the "
        "source when not given", group=_TRACE, kind="identity",
    )  # fmt: skip
    limit: int | None = setting(
        None, minimum=1, unit="requests", help="only the first so many requests", group=_TRACE, kind="identity"
    )
    id_type: Literal["auto", "integer", "text"] = setting(
        "auto", help="what ids of text formats are", group=_TRACE, kind="identity"
    )
    columns: tuple[str, ...] = setting(
        (), help="csv, parquet: the columns with ids, each a table, by name (csv also by number from 1)", group=_TRACE,
        kind="identity",
    )  # fmt: skip
    table_column: str | None = setting(
        None, help="csv: the column that names the table of each line", group=_TRACE, kind="identity"
    )
    delimiter: str | None = setting(None, help="csv: between columns", group=_TRACE, kind="identity")
    record: str = setting(
        "<q", help="binary: the record as in Python's struct, byte order first", group=_TRACE, kind="identity"
    )
    field: int = setting(
        0, minimum=0, help="binary: which field of the record is the id, from 0", group=_TRACE, kind="identity"
    )
    frequency_threshold: int | None = setting(
        None, minimum=1, help="criteo: ids seen less often share a row of their table", group=_TRACE, kind="identity"
    )
