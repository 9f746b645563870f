"""How a trace is to be read, where its file does not tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

IdType = Literal["auto", "integer", "text"]
Progress = Callable[[int, int], None]  # bytes or requests done, and in all


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """Everything but the files. `format` None: told by the ending and the first bytes."""

    format: str | None = None
    schema: Path | None = None  # a TOML or CSV file, see `schema`
    batch_size: int | None = None  # samples a batch (requests, where there are no samples); None: as the source has it
    limit: int | None = None  # end after so many requests
    id_type: IdType = "auto"  # of text formats; auto: numbers if all ids in the first 4 MiB are
    columns: tuple[str, ...] = ()  # csv, parquet: one for each table, by name (csv also by number from 1)
    table_column: str | None = None  # csv: the column that names the table of each line
    delimiter: str | None = None  # csv; None: the first of tab, semicolon, comma that the first line holds
    record: str = "<q"  # binary: the record as in Python's struct, byte order first
    field: int = 0  # binary: which of its fields is the id, from 0
    frequency_threshold: int | None = None  # criteo: rare ids share a row, as for DLRM; None: every id has its own
    scratch: Path | None = None  # folder for unpacked and parsed files; None: the system's temporary one
    progress: Progress | None = None
