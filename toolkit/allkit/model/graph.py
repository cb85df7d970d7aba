"""What an ONNX file contains: operators, layers, parameters, multiply-accumulates, precisions.

The file is read as data and never run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper, shape_inference

from allkit.errors import AllkitError
from allkit.model.contract import Contract
from allkit.model.file import read_model

# Suffix of a convolution that reads pixels in blocks, in the names of the shapes before and after it.
BLOCKS, PIXELS = ".blocks", ".pixels"

_PRECISIONS = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.INT8: "int8"}


@dataclass(frozen=True)
class Layer:
    """A node with weights. shape: of its output, without the batch. macs: multiply-accumulates per image."""

    name: str
    operator: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    precision: str


@dataclass(frozen=True)
class Summary:
    """Summary of a graph. Zeros that pad filters over blocks of pixels are not counted.

    inputs, outputs: one line each. operators: count by name, most frequent first. parameters: number of weights and
    biases, each counted once.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int
    operators: dict[str, int]
    layers: tuple[Layer, ...]
    parameters: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image."""
        return sum(layer.macs for layer in self.layers)


def read_graph(path: Path | str) -> tuple[onnx.ModelProto, Contract]:
    """The graph and the contract of an exported file.

    Raises AllkitError like `read_model`, and for a graph that is not valid ONNX.
    """
    file = read_model(path)
    try:
        proto = onnx.load_model_from_string(file.data)
        onnx.checker.check_model(proto, full_check=True)
    except (DecodeError, ValueError, onnx.checker.ValidationError, shape_inference.InferenceError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise AllkitError(f"{path} is not a valid ONNX model ({reason}): export it again") from error
    return proto, file.contract


def summarise(proto: onnx.ModelProto) -> Summary:
    """Summarise a graph whose weights are constants, in float or behind a DequantizeLinear."""
    inferred = shape_inference.infer_shapes(proto).graph
    values = (*inferred.input, *inferred.output, *inferred.value_info)
    shapes = {value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)[1:] for value in values}
    constants = {item.name: item for item in proto.graph.initializer}
    # A dequantised or cast constant counts as the constant itself.
    origin = {
        node.output[0]: node.input[0]
        for node in proto.graph.node
        if node.op_type in ("DequantizeLinear", "Transpose", "Cast") and node.input[0] in constants
    }
    cast = {node.output[0] for node in proto.graph.node if node.op_type == "Cast"}
    layers, counted = [], {}
    for node in proto.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul", "MatMulInteger"):
            continue
        read = [constants[origin.get(name, name)] for name in node.input if origin.get(name, name) in constants]
        if not read:
            continue
        weights = max(read, key=_size)
        own = [tensor for tensor in read if tensor is weights or len(tensor.dims) == 1]
        counted |= {tensor.name: _size(tensor) for tensor in own}
        shape = shapes.get(node.output[0], ())
        if (length := _block_length(constants, node.name)) > 1:
            # Each filter is repeated for every place in the block; the rest is zeros.
            counted |= {tensor.name: _size(tensor) // length ** min(2, len(tensor.dims)) for tensor in own}
            shape = (shape[0] // length, shape[1], shape[1])
        positions = int(np.prod(shape[1:])) if node.op_type == "Conv" else 1
        layers.append(
            Layer(
                name=node.name,
                operator=node.op_type,
                shape=shape,
                parameters=sum(counted[tensor.name] for tensor in own),
                macs=counted[weights.name] * positions,
                precision="fp32" if cast.intersection(node.input) else _precision(weights),
            )
        )
    return Summary(
        inputs=tuple(map(_describe, proto.graph.input)),
        outputs=tuple(map(_describe, proto.graph.output)),
        opset=next((entry.version for entry in proto.opset_import if not entry.domain), 0),
        operators=dict(Counter(node.op_type for node in proto.graph.node).most_common()),
        layers=tuple(layers),
        parameters=sum(counted.values()),
    )


def _block_length(constants: Mapping[str, TensorProto], name: str) -> int:
    """Pixels per block of a convolution's input, from the widths before it, in blocks, and after it, in pixels."""
    if name + BLOCKS not in constants:
        return 1
    blocks, pixels = (numpy_helper.to_array(constants[name + end])[2] for end in (BLOCKS, PIXELS))
    return int(pixels // blocks)


def _precision(tensor: TensorProto) -> str:
    return _PRECISIONS.get(tensor.data_type) or _dtype(tensor.data_type)


def _dtype(number: int) -> str:
    """The NumPy name of an ONNX element type, which in a file may be any number."""
    known = number in helper.get_all_tensor_dtypes()
    return helper.tensor_dtype_to_np_dtype(number).name if known else f"type {number}"


def _size(tensor: TensorProto) -> int:
    return int(np.prod(tensor.dims, dtype=np.int64))


def _describe(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    return (
        f"{value.name}: {_dtype(kind.elem_type)} [{', '.join(d.dim_param or str(d.dim_value) for d in kind.shape.dim)}]"
    )
