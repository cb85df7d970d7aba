"""Where the evidence for the predicted class lies, computed inside the exported graph.

Between the last feature map f (flattened) and the logits are two Dense layers with a ReLU between them, so the
gradient of logit k with respect to f has a closed form: W1 (m * w2_k), with the first kernel W1, the ReLU mask m and
column k of the second kernel. No training framework is needed to evaluate it.

The map is HiResCAM, the sum over channels of gradient * f (Draelos and Carin 2020). For this head it is exact: over
all positions it adds up to the logit less what the biases contribute. It keeps its sign: evidence for the class is
positive, evidence against it negative.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from allkit.exporting.tidy import HIDDEN, LOGITS
from allkit.model.contract import HEATMAP_NAME, OUTPUT_NAME

METHOD = "hirescam"

# The layer whose activations the map is of, and how many pixels of the image lie under one step of it: 2 ** 5 pools.
LAYER, STRIDE_PX = "block5_pool", 32

_LEVELS = 127


def add_heatmap(proto: onnx.ModelProto, shape: tuple[int, int, int]) -> None:
    """Add the output `heatmap`, float32 [batch, h, w], to a tidy graph in float or in QDQ form. In place.

    shape: channels, height and width of the last feature map. In a graph whose first Dense layer is int8 the product
    with its kernel is int8 as well, its input scaled image by image; the rest is float.
    """
    graph = proto.graph
    nodes = {node.name: node for node in graph.node}
    flat, hidden = nodes[HIDDEN].input[0], nodes[LOGITS].input[0]
    build = _Builder(graph)
    best = build("ArgMax", OUTPUT_NAME, axis=1, keepdims=0)
    column = build("Gather", nodes[LOGITS].input[1], best, axis=1)
    seed = build("Mul", build("Transpose", column, perm=[1, 0]), build("Sign", hidden))
    gradient = _times_kernel(build, seed, nodes[HIDDEN].input[1], nodes)
    grid = build.constant("grid", np.array([-1, *shape], np.int64))
    channels = build.constant("channels", np.array([1], np.int64))
    evidence = build("Reshape", build("Mul", gradient, flat), grid)
    build("ReduceSum", evidence, channels, output=HEATMAP_NAME, keepdims=0)
    graph.output.append(helper.make_tensor_value_info(HEATMAP_NAME, TensorProto.FLOAT, ["batch", *shape[1:]]))


def _times_kernel(build: _Builder, seed: str, kernel: str, nodes: dict[str, onnx.NodeProto]) -> str:
    """seed [batch, units] times the transposed kernel [features, units]: float32 [batch, features]."""
    dequantised = next((node for node in nodes.values() if node.output[0] == kernel), None)
    if dequantised is None:
        return build("Gemm", seed, kernel, transB=1)
    # With a float product onnxruntime would dequantise the whole kernel for every image, or keep a float copy of it.
    quantised, scale = dequantised.input[:2]
    scaled = build("Mul", seed, scale)
    largest = build("ReduceMax", build("Abs", scaled), build.constant("units", np.array([1], np.int64)))
    # A hidden layer without any active unit has no gradient, which must not become 0 / 0.
    largest = build("Max", largest, build.constant("least", np.float32(np.finfo(np.float32).tiny)))
    step = build.constant("step", np.float32(1 / _LEVELS))
    centre = build.constant("centre", np.uint8(_LEVELS + 1))
    codes = build("QuantizeLinear", build("Div", scaled, largest), step, centre)
    product = build("MatMulInteger", codes, build("Transpose", quantised, perm=[1, 0]), centre)
    return build("Mul", build("Cast", product, to=TensorProto.FLOAT), build("Mul", largest, step))


class _Builder:
    """Appends nodes to a graph; called with an operator and its inputs, it returns the output."""

    def __init__(self, graph: onnx.GraphProto):
        self._graph = graph
        self._count = 0

    def __call__(self, operator: str, *inputs: str, output: str | None = None, **attributes) -> str:
        self._count += 1
        name = f"{HEATMAP_NAME}_{self._count}_{operator.lower()}"
        self._graph.node.append(helper.make_node(operator, inputs, [output or name], name=name, **attributes))
        return output or name

    def constant(self, name: str, value: np.ndarray | np.generic) -> str:
        name = f"{HEATMAP_NAME}.{name}"
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name
