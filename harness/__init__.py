"""recbench: measures recommendation workloads, keeps every result in SQLite, and compares honestly."""

from __future__ import annotations

__version__ = "0.1.0"
