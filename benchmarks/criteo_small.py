"""DLRM on some thousand real Criteo rows, beside a logistic regression on hashed features.

    python benchmarks/criteo_small.py PATH/train.txt

Five seeds of `bench run dlrm --profile criteo-small`, tested on the last fifth in row order; the baseline sees the same
rows: training part for fitting, last fifth for testing. Needs the extras `torch` and `dev`.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from sklearn.feature_extraction import FeatureHasher
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

HASHED = 2**18
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1


def dlrm(path: Path) -> list[dict[str, float]]:
    """auc, log_loss and throughput of each repeat."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "harness", "run", "dlrm", "--profile", "criteo-small", "--data", str(path),
            "--json", "--ui", "none", "--db", str(Path(folder) / "results.db"),
        ]  # fmt: skip
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    runs = json.loads(answer.stdout)["cells"][0]["runs"]
    return [{name: run["metrics"][name]["value"] for name in ("auc", "log_loss", "throughput")} for run in runs]


def features(line: str) -> tuple[int, list[str]]:
    """The label, and each field as one token: integers by the square of their logarithm, ids as they are."""
    label, *fields = line.rstrip("\n").split("\t")
    tokens = []
    for index, field in enumerate(fields):
        if index < 13 and field:
            number = int(field)
            field = str(int(math.log(number + 1) ** 2)) if number > 2 else str(number)
        tokens.append(f"{index}={field}")
    return int(label), tokens


def baseline(path: Path) -> dict[str, float]:
    """Logistic regression; its strength of regularisation is chosen on the validation rows."""
    rows = [features(line) for line in path.read_text().splitlines()]
    labels, tokens = [label for label, _ in rows], [row for _, row in rows]
    hashed = FeatureHasher(HASHED, input_type="string", alternate_sign=False).transform(tokens)
    test = round(len(rows) * (1 - TEST_SHARE))
    train = round(len(rows) * (1 - TEST_SHARE - VALIDATION_SHARE))
    models = [
        LogisticRegression(C=c, max_iter=1000).fit(hashed[:train], labels[:train]) for c in (0.01, 0.03, 0.1, 0.3)
    ]
    best = min(models, key=lambda model: log_loss(labels[train:test], model.predict_proba(hashed[train:test])[:, 1]))
    predicted = best.predict_proba(hashed[test:])[:, 1]
    return {"auc": roc_auc_score(labels[test:], predicted), "log_loss": log_loss(labels[test:], predicted)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    path = parser.parse_args().path
    runs, other = dlrm(path), baseline(path)
    print(f"{path.name}, last fifth in row order\n")
    print("| model | AUC | log loss |\n|---|---|---|")
    spread = {}
    for name in ("auc", "log_loss"):
        values = [run[name] for run in runs]
        spread[name] = f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"
    print(f"| DLRM criteo-small, mean ± sd of {len(runs)} seeds | {spread['auc']} | {spread['log_loss']} |")
    print(f"| logistic regression, {HASHED:,} hashed features | {other['auc']:.4f} | {other['log_loss']:.4f} |")


if __name__ == "__main__":
    main()
