"""What every test shares: one folder for what numba compiles, in this process and in those that tests start."""

from __future__ import annotations

import os
from pathlib import Path

# Read by numba when it is imported. Without it each test with a cache folder of its own would compile anew.
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).resolve().parent.parent / ".pytest_cache" / "numba"))
