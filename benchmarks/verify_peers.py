"""Checks that need other people's programs, in an environment of their own (.venv-peers).

    make verify-peers

- datasette opens a results database, while nothing else of recbench is there: every view answers, and exports CSV;
- SciPy agrees with our own exact tests on random samples.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PEERS = TOP / ".venv-peers"
PYTHON = PEERS / "bin" / "python"
OURS = TOP / ".venv" / "bin" / "python"
VIEWS = ("run_summary", "latest_per_cell", "compare_input", "series_point", "telemetry_value")


def install() -> None:
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
    subprocess.run(
        [str(PYTHON), "-m", "pip", "install", "--quiet", "datasette<1", "scipy", "setuptools<81"], check=True
    )


def datasette(database: Path, page: str) -> str:
    return subprocess.run(
        [str(PYTHON), "-m", "datasette", str(database), "--get", page], check=True, capture_output=True, text=True
    ).stdout


def check_datasette(folder: Path) -> None:
    database = folder / "results.db"
    subprocess.run([str(OURS), str(TOP / "tests" / "example_database.py"), str(database)], check=True)
    for view in VIEWS:
        rows = json.loads(datasette(database, f"/results/{view}.json?_shape=array"))
        assert rows, f"{view} is empty"
        header = datasette(database, f"/results/{view}.csv").splitlines()[0]
        print(f"datasette: {view:16} {len(rows):4} rows, columns {header}")


def check_statistics() -> None:
    """The same samples to both; p-values must agree to 1e-12."""
    chooser = random.Random(1)
    samples = [[[chooser.gauss(0, 1) for _ in range(n)] for n in (chooser.randint(2, 12), chooser.randint(2, 12))]
               for _ in range(200)]  # fmt: skip
    ours = _run(OURS, "from harness.analysis.statistics import mann_whitney_p as f", "f(a, b)", samples)
    theirs = _run(PYTHON, "from scipy.stats import mannwhitneyu as f", "float(f(a, b, method='exact').pvalue)", samples)
    worst = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    assert worst < 1e-12, worst
    print(f"SciPy: Mann-Whitney of {len(samples)} pairs of samples agrees to {worst:.1e}")


def _run(python: Path, head: str, expression: str, samples: list[list[list[float]]]) -> list[float]:
    script = f"import json, sys; {head}; print(json.dumps([{expression} for a, b in json.load(sys.stdin)]))"
    answer = subprocess.run(
        [str(python), "-c", script], input=json.dumps(samples), check=True, capture_output=True, text=True, cwd=TOP
    )
    return list(json.loads(answer.stdout))


def main() -> None:
    install()
    with tempfile.TemporaryDirectory() as folder:
        check_datasette(Path(folder))
    check_statistics()


if __name__ == "__main__":
    main()
