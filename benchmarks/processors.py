"""The answers of the models that ship on other x86 processors, emulated, with the fastest kernels and allkit's choice.

    apt-get install qemu-user
    python benchmarks/processors.py ALL/

Takes the first ten images of each class. The reference is a node-by-node float32 execution of the graph on this
machine. Prints one JSON record: for each processor and model, the number of equal labels and the largest differences of
a probability and, relatively, of a distance. `benchmarks/arm64.sh` covers arm64 boards.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

from allkit.data.index import scan
from allkit.imaging.pixel_path import stack
from allkit.model.contract import DISTANCE_NAME, INPUT_NAME, OUTPUT_NAME
from allkit.model.file import read_model
from allkit.runtime.kernels import Kernels, session_options
from allkit.runtime.session import Model

MODELS = sorted((Path(__file__).parents[1] / "exported").glob("*.onnx"))
PROCESSORS = ("Nehalem", "SandyBridge", "Haswell", "Skylake-Client", "EPYC")
IMAGES_PER_CLASS = 10


def pixels_of(data: Path, model: Path) -> np.ndarray:
    """The images as a model reads them, uint8 (n, S, S, 3)."""
    dataset, path = scan(data), read_model(model).contract.pixels
    names = np.array(dataset.paths)
    chosen = [names[dataset.labels == i][:IMAGES_PER_CLASS] for i in range(len(dataset.classes))]
    return stack([path.load(dataset.root / name) for name in np.concatenate(chosen)], path.size_px)


def answers(pixels: np.ndarray, model: Path, kernels: Kernels | None) -> dict[str, list]:
    """Probabilities and distances; kernels: None for allkit's choice."""
    if kernels is None:
        opened = Model(model, threads=1)
        output = opened.run(pixels)
        return {"kernels": opened.kernels.value, "probabilities": output[0].tolist(), "distance": output[1].tolist()}
    options = session_options(1, kernels)
    session = onnxruntime.InferenceSession(read_model(model).data, options, providers=["CPUExecutionProvider"])
    probabilities, distance = session.run([OUTPUT_NAME, DISTANCE_NAME], {INPUT_NAME: pixels})
    return {"kernels": kernels.value, "probabilities": probabilities.tolist(), "distance": distance.tolist()}


def emulated(processor: str, pixels: Path, model: Path) -> list[dict]:
    """The answers of a process on another processor, with the fastest kernels and with allkit's choice."""
    with tempfile.TemporaryDirectory() as cache:
        # Settings of OpenBLAS for this machine would apply there too.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")}
        command = ["qemu-x86_64", "-cpu", processor, sys.executable, __file__, "--answers", pixels, model]
        done = subprocess.run(command, env=environment | {"XDG_CACHE_HOME": cache}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def compared(found: dict, reference: dict) -> dict:
    """One row of the record."""
    a, b = (np.array(one["probabilities"]) for one in (found, reference))
    x, y = (np.array(one["distance"]) for one in (found, reference))
    return {
        "kernels": found["kernels"],
        "labels_equal": int((a.argmax(1) == b.argmax(1)).sum()),
        "max_probability_difference": round(float(np.abs(a - b).max()), 4),
        "max_distance_difference": round(float((np.abs(x - y) / np.maximum(y, 1)).max()), 4),
    }


def main() -> None:
    if sys.argv[1] == "--answers":
        pixels = np.load(sys.argv[2])
        print(json.dumps([answers(pixels, Path(sys.argv[3]), kernels) for kernels in (Kernels.FASTEST, None)]))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            pixels = pixels_of(Path(sys.argv[1]), model)
            np.save(Path(folder, "pixels.npy"), pixels)
            reference = answers(pixels, model, Kernels.UNOPTIMISED)
            for processor in PROCESSORS:
                fastest, taken = emulated(processor, Path(folder, "pixels.npy"), model)
                told = {"fastest": compared(fastest, reference), "allkit": compared(taken, reference)}
                rows.append({"model": model.name, "processor": processor, "n": len(pixels), **told})
                print(json.dumps(rows[-1]), file=sys.stderr)
    print(json.dumps({"onnxruntime": onnxruntime.__version__, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
