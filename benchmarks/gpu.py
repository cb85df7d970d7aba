"""Images per second on an NVIDIA GPU by size, precision, layout and batch: the model alone and from file to result.

    python benchmarks/gpu.py [--sizes 150 ...] [--batches 1 ...] > benchmarks/results/gpu.json

`benchmarks/gpu.sh` prepares a bare machine and runs it. Models have random weights (`seeded.py`). "Model" is uint8
pixels in host memory, page-locked from 1 MiB, to probabilities in host memory; "end to end" is `Classifier` on
synthetic JPEG files of 224 px. The share of the peak is the model's operations per second, relative to a matrix product
of the same precision on the same GPU in the same run. Each value is the median of rounds in which all batches take
turns.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from seeded import seeded_model

from allkit import Classifier
from allkit.data.synth import synthesize
from allkit.model.graph import read_graph, summarise
from allkit.runtime.machine import processor
from allkit.runtime.providers import CUDA, gpu_attempt
from allkit.runtime.session import Model
from allkit.support.cpus import cores

SIZES, WIDTHS, PRECISIONS = (150, 200, 250, 300), (1.0, 0.25), ("fp32", "fp16")
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ROUNDS, ROUND_SECONDS = 5, 0.25
MATRIX = 8192
FILES_PER_CLASS = 1024


def rate(run: Callable[[], object], seconds: float = ROUND_SECONDS) -> float:
    """Runs per second, over about `seconds`."""
    count, begin = 0, time.perf_counter()
    while (passed := time.perf_counter() - begin) < seconds:
        run()
        count += 1
    return count / passed


def peak_flops(precision: str, folder: Path) -> float:
    """Floating-point operations per second of one large matrix product with all operands on the GPU."""
    kind = TensorProto.FLOAT if precision == "fp32" else TensorProto.FLOAT16
    shape = [MATRIX, MATRIX]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info(name, kind, shape) for name in "ab"],
        [helper.make_tensor_value_info("c", kind, shape)],
    )
    path = folder / f"product-{precision}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    with gpu_attempt():
        session = onnxruntime.InferenceSession(path, providers=[CUDA], enable_fallback=0)
    binding = session.io_binding()
    values = np.random.default_rng(0).normal(size=shape).astype(helper.tensor_dtype_to_np_dtype(kind))
    for name in "ab":
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(values, "cuda", 0))
    binding.bind_output("c", "cuda", 0)

    def product() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    rate(product, 1.0)
    return 2 * MATRIX**3 * statistics.median(rate(product) for _ in range(ROUNDS))


def model_rates(path: Path, batches: list[int], nhwc: bool) -> tuple[dict[int, float], bool, float]:
    """Images per second by batch, whether graphs were recorded, and the largest difference from the CPU."""
    model = Model(path, "cuda", nhwc=nhwc)
    rng = np.random.default_rng(1)
    pixels = {batch: model.buffer(batch) for batch in batches}
    for array in pixels.values():
        array[:] = rng.integers(0, 256, array.shape, np.uint8)
    # The first run of a size selects its algorithms, the second allocates its buffers and makes its recording.
    for batch in batches * 2:
        model.run(pixels[batch])
    rates = {batch: [] for batch in batches}
    for _ in range(ROUNDS):
        for batch in batches:
            rates[batch].append(batch * rate(lambda batch=batch: model.run(pixels[batch])))
    some = pixels[batches[-1]][:8]
    difference = np.abs(model.run(some).probabilities - Model(path, "cpu").run(some).probabilities).max()
    return {b: statistics.median(values) for b, values in rates.items()}, model.graphs, float(difference)


def end_to_end(path: Path, files: list[Path], batches: list[int]) -> dict[int, float]:
    """Images per second from file to result by batch, page cache warm."""
    classifiers = {batch: Classifier(path, "cuda", batch) for batch in batches}
    rates = {batch: [] for batch in batches}
    for round_ in range(ROUNDS + 1):
        for batch, classifier in classifiers.items():
            begin = time.perf_counter()
            # Of unknown number, so that batches have the requested size.
            for prediction in classifier(iter(files)):
                assert prediction.error is None, prediction.error
            if round_:
                rates[batch].append(len(files) / (time.perf_counter() - begin))
    return {batch: statistics.median(values) for batch, values in rates.items()}


def rows(options: argparse.Namespace, folder: Path, peaks: dict[str, float]) -> Iterator[dict]:
    files = sorted(synthesize(folder / "smears", FILES_PER_CLASS).rglob("*.jpg"))
    for width in options.widths:
        for size_px in options.sizes:
            for precision in PRECISIONS:
                path = seeded_model(folder / f"vgg16x{width:g}-{size_px}-{precision}.onnx", size_px, width, precision)
                flops = 2 * summarise(read_graph(path)[0]).macs
                for nhwc in (False, True):
                    rates, graphs, difference = model_rates(path, options.batches, nhwc)
                    yield {
                        "model": path.stem,
                        "layout": "NHWC" if nhwc else "NCHW",
                        "cuda_graphs": graphs,
                        "difference_from_cpu": float(f"{difference:.2g}"),
                        "model_images_per_s": {batch: round(value, 1) for batch, value in rates.items()},
                        "share_of_peak": {b: round(v * flops / peaks[precision], 3) for b, v in rates.items()},
                    }
                whole = end_to_end(path, files, [batch for batch in options.batches if batch in (1, 32, 256)])
                yield {"model": path.stem, "end_to_end_images_per_s": {b: round(v, 1) for b, v in whole.items()}}
                path.unlink()


def gpu_name() -> str:
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,power.limit", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--widths", type=float, nargs="+", default=WIDTHS)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    options = parser.parse_args()
    options.batches = list(options.batches)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peaks = {precision: peak_flops(precision, folder) for precision in PRECISIONS}
        record = {
            "command": f"python benchmarks/gpu.py {' '.join(sys.argv[1:])}".strip(),
            "machine": {
                "card": gpu_name(),
                "processor": processor(),
                "cores": cores(),
                "python": platform.python_version(),
                "onnxruntime": onnxruntime.__version__,
            },
            "peak_tflops": {precision: round(value / 1e12, 1) for precision, value in peaks.items()},
            "rows": [],
        }
        for row in rows(options, folder, peaks):
            record["rows"].append(row)
            print(json.dumps(row), file=sys.stderr)
    json.dump(record, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
