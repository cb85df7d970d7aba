"""The folds of a cross-validation as one result.

Each image is predicted by the one network that has not seen it or its neighbours; the pooled predictions are
scored as one test part of all images, whose interval is narrow enough to compare models by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from allkit.dataset.index import BASELINE
from allkit.errors import AllkitError
from allkit.metrics import Metrics, score
from allkit.stats import Interval, wilson
from allkit.training.figures import save_confusion
from allkit.training.run import SCHEMA_VERSION, Run, write_json


def pool(runs: Sequence[Run], folder: Path) -> tuple[Metrics, Interval]:
    """Score the pooled out-of-fold predictions of finished runs; write `metrics.json` and `confusion.png`.

    Returns the metrics and the pooled accuracy of the colour-histogram baseline. Raises AllkitError when the runs are
    not the folds of one cross-validation.
    """
    _check_alike(runs)
    settings, records = runs[0].settings, [run.metrics() for run in runs]
    paths, labels, probabilities = (
        list(column) for column in zip(*(run.read_predictions() for run in runs), strict=True)
    )
    # Groups are numbered alike in all folds: they are dealt out from one list.
    groups = [run.split.groups[path] for run, of_run in zip(runs, paths, strict=True) for path in of_run]
    metrics = score(np.concatenate(labels), np.concatenate(probabilities), settings.classes, groups)
    title = f"{settings.name}, {runs[0].split.label}, {len(runs)} folds, n = {metrics.n}"
    save_confusion(metrics.confusion, settings.classes, title, folder / "confusion.png")
    hits = sum(record["baseline"]["value"] * record["metrics"]["n"] for record in records)
    baseline = wilson(round(hits), metrics.n)
    write_json(folder / "metrics.json", _record(runs, records, metrics, baseline))
    return metrics, baseline


def _check_alike(runs: Sequence[Run]) -> None:
    first = runs[0]
    wanted = {**first.split.parameters, "folds": len(runs)}
    for fold, run in enumerate(runs):
        alike = run.settings == first.settings and run.split.hashes == first.split.hashes
        if not alike or run.split.protocol != first.split.protocol or run.split.parameters != {**wanted, "fold": fold}:
            raise AllkitError(
                f"{run.folder} was trained with other settings than {first.folder}: "
                "repeat the cross-validation with the options it was started with, or into another --out"
            )


def _record(
    runs: Sequence[Run], records: Sequence[dict[str, Any]], metrics: Metrics, baseline: Interval
) -> dict[str, Any]:
    summary = runs[0].split.summary()
    return {
        "schema_version": SCHEMA_VERSION,
        "part": f"out-of-fold predictions of {len(runs)} folds",
        "metrics": metrics.to_dict(),
        "baseline": {"method": BASELINE, **asdict(baseline)},
        "folds": [
            {
                "n": record["split"]["n"],
                "hash": record["split"]["hash"],
                "accuracy": record["metrics"]["accuracy"],
                "baseline": record["baseline"],
                "training_seconds": record["training_seconds"],
            }
            for record in records
        ],
        "training_seconds": sum(record["training_seconds"] for record in records),
        "split": {
            "protocol": summary["protocol"],
            "parameters": {name: value for name, value in summary["parameters"].items() if name != "fold"},
        },
        **{name: records[0][name] for name in ("device", "settings", "data_fingerprint", "parameters", "versions")},
    }
