"""Other tools for the same job: read the files, resize, classify, with the weights of the same run.

A contender is a function of a `Job` that loads its model and returns a function from paths to probabilities, in order.
It uses its library as the documentation recommends for throughput on a CPU. All except allkit and the plain loop read
and resize ahead of the model, in as many threads as there are cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

BATCH = 8

_ON_THE_WAY = ("Conv", "Relu", "MaxPool", "Reshape", "Gemm", "Softmax")


@dataclass(frozen=True)
class Job:
    """fp32, int8: exported files of one run. run: its folder. calibration: images of its training part. size_px,
    jpeg_scale, cores: the input, and the number of cores to use."""

    fp32: Path
    int8: Path
    run: Path
    size_px: int
    jpeg_scale: int
    cores: int
    calibration: Sequence[str]

    def image(self, path: str) -> np.ndarray:
        """The input of every contender: uint8 RGB (S, S, 3)."""
        flag = cv2.IMREAD_REDUCED_COLOR_2 if self.jpeg_scale == 2 else cv2.IMREAD_COLOR
        image = cv2.cvtColor(cv2.imread(path, flag), cv2.COLOR_BGR2RGB)
        return cv2.resize(image, (self.size_px, self.size_px), interpolation=cv2.INTER_AREA)

    def batches(self, paths: Sequence[str], size: int) -> Iterator[np.ndarray]:
        """Batches of `size`, the last one padded, read ahead."""
        padded = [*paths, *[paths[-1]] * (-len(paths) % size)]
        with ThreadPoolExecutor(self.cores) as pool:
            images = pool.map(self.image, padded)
            for _ in range(len(padded) // size):
                yield np.stack([next(images) for _ in range(size)])


Classify = Callable[[Sequence[str]], np.ndarray]


def allkit(job: Job, model: Path) -> Classify:
    from allkit import Classifier

    classifier = Classifier(model, device="cpu")
    return lambda paths: np.array([list(p.probabilities.values()) for p in classifier([Path(path) for path in paths])])


def onnxruntime_loop(job: Job, model: Path) -> Classify:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def classify(paths: Sequence[str]) -> np.ndarray:
        return np.concatenate([session.run(["probabilities"], {"image": job.image(path)[None]})[0] for path in paths])

    return classify


def keras_predict(job: Job, model: Path) -> Classify:
    from allkit.training.backend import prepare

    prepare()
    import keras

    network = keras.models.load_model(job.run / "model.keras", compile=False)

    def classify(paths: Sequence[str]) -> np.ndarray:
        rows = [network.predict(batch, verbose=0) for batch in job.batches(paths, 32)]
        return np.concatenate(rows)[: len(paths)]

    return classify


def openvino(job: Job, model: Path, precision: str) -> Classify:
    import openvino as ov

    core = ov.Core()
    hints = {"PERFORMANCE_HINT": "THROUGHPUT"}
    if precision in ("f32", "bf16"):
        hints["INFERENCE_PRECISION_HINT"] = precision
    network = core.read_model(model)
    network.reshape({"image": [1, job.size_px, job.size_px, 3]})
    if precision == "nncf":
        import nncf

        images = nncf.Dataset([job.image(path)[None] for path in job.calibration], lambda image: {"image": image})
        network = nncf.quantize(network, images, preset=nncf.QuantizationPreset.PERFORMANCE)
    compiled = core.compile_model(network, "CPU", hints)
    queue = ov.AsyncInferQueue(compiled)
    output = compiled.output("probabilities")

    def classify(paths: Sequence[str]) -> np.ndarray:
        rows: list[np.ndarray | None] = [None] * len(paths)

        def keep(request, place: int) -> None:
            rows[place] = request.get_tensor(output).data.copy()

        queue.set_callback(keep)
        with ThreadPoolExecutor(job.cores) as pool:
            for place, image in enumerate(pool.map(job.image, paths)):
                queue.start_async({"image": image[None]}, place)
        queue.wait_all()
        return np.concatenate(rows)

    return classify


def torch(job: Job, model: Path, compiled: bool) -> Classify:
    import onnx
    import torch
    from onnx import numpy_helper
    from torch import nn

    torch.set_num_threads(job.cores)
    graph = onnx.load(model).graph
    weights = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    layers: list[nn.Module] = []
    for node in graph.node:
        # Only the path to the probabilities, without the heat map and the distance.
        if node.name.startswith("heatmap") or node.op_type not in _ON_THE_WAY:
            continue
        parameters = [weights[name] for name in node.input if name in weights]
        if node.op_type == "Conv":
            layer = nn.Conv2d(parameters[0].shape[1], parameters[0].shape[0], 3, padding=1)
        elif node.op_type == "Gemm":
            parameters[0] = parameters[0].T.contiguous()
            layer = nn.Linear(parameters[0].shape[1], parameters[0].shape[0])
        else:
            layer = {"Relu": nn.ReLU, "MaxPool": lambda: nn.MaxPool2d(2), "Reshape": nn.Flatten}.get(
                node.op_type, lambda: nn.Softmax(1)
            )()
            parameters = []
        for own, value in zip(layer.parameters(), parameters, strict=True):
            own.data = value
        layers.append(layer)
    network = nn.Sequential(*layers).eval().to(memory_format=torch.channels_last)
    if compiled:
        network = torch.compile(network)

    def classify(paths: Sequence[str]) -> np.ndarray:
        rows = []
        with torch.inference_mode():
            for batch in job.batches(paths, BATCH):
                # The array is already channels-last in memory.
                rows.append(network(torch.from_numpy(batch).permute(0, 3, 1, 2).float()).numpy())
        return np.concatenate(rows)[: len(paths)]

    return classify


def litert(job: Job, model: Path) -> Classify:
    import tempfile

    from allkit.training.backend import prepare

    prepare()
    import keras
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    network = keras.models.load_model(job.run / "model.keras", compile=False)
    with tempfile.TemporaryDirectory() as folder:
        network.export(folder, verbose=False)
        content = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    interpreter = Interpreter(model_content=content, num_threads=job.cores)
    interpreter.allocate_tensors()
    (entry,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def classify(paths: Sequence[str]) -> np.ndarray:
        rows = []
        for batch in job.batches(paths, 1):
            interpreter.set_tensor(entry["index"], batch)
            interpreter.invoke()
            rows.append(interpreter.get_tensor(result["index"]).copy())
        return np.concatenate(rows)

    return classify


# Name to loader; each uses the file of its precision.
CONTENDERS: dict[str, Callable[[Job], Classify]] = {
    "allkit int8": lambda job: allkit(job, job.int8),
    "allkit fp32": lambda job: allkit(job, job.fp32),
    "onnxruntime loop int8": lambda job: onnxruntime_loop(job, job.int8),
    "onnxruntime loop fp32": lambda job: onnxruntime_loop(job, job.fp32),
    "OpenVINO int8 (NNCF)": lambda job: openvino(job, job.fp32, "nncf"),
    "OpenVINO, allkit's int8 file": lambda job: openvino(job, job.int8, "int8"),
    "OpenVINO fp32": lambda job: openvino(job, job.fp32, "f32"),
    "OpenVINO bf16": lambda job: openvino(job, job.fp32, "bf16"),
    "PyTorch eager": lambda job: torch(job, job.fp32, compiled=False),
    "PyTorch compiled": lambda job: torch(job, job.fp32, compiled=True),
    "LiteRT": lambda job: litert(job, job.fp32),
    "Keras predict": lambda job: keras_predict(job, job.fp32),
}
