"""Peak memory by number of images, and the time from a cold start to the first result.

    python benchmarks/footprint.py MODEL DATA > benchmarks/results/footprint.json

Memory: peak resident memory of `allkit classify` on 2,000 and 20,000 images (links to those of DATA, each under many
names), with output to a file. Cold start, in new processes that take turns, page cache warm: `allkit classify` of one
image; a script with only numpy, cv2 and onnxruntime that does the same; and one that only loads and runs the model.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from allkit.model.contract import Contract
from allkit.model.graph import read_graph
from allkit.runtime.inputs import expand
from allkit.runtime.machine import processor
from allkit.support.cpus import cores

COUNTS, ROUNDS = (2_000, 20_000), 21

BARE = """
import sys
import cv2
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
size = int(sys.argv[3])
if sys.argv[2]:
    image = cv2.cvtColor(cv2.imread(sys.argv[2]), cv2.COLOR_BGR2RGB)
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
else:
    image = np.zeros((size, size, 3), np.uint8)
print(session.run(None, {"image": image[None]})[0])
"""


def peak_mib(command: list[str]) -> float:
    """Peak resident memory of a command in MiB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, status
    return usage.ru_maxrss / 1024


def memory(model: str, paths: list[Path]) -> dict[str, float]:
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in COUNTS:
            images = Path(folder, str(count))
            images.mkdir()
            for i in range(count):
                (images / f"{i}.jpg").symlink_to(paths[i % len(paths)].resolve())
            rows = ["--format", "csv", "--output", f"{folder}/rows.csv"]
            peaks[str(count)] = round(peak_mib(["allkit", "classify", str(images), "--model", model, *rows]), 1)
    return peaks


def cold_start(model: str, image: Path, contract: Contract) -> dict[str, list[float]]:
    size = str(contract.pixels.size_px)
    commands = {
        "allkit": ["allkit", "classify", str(image), "--model", model],
        "bare": [sys.executable, "-c", BARE, model, str(image), size],
        "bare_without_image": [sys.executable, "-c", BARE, model, "", size],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(ROUNDS + 1):
        for name, command in commands.items():
            begin = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            if round_:
                taken[name].append(time.perf_counter() - begin)
    return taken


def main(model: str, data: str) -> None:
    paths = expand([Path(data)])
    taken = cold_start(model, paths[0], read_graph(model)[1])
    medians = {name: statistics.median(values) for name, values in taken.items()}
    peaks = memory(model, paths)
    record = {
        "machine": {"processor": processor(), "cores": cores()},
        "model": Path(model).name,
        "cold_start_s": {name: round(value, 3) for name, value in medians.items()},
        "cold_start_rounds_s": {name: [round(value, 3) for value in values] for name, values in taken.items()},
        "cold_start_over_bare": round(medians["allkit"] / medians["bare"], 3),
        "cold_start_over_bare_without_image": round(medians["allkit"] / medians["bare_without_image"], 3),
        "peak_mib": peaks,
        "peak_ratio": round(peaks[str(COUNTS[1])] / peaks[str(COUNTS[0])], 3),
    }
    json.dump(record, sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
