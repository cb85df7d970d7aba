"""Accuracy and coverage of prediction sets over the folds of a cross-validation, of the files exported from them.

    for k in 1 2 3 4 5; do
        allkit export --run CV/fold-$k --precision int8 --out WORK/$k
        allkit evaluate WORK/$k/*.onnx --data ALL/ --part test --json > WORK/$k.json
    done
    python benchmarks/coverage.py WORK/?.json > benchmarks/results/coverage.json

A threshold that is fitted on the validation part of a fold promises its coverage for images like those.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(*paths: str) -> None:
    evaluations = [json.loads(Path(path).read_text()) for path in paths]
    counts = [one["metrics"]["n"] for one in evaluations]

    def row(name: str, values: list[dict]) -> dict:
        pooled = sum(value["value"] * n for value, n in zip(values, counts, strict=True)) / sum(counts)
        return {name: {"pooled": round(pooled, 4), "folds": [round(value["value"], 4) for value in values]}}

    record = {
        "model": evaluations[0]["model"],
        "n": counts,
        "promised_coverage": evaluations[0]["doubt"]["promised_coverage"],
        **row("accuracy", [one["metrics"]["accuracy"] for one in evaluations]),
        **row("coverage", [one["doubt"]["coverage"] for one in evaluations]),
        **row("uncertain", [one["doubt"]["uncertain"] for one in evaluations]),
    }
    json.dump(record, sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
