"""The folds of a cross-validation as one result.

Each image is predicted by the one network that has not seen it or its neighbours; the pooled predictions are
scored as one test part of all images, whose interval is narrow enough to compare models by. The record holds the
prediction and the group of every image, so that whatever is computed from it later can respect groups too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from allkit.charts.training import confusion
from allkit.data.index import BASELINE
from allkit.metrics import Interval, proportion
from allkit.metrics.classification import Metrics, score
from allkit.runs.folds import check_folds
from allkit.runs.run import Run
from allkit.runs.settings import SCHEMA_VERSION
from allkit.support.files import write_json


def pool(runs: Sequence[Run], folder: Path) -> tuple[Metrics, Interval]:
    """Score the pooled out-of-fold predictions of finished runs; write `metrics.json` and `confusion.png`.

    Returns the metrics and the pooled accuracy of the colour-histogram baseline. Raises AllkitError when the runs are
    not the folds of one cross-validation.
    """
    check_folds(dict(enumerate(runs)), len(runs))
    settings, records = runs[0].settings, [run.metrics() for run in runs]
    paths, labels, probabilities = (
        list(column) for column in zip(*(run.read_predictions() for run in runs), strict=True)
    )
    # Groups are numbered alike in all folds: they are dealt out from one list.
    tested = [path for of_run in paths for path in of_run]
    groups = np.array([run.split.groups[path] for run, of_run in zip(runs, paths, strict=True) for path in of_run])
    truth, shares = np.concatenate(labels), np.concatenate(probabilities)
    metrics = score(truth, shares, settings.classes, groups)
    title = f"{settings.name}, {runs[0].split.label}, {len(runs)} folds, n = {metrics.n}"
    confusion(metrics.confusion, settings.classes, title).save(folder / "confusion.png")
    told = np.array([right for record in records for right in record["predictions"]["baseline_right"]])
    baseline = proportion(told, groups)
    columns = {
        "path": tested,
        "group": groups.tolist(),
        "truth": truth.tolist(),
        "predicted": shares.argmax(1).tolist(),
        "baseline_right": told.tolist(),
    }
    write_json(folder / "metrics.json", {**_record(runs, records, metrics, baseline), "predictions": columns})
    return metrics, baseline


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
