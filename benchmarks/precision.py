"""How much faster int8 is than fp32, and what the heat map costs, in one run.

    python benchmarks/precision.py DATA FP32 INT8 [FP32 INT8 ...] > benchmarks/results/precision.json

DATA has one folder per class; every query takes another image. The models of a pair, each with and without its heat
map, take turns on the same cores at batch 1, with the code that `allkit classify` runs. The observations are rounds,
not queries, because queries of one round share the state of the machine. Prints, as JSON, the medians of all rounds,
paired ratios with their 95 % intervals, and the accuracies stated in the contracts.
"""

from __future__ import annotations

import functools
import json
import platform
import statistics
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime

from allkit.data.index import scan
from allkit.exporting.measure import latencies
from allkit.imaging.pixel_path import stack
from allkit.metrics import paired_ratio
from allkit.runtime.machine import processor
from allkit.runtime.session import Model
from allkit.support.cpus import cores

IMAGES, SECONDS, ROUNDS = 64, 60.0, 9


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
    measured = [latencies(runs, images, SECONDS / ROUNDS) for _ in range(ROUNDS)]
    rounds = {name: [round(float(np.median(taken[name])), 4) for taken in measured] for name in runs}
    contracts = {name: model.contract for name, model in models.items()}
    return {
        "models": [path.name for path in paths],
        "ms": {name: round(statistics.median(ms), 3) for name, ms in rounds.items()},
        "rounds_ms": rounds,
        "int8_speedup": asdict(paired_ratio(rounds["fp32"], rounds["int8"])),
        "heatmap_cost": {
            name: {
                key: value - 1 for key, value in asdict(paired_ratio(rounds[f"{name}_heatmap"], rounds[name])).items()
            }
            for name in models
            if f"{name}_heatmap" in rounds
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
