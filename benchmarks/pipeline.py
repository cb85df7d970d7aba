"""Images a second from file to result, against a plain loop and against the limit of the machine.

    python benchmarks/pipeline.py MODEL DATA > benchmarks/results/pipeline.json

Rounds of three ways over the same files (page cache warm), turn by turn: allkit's Classifier; a plain loop as one
would write it (OpenCV read, colour conversion and resize, one image a run, onnxruntime's default session); and the
stages on one thread alone. The limit is cores divided by the summed cost of those stages.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import cv2
import onnxruntime

from allkit import Classifier
from allkit.runtime.inputs import expand
from allkit.runtime.machine import cores, processor
from allkit.runtime.tuning import stage_costs

ROUNDS, STAGE_IMAGES = 7, 400


def plain_loop(session: onnxruntime.InferenceSession, size_px: int, paths: list[Path]) -> None:
    """What a user writes first."""
    for path in paths:
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        image = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)
        session.run(None, {"image": image[None]})


def main(model: str, data: str) -> None:
    cv2.setNumThreads(1)
    paths = expand([Path(data)])
    classifier = Classifier(model, device="cpu")
    size_px = classifier.contract.pixels.size_px
    plain = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    some = paths[:: max(1, len(paths) // STAGE_IMAGES)]
    rates: dict[str, list[float]] = {"allkit": [], "plain_loop": [], "limit": []}
    stages: list[dict[str, float]] = []
    for round_ in range(ROUNDS + 1):
        begin = time.perf_counter()
        for prediction in classifier(paths):
            assert prediction.error is None
        middle = time.perf_counter()
        plain_loop(plain, size_px, some)
        end = time.perf_counter()
        costs = stage_costs(Path(model), some)
        if round_:
            rates["allkit"].append(len(paths) / (middle - begin))
            rates["plain_loop"].append(len(some) / (end - middle))
            rates["limit"].append(cores() / sum(costs.values()))
            stages.append(costs)
    record = {
        "machine": {"processor": processor(), "cores": cores(), "onnxruntime": onnxruntime.__version__},
        "model": Path(model).name,
        "images": len(paths),
        "plan": vars(classifier.plan),
        "images_per_s": {name: round(statistics.median(values), 1) for name, values in rates.items()},
        "rounds": {name: [round(value, 1) for value in values] for name, values in rates.items()},
        "stage_ms": {name: round(1000 * statistics.median(row[name] for row in stages), 4) for name in stages[0]},
        "allkit_over_plain_loop": ratio(rates["allkit"], rates["plain_loop"]),
        "share_of_limit": ratio(rates["allkit"], rates["limit"]),
    }
    json.dump(record, sys.stdout, indent=1)


def ratio(a: list[float], b: list[float]) -> dict[str, float]:
    """Median of the rounds' ratios, the smallest and the largest."""
    each = sorted(x / y for x, y in zip(a, b, strict=True))
    return {"median": round(statistics.median(each), 3), "low": round(each[0], 3), "high": round(each[-1], 3)}


if __name__ == "__main__":
    main(*sys.argv[1:])
