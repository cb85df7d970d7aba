"""How much faster int8 is than fp32, and what the heat map costs, in one run.

    python benchmarks/precision.py DATA FP32 INT8 [FP32 INT8 ...] > benchmarks/results/precision.json

DATA is a class-per-folder tree; the images change from query to query. The models of a pair, each with its heat map
and without, take turns on the same cores at batch 1, through the code that `allkit classify` runs. Prints medians,
ratios of medians with 95 % bootstrap intervals, and what the contracts say of accuracy, as JSON.
"""

from __future__ import annotations

import functools
import json
import platform
import sys
from pathlib import Path

import numpy as np
import onnxruntime

from allkit.cpus import cores
from allkit.dataset.index import scan
from allkit.export.measure import latencies
from allkit.images import stack
from allkit.runtime.machine import processor
from allkit.runtime.session import Model

IMAGES, SECONDS, RESAMPLES = 64, 60.0, 2000


def ratio(slow: np.ndarray, fast: np.ndarray) -> dict[str, float]:
    """The ratio of the medians, and the 2.5th and 97.5th percentile of that of resampled times."""
    rng = np.random.default_rng(0)
    drawn = [np.median(rng.choice(slow, len(slow))) / np.median(rng.choice(fast, len(fast))) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return {"value": round(float(np.median(slow) / np.median(fast)), 3), "low": round(low, 3), "high": round(high, 3)}


def pair(paths: list[Path], data: Path) -> dict:
    """The record of one model in fp32 and int8."""
    models = {model.contract.precision: model for model in map(Model, paths)}
    dataset = scan(data)
    chosen = [dataset.root / dataset.paths[i * len(dataset) // IMAGES] for i in range(IMAGES)]
    pixels = models["fp32"].contract.pixels
    images = stack([pixels.load(path) for path in chosen], pixels.size_px)
    runs = {name: model.run for name, model in models.items()}
    for name, model in models.items():
        if model.contract.heatmap:
            runs[f"{name}_heatmap"] = functools.partial(model.run, heatmaps=True)
    taken = latencies(runs, images, SECONDS)
    contracts = {name: model.contract for name, model in models.items()}
    return {
        "models": [path.name for path in paths],
        "ms": {name: {"median": round(float(np.median(ms)), 3), "n": len(ms)} for name, ms in taken.items()},
        "int8_speedup": ratio(taken["fp32"], taken["int8"]),
        "heatmap_cost": {
            name: {key: round(value - 1, 3) for key, value in ratio(taken[f"{name}_heatmap"], taken[name]).items()}
            for name in models
            if f"{name}_heatmap" in taken
        },
        "float_layers": contracts["int8"].quantisation["float_layers"],
        "calibration": contracts["int8"].quantisation["method"],
        "gate": contracts["int8"].gate,
        "accuracy": {name: contract.accuracy for name, contract in contracts.items()},
        "mib": {name: round(model.path.stat().st_size / 2**20, 3) for name, model in models.items()},
    }


def main(data: str, *files: str) -> None:
    paths = [Path(file) for file in files]
    record = {
        "machine": {
            "processor": processor(),
            "cores": cores(),
            "python": platform.python_version(),
            "onnxruntime": onnxruntime.__version__,
        },
        "pairs": [pair(paths[i : i + 2], Path(data)) for i in range(0, len(paths), 2)],
    }
    json.dump(record, sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
