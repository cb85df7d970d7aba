"""Images per second from file to result, compared with a plain loop, the limit of the cores, and Keras.

    python benchmarks/pipeline.py DATA MODEL [MODEL ...] > benchmarks/results/pipeline.json

All methods take turns in rounds over the same files, page cache warm. For each model: `allkit.Classifier`; a plain loop
(OpenCV read, colour conversion and resize, one image per run, onnxruntime's default session, with the model's resize
kernel and JPEG scale, so that both compute the same); and the limit, the number of cores divided by the total time of
the stages on one thread. Once per round, in a separate process: the paper's network at 300 px in a loop over Keras'
`predict`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import cv2
import onnxruntime

from allkit import Classifier
from allkit.metrics import paired_ratio
from allkit.runtime.inputs import expand
from allkit.runtime.machine import processor
from allkit.runtime.tuning import stage_costs
from allkit.support.cpus import cores

ROUNDS, LOOP_IMAGES, KERAS_IMAGES = 9, 400, 12
KERNELS = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}


class Subject:
    """One model with all methods, and their rates by round."""

    def __init__(self, model: str, paths: list[Path]):
        self.model = Path(model)
        self.paths, self.some = paths, paths[:: max(1, len(paths) // LOOP_IMAGES)]
        self.classifier = Classifier(model, device="cpu")
        self.pixels = self.classifier.contract.pixels
        self.plain = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.rates: dict[str, list[float]] = {"allkit": [], "plain_loop": [], "limit": []}
        self.stages: list[dict[str, float]] = []

    def round(self) -> None:
        begin = time.perf_counter()
        for prediction in self.classifier(self.paths):
            assert prediction.error is None
        middle = time.perf_counter()
        self.plain_loop()
        end = time.perf_counter()
        self.stages.append(stage_costs(self.model, self.some))
        self.rates["allkit"].append(len(self.paths) / (middle - begin))
        self.rates["plain_loop"].append(len(self.some) / (end - middle))
        self.rates["limit"].append(cores() / sum(self.stages[-1].values()))

    def plain_loop(self) -> None:
        """The loop that a user would write first."""
        flag = cv2.IMREAD_REDUCED_COLOR_2 if self.pixels.jpeg_scale == 2 else cv2.IMREAD_COLOR
        size = (self.pixels.size_px, self.pixels.size_px)
        for path in self.some:
            image = cv2.cvtColor(cv2.imread(str(path), flag), cv2.COLOR_BGR2RGB)
            image = cv2.resize(image, size, interpolation=KERNELS[self.pixels.shrink])
            self.plain.run(None, {"image": image[None]})

    def record(self, keras: list[float]) -> dict:
        return {
            "model": self.model.name,
            "plan": vars(self.classifier.plan),
            "images_per_s": {name: round(statistics.median(values), 1) for name, values in self.rates.items()},
            "rounds": {name: [round(value, 1) for value in values] for name, values in self.rates.items()},
            "stage_ms": {
                name: round(1000 * statistics.median(row[name] for row in self.stages), 4) for name in self.stages[0]
            },
            "allkit_over_plain_loop": asdict(paired_ratio(self.rates["allkit"], self.rates["plain_loop"])),
            "share_of_limit": asdict(paired_ratio(self.rates["allkit"], self.rates["limit"])),
            "allkit_over_keras_predict": asdict(paired_ratio(self.rates["allkit"], keras)),
        }


@contextmanager
def keras_loop(paths: list[Path]) -> Iterator:
    """A function that times the Keras loop over a number of images, in seconds."""
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("keras_loop.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def tell(line: str) -> None:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

        def seconds(count: int) -> float:
            tell(str(count))
            return float(process.stdout.readline())

        tell("\t".join(map(str, paths)))
        yield seconds
        process.stdin.close()


def main(data: str, *models: str) -> None:
    cv2.setNumThreads(1)
    paths = expand([Path(data)])
    subjects = [Subject(model, paths) for model in models]
    keras: list[float] = []
    with keras_loop(paths) as seconds:
        seconds(KERAS_IMAGES)
        for _ in range(ROUNDS + 1):
            for subject in subjects:
                subject.round()
            keras.append(KERAS_IMAGES / seconds(KERAS_IMAGES))
    # The first round fills the page cache.
    for values in [keras, *(rates for subject in subjects for rates in (*subject.rates.values(), subject.stages))]:
        del values[0]
    record = {
        "machine": {"processor": processor(), "cores": cores(), "onnxruntime": onnxruntime.__version__},
        "images": len(paths),
        "keras_predict_full_width_300px_images_per_s": [round(value, 2) for value in keras],
        "models": [subject.record(keras) for subject in subjects],
    }
    json.dump(record, sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
