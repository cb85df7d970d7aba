"""How many times as fast a model is as the paper's network as usually run: full width, 300 px, float32, Keras.

    python benchmarks/speedup.py DATA MODEL [MODEL ...] > benchmarks/results/speedup.json

Networks alone, with prepared images in memory. One image per call and batches of 32, by Keras as a compiled graph
(`predict_on_batch`) and by the code that `allkit classify` runs, in turn in one run. The weights of the Keras network
are random: speed does not depend on them.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from allkit.benchmark.measure.machine import facts, libraries
from allkit.data.index import scan
from allkit.imaging.pixel_path import PixelPath, stack
from allkit.metrics import paired_ratio
from allkit.runtime.session import Model
from allkit.training.backend import prepare

SIZE_PX, CLASSES, BATCH, ROUNDS, CALLS = 300, 4, 32, 9, 20
# Some go by several names.
LIBRARIES = ("tensorflow", "tensorflow-cpu", "keras", "onnxruntime-gpu", "onnxruntime")


def seconds_an_image(run: Callable[[np.ndarray], object], images: np.ndarray, calls: int) -> float:
    """The median over some calls, each on a different batch."""
    taken = []
    for _ in range(calls):
        images = np.roll(images, 1, axis=0)
        begin = time.perf_counter()
        run(images)
        taken.append((time.perf_counter() - begin) / len(images))
    return statistics.median(taken)


def main(data: str, *paths: str) -> None:
    prepare()
    from allkit.model.architecture import ARCHITECTURES, VGG16
    from allkit.runs.recipe import PAPER
    from allkit.training import architecture

    dataset = scan(Path(data))
    files = [dataset.root / dataset.paths[i * len(dataset) // BATCH] for i in range(BATCH)]
    keras_model = architecture.build(ARCHITECTURES[VGG16], SIZE_PX, CLASSES, 1.0, PAPER)
    models = {Path(path).name: Model(Path(path)) for path in paths}
    pixels = {name: model.contract.pixels for name, model in models.items()}
    loaded = {name: stack([path.load(file) for file in files], path.size_px) for name, path in pixels.items()}
    large = replace(next(iter(pixels.values()), PixelPath(SIZE_PX)), size_px=SIZE_PX, jpeg_scale=1)
    reference = stack([large.load(file) for file in files], SIZE_PX)
    results = []
    for batch in (1, BATCH):
        taken: dict[str, list[float]] = {"keras": [], **{name: [] for name in models}}
        for number in range(ROUNDS + 1):
            print(f"batch {batch}, round {number} of {ROUNDS}", file=sys.stderr)
            # About as many images for either batch size; the first round warms up.
            row = {"keras": seconds_an_image(keras_model.predict_on_batch, reference[:batch], 3 if batch == 1 else 1)}
            row |= {name: seconds_an_image(model.run, loaded[name][:batch], CALLS) for name, model in models.items()}
            if number:
                for name, seconds in row.items():
                    taken[name].append(seconds)
        for name in models:
            results.append(
                {
                    "model": name,
                    "batch": batch,
                    "ms_an_image": round(1000 * statistics.median(taken[name]), 3),
                    "keras_ms_an_image": round(1000 * statistics.median(taken["keras"]), 1),
                    "times_as_fast": asdict(paired_ratio(taken["keras"], taken[name])),
                }
            )
    machine = {**facts(), "libraries": libraries(LIBRARIES)}
    print(json.dumps({"machine": machine, "rounds": ROUNDS, "results": results}, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
