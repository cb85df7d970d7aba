"""The first int8 convolution over several neighbouring pixels at once.

A pixel has three channels, so the gathering of patches, which goes pixel by pixel, copies three bytes at a time and
costs more than the products. But (S, S, 3) bytes are also (S, S/P, 3P) bytes. Over those, P copies of each filter, one
for each place in a block, give (S, S/P, P x O), which is (S, S, O) again: the same integers in the same places, from
fewer and longer copies. Products with the zeros that fill the kernels up are the price, so P stays small.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from allkit.contract import INPUT_NAME
from allkit.graph import BLOCKS

# More output channels than this cost more products than they save copies, measured with AVX512-VNNI.
_MOST_CHANNELS = 128

_TO_CHANNELS_LAST, _TO_CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def block_length(size_px: int, channels: int) -> int:
    """How many neighbouring pixels make a block: a divisor of the image size."""
    fits = [length for length in range(1, _MOST_CHANNELS // channels + 1) if size_px % length == 0]
    return max(fits, default=1)


def in_blocks(graph: onnx.GraphProto, name: str) -> None:
    """Have the named 3 x 3 convolution of a QDQ graph read blocks of pixels, and its reader what it read before.

    The way to it is Transpose and DequantizeLinear, from it QuantizeLinear and DequantizeLinear. In place.
    """
    nodes = {node.name: node for node in graph.node}
    makers = {output: node for node in graph.node for output in node.output}
    constants = {constant.name: constant for constant in graph.initializer}
    conv = nodes[name]
    transpose = makers[makers[conv.input[0]].input[0]]
    weight, bias = (makers[tensor] for tensor in conv.input[1:])
    filters = numpy_helper.to_array(constants[weight.input[0]])
    channels, depth = filters.shape[:2]
    side = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    length = block_length(side, channels)
    if length == 1:
        return

    def replace(tensor: str, values: np.ndarray) -> None:
        constants[tensor].CopyFrom(numpy_helper.from_array(values, tensor))

    def constant(tensor: str, values: Sequence[int]) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(values), tensor))
        return tensor

    replace(weight.input[0], block_filters(filters, length))
    for tensor in (*weight.input[1:], *bias.input):
        if constants[tensor].dims:
            replace(tensor, np.tile(numpy_helper.to_array(constants[tensor]), length))

    blocks = constant(name + BLOCKS, [-1, side, side // length, length * depth])
    before = helper.make_node("Reshape", [INPUT_NAME, blocks], [f"{name}_blocks"], f"{name}_blocks")
    transpose.input[0] = before.output[0]
    quantise = next(node for node in graph.node if conv.output[0] in node.input)
    read = next(node for node in graph.node if quantise.output[0] in node.input)
    pixels = constant(f"{name}.pixels", [-1, side, side, channels])
    after = [
        ("Transpose", [quantise.output[0]], f"{name}_last", {"perm": _TO_CHANNELS_LAST}),
        ("Reshape", [f"{name}_last", pixels], f"{name}_pixels", {}),
        ("Transpose", [f"{name}_pixels"], f"{name}_first", {"perm": _TO_CHANNELS_FIRST}),
    ]
    read.input[0] = after[-1][2]
    ordered = []
    for node in graph.node:
        if node.name == transpose.name:
            ordered.append(before)
        ordered.append(node)
        if node.name == quantise.name:
            ordered += [helper.make_node(op, inputs, [output], output, **more) for op, inputs, output, more in after]
    graph.ClearField("node")
    graph.node.extend(ordered)


def block_filters(filters: np.ndarray, length: int) -> np.ndarray:
    """Filters (O, C, 3, 3) over pixels as filters (P O, P C, 3, 3) over blocks of P pixels along the width."""
    channels, depth, height, width = filters.shape
    blocks = np.zeros((length, channels, length, depth, height, width), filters.dtype)
    for place in range(length):
        for column in range(width):
            # The pixel that this column sees lies in the block before, this one or the next.
            block, seen = divmod(place + column - width // 2, length)
            blocks[place, :, seen, :, :, block + width // 2] = filters[:, :, :, column]
    return blocks.reshape(length * channels, length * depth, height, width)
