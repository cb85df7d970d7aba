"""The cost of preparing an image: decoding at full and half scale, and shrinking with each kernel.

    python benchmarks/resize.py DATA [EVALUATION] > benchmarks/results/resize.json

One thread; the methods take turns over the same files. EVALUATION is the output of `allkit evaluate AREA LINEAR --json`
for two models that differ only in the kernel; their accuracies and paired test are added to the record.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import cv2

from allkit.imaging.pixel_path import PixelPath, decode
from allkit.runtime.inputs import expand
from allkit.runtime.machine import processor

FILES, ROUNDS, SIZES = 200, 15, (112, 150, 200)


def main(data: str, evaluation: str | None = None) -> None:
    cv2.setNumThreads(1)
    paths = expand([Path(data)])
    files = [path.read_bytes() for path in paths[:: max(1, len(paths) // FILES)]]
    images = [decode(file) for file in files]
    ways = {f"decode, scale {scale}": lambda scale=scale: [decode(file, scale) for file in files] for scale in (1, 2)}
    for size in SIZES:
        for kernel in ("area", "linear"):
            pixels = PixelPath(size, shrink=kernel)
            ways[f"{kernel} to {size} px"] = lambda pixels=pixels: [pixels.fit(image) for image in images]
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(ROUNDS + 1):
        for name, run in ways.items():
            begin = time.perf_counter()
            run()
            if round_:
                taken[name].append(1000 * (time.perf_counter() - begin) / len(files))
    record = {
        "machine": {"processor": processor(), "opencv": cv2.__version__},
        "files": len(files),
        "side_px": sorted({min(image.shape[:2]) for image in images}),
        "ms": {name: round(statistics.median(values), 4) for name, values in taken.items()},
    }
    if evaluation:
        record["accuracy"] = json.loads(Path(evaluation).read_text())
    json.dump(record, sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
