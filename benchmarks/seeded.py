"""The modified VGG16 with random weights, for measuring speed, which does not depend on them.

No training framework is needed, so that a bare machine can be measured. The graph is the one that `allkit export`
writes without a heat map: `python benchmarks/seeded.py MODEL` compares its operators with those of an exported file.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from allkit.exporting.seal import seal
from allkit.imaging.pixel_path import PixelPath
from allkit.model.contract import DISTANCE_NAME, INPUT_NAME, METADATA_KEY, OUTPUT_NAME, Contract

CLASSES = ("Benign", "Early", "Pre", "Pro")

# Channels and convolutions per block (Simonyan and Zisserman 2014, configuration D), and the paper's Dense layer.
BLOCKS, UNITS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1024


def seeded_model(path: Path, size_px: int, width: float, precision: str, seed: int = 0) -> Path:
    """Write the network, fp32 or fp16, and return its path."""
    rng = np.random.default_rng(seed)
    number = {"fp32": np.float32, "fp16": np.float16}[precision]
    nodes, constants = [], []

    def constant(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values, name))
        return name

    def weights(name: str, shape: tuple[int, ...], fan_in: int, dtype: type = number) -> list[str]:
        kernel = rng.normal(0, np.sqrt(2 / fan_in), shape).astype(dtype)
        units = shape[0] if len(shape) == 4 else shape[1]
        return [constant(f"{name}.weight", kernel), constant(f"{name}.bias", np.zeros(units, dtype))]

    def add(op: str, name: str, *inputs: str, **attributes) -> str:
        nodes.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    single = {"to": TensorProto.FLOAT}
    x = add("Cast", "cast", INPUT_NAME, to=helper.np_dtype_to_tensor_dtype(np.dtype(number)))
    x = add("Transpose", "transpose", x, perm=[0, 3, 1, 2])
    channels, side = 3, size_px
    for block, (full, count) in enumerate(BLOCKS, 1):
        for i in range(1, count + 1):
            name, units = f"block{block}_conv{i}", max(1, round(full * width))
            kernel = weights(name, (units, channels, 3, 3), 9 * channels)
            x = add("Conv", name, x, *kernel, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            x = add("Relu", f"{name}_relu", x)
            channels = units
        x = add("MaxPool", f"block{block}_pool", x, kernel_shape=[2, 2], strides=[2, 2])
        side //= 2
        if block == 3:
            features, depth = x, channels
    if precision == "fp16":
        features = add("Cast", "features", features, **single)
    mean = add("ReduceMean", "mean", features, constant("spatial", np.array([2, 3])), keepdims=0)
    matrix = constant("matrix", np.eye(depth, dtype=np.float32))
    centred = add("Add", "centred", add("MatMul", "whitened", mean, matrix), constant("centre", np.zeros(depth, "f4")))
    square = add("Mul", "square", centred, centred)
    add("Sqrt", DISTANCE_NAME, add("ReduceSum", "sum", square, constant("last", np.array([1])), keepdims=0))
    flat, hidden = channels * side * side, max(1, round(UNITS * width))
    x = add("Reshape", "flatten", x, constant("shape", np.array([-1, flat])))
    x = add("Relu", "fc_relu", add("Gemm", "fc", x, *weights("fc", (flat, hidden), flat)))
    x = add("Gemm", "logits", x, *weights("logits", (hidden, len(CLASSES)), hidden))
    if precision == "fp16":
        x = add("Cast", "logits_single", x, **single)
    add("Softmax", OUTPUT_NAME, x)
    graph = helper.make_graph(
        nodes,
        "seeded",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["batch", size_px, size_px, 3])],
        [
            helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", len(CLASSES)]),
            helper.make_tensor_value_info(DISTANCE_NAME, TensorProto.FLOAT, ["batch"]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: _contract(size_px, width, precision, seed, seal(model)).to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def _contract(size_px: int, width: float, precision: str, seed: int, sealed: dict[str, Any]) -> Contract:
    nothing = {"value": 0.25, "low": 0.0, "high": 1.0, "n": 0, "part": "none", "method": "none"}
    return Contract(
        classes=CLASSES,
        pixels=PixelPath(size_px),
        architecture="vgg16",
        width=width,
        precision=precision,
        recipe={"name": f"random weights, seed {seed}"},
        split={"protocol": "none", "parameters": {}, "hash": "none"},
        data_fingerprint="none",
        accuracy=nothing,
        baseline=nothing,
        verification={},
        temperature=1.0,
        calibration={"ece_after": 0.0},
        abstention={"coverage": 0.95, "threshold": 0.5},
        familiarity={"method": "none", "threshold": 1e9},
        gate=None,
        quantisation=None,
        latency={"ms": 0.0, "fp32_ms": 0.0, "cores": 0, "processor": "none"},
        heatmap=None,
        versions={},
        **sealed,
    )


def _operators(path: Path) -> Counter:
    graph = onnx.load(path).graph
    return Counter(node.op_type for node in graph.node if not node.name.startswith("heatmap"))


if __name__ == "__main__":
    exported = Path(sys.argv[1])
    told = Contract.from_json({entry.key: entry.value for entry in onnx.load(exported).metadata_props}[METADATA_KEY])
    seeded = seeded_model(Path("seeded.onnx"), told.pixels.size_px, told.width, told.precision)
    print(_operators(seeded) - _operators(exported), _operators(exported) - _operators(seeded))
    seeded.unlink()
