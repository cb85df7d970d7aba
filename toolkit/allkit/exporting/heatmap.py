"""Where the evidence for the predicted class lies, computed inside the exported graph.

The map is HiResCAM, the sum over channels of gradient * f, where f is the last feature map and the gradient that of
the logit (Draelos and Carin 2020). For all heads it is exact: over all positions it adds up to the logit less what the
biases contribute. It keeps its sign: evidence for the class is positive, evidence against it negative. No training
framework is needed to evaluate it, since the gradients have a closed form.

A dense head has two Dense layers with a ReLU between them: the gradient of logit k with respect to f is W1 (m * w2_k),
with the first kernel W1, the ReLU mask m and column k of the second kernel.

A pooled head has one Dense layer over mean, deviation and maximum of each channel, whose gradients are 1 / N,
(f - mean) / (N deviation), and 1 at the maximum, shared where several places have it.

A head over the mean alone has the first of these; the map is then the class activation map (Zhou et al. 2016).
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from allkit.exporting.tidy import AVERAGE, HIDDEN, LOGITS, STATISTICS
from allkit.model.architecture import Architecture
from allkit.model.contract import HEATMAP_NAME, OUTPUT_NAME

METHOD = "hirescam"

_LEVELS = 127


def add_heatmap(proto: onnx.ModelProto, architecture: Architecture, shape: tuple[int, int, int]) -> None:
    """Add the output `heatmap`, float32 [batch, h, w], to a tidy graph in float or in QDQ form. In place.

    shape: channels, height and width of the last feature map.
    """
    nodes = {node.name: node for node in proto.graph.node}
    build = _Builder(proto.graph)
    best = build("ArgMax", OUTPUT_NAME, axis=1, keepdims=0)
    column = build("Transpose", build("Gather", nodes[LOGITS].input[1], best, axis=1), perm=[1, 0])
    of_head = {"dense": _of_dense, "pooled": _of_pooled, "average": _of_average}[architecture.head]
    evidence = of_head(build, column, nodes, shape)
    build("ReduceSum", evidence, build.constant("channels", np.array([1], np.int64)), output=HEATMAP_NAME, keepdims=0)
    output = helper.make_tensor_value_info(HEATMAP_NAME, TensorProto.FLOAT, ["batch", *shape[1:]])
    proto.graph.output.append(output)


def _of_dense(build: _Builder, column: str, nodes: dict[str, onnx.NodeProto], shape: tuple[int, int, int]) -> str:
    """Gradient * f [batch, c, h, w] of a dense head.

    In a graph whose first Dense layer is int8 the product with its kernel is int8 as well, its input scaled image by
    image; the rest is float.
    """
    flat, hidden = nodes[HIDDEN].input[0], nodes[LOGITS].input[0]
    seed = build("Mul", column, build("Sign", hidden))
    gradient = _times_kernel(build, seed, nodes[HIDDEN].input[1], nodes)
    grid = build.constant("grid", np.array([-1, *shape], np.int64))
    return build("Reshape", build("Mul", gradient, flat), grid)


def _of_pooled(build: _Builder, column: str, nodes: dict[str, onnx.NodeProto], shape: tuple[int, int, int]) -> str:
    """Gradient * f [batch, c, h, w] of a pooled head."""
    channels, height, width = shape
    statistics = [*nodes[STATISTICS].input]
    features = next(node for node in nodes.values() if node.output[0] == statistics[-1]).input[0]
    grid = build.constant("grid", np.array([-1, channels, 1, 1], np.int64))
    mean, deviation, largest = (build("Reshape", one, grid) for one in statistics)
    thirds = build.constant("thirds", np.array([-1, 3, channels, 1, 1], np.int64))
    weights = build("Reshape", column, thirds)
    of_mean, of_deviation, of_largest = (
        build("Gather", weights, build.constant(f"third{i}", np.int64(i)), axis=1) for i in range(3)
    )
    apart = build("Div", build("Sub", features, mean), deviation)
    spread = build("Add", of_mean, build("Mul", of_deviation, apart))
    spread = build("Mul", spread, build.constant("place", np.float32(1 / (height * width))))
    at_largest = build("Cast", build("Equal", features, largest), to=TensorProto.FLOAT)
    ties = build("ReduceSum", at_largest, build.constant("places", np.array([2, 3], np.int64)), keepdims=1)
    gradient = build("Add", spread, build("Mul", of_largest, build("Div", at_largest, ties)))
    return build("Mul", gradient, features)


def _of_average(build: _Builder, column: str, nodes: dict[str, onnx.NodeProto], shape: tuple[int, int, int]) -> str:
    """Gradient * f [batch, c, h, w] of a head over the mean."""
    channels, height, width = shape
    weights = build("Reshape", column, build.constant("grid", np.array([-1, channels, 1, 1], np.int64)))
    gradient = build("Mul", weights, build.constant("place", np.float32(1 / (height * width))))
    return build("Mul", nodes[AVERAGE].input[0], gradient)


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
