"""Writes a comparison into a file of the working folder, never over another one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from harness.analysis.comparison import Comparison
from harness.errors import RunFailed
from harness.ids import short_id
from harness.report import comparison as report

Format = Literal["markdown", "csv", "json"]
ENDINGS: dict[Format, str] = {"markdown": "md", "csv": "csv", "json": "json"}


def text_of(comparison: Comparison, form: Format) -> str:
    if form == "markdown":
        return report.markdown([comparison])
    if form == "csv":
        return report.csv_text([comparison])
    return json.dumps(report.as_json([comparison]), indent=2, ensure_ascii=False) + "\n"


def write(comparison: Comparison, form: Format, folder: Path) -> Path:
    """The file written: `compare-A-B.md`, with a number where that is there. RunFailed where it cannot be."""
    cells = (comparison.a.cell_id, comparison.b.cell_id)
    stem = "compare-" + "-".join(short_id(cell) for cell in cells if cell is not None)
    path = folder / f"{stem}.{ENDINGS[form]}"
    number = 2
    while path.exists():
        path = folder / f"{stem}-{number}.{ENDINGS[form]}"
        number += 1
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as out:
            out.write(text_of(comparison, form))
            out.flush()
            os.fsync(out.fileno())
        draft.rename(path)
    except OSError as problem:
        draft.unlink(missing_ok=True)
        raise RunFailed(f"{path} cannot be written: {problem.strerror}") from problem
    return path
