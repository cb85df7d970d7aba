"""Int8 convolutions of few channels over several neighbouring pixels at once.

The int8 kernels of a CPU are efficient for multiples of sixteen filters and pixels of a multiple of four bytes; the
first layers of a narrow network have neither, and an image's three bytes are gathered one pixel at a time. But
(S, S, C) bytes are also (S, S/P, P C) bytes. Over those, P copies of each filter, one for each place in a block, give
(S, S/P, P O), which is (S, S, O) again: the same integers in the same places. The cost is the products with the zeros
that pad the filters.

Measured on one core with AVX512-VNNI, microseconds plain and in blocks: at 112 px 3 to 16 channels 497 and 163, 8 to
8 channels 548 and 198, 16 to 16 channels 494 and 382; at 75 px 16 to 16 channels 234 and 189. From 32 filters on
blocks are slower.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from allkit.model.graph import BLOCKS, PIXELS

# Filters side by side up to this many cost less than a layer of fewer does.
_WORTHWHILE_FILTERS = 48

# Pixels of another depth than a multiple of this are gathered byte by byte.
_DEPTH_MULTIPLE = 4

_CHANNELS_LAST, _CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def block_length(side: int, depth: int, filters: int) -> int:
    """How many pixels make a block, 1 for none.

    Of an image, whose depth is below four, it is four pixels, and the width is padded to a multiple of it; else a
    divisor of the width. For other depths blocks cost more than they gain.
    """
    if depth < _DEPTH_MULTIPLE:
        return _DEPTH_MULTIPLE
    if depth % _DEPTH_MULTIPLE:
        return 1
    return max(length for length in range(1, max(1, _WORTHWHILE_FILTERS // filters) + 1) if side % length == 0)


def in_blocks(graph: onnx.GraphProto, name: str, side: int) -> None:
    """Make the named 3 x 3 convolution of a QDQ graph read blocks of pixels; its consumers read what they did before.

    side: of the square that it reads, in pixels. It follows DequantizeLinear and precedes QuantizeLinear. In place.
    """
    conv = _Convolution(graph, name)
    count, depth = conv.filters.shape[:2]
    length = block_length(side, depth, count)
    if length == 1:
        return
    padded = side + -side % length
    conv.replace_filters(block_filters(conv.filters, length), length)
    before = _Chain(f"{name}_in", conv.entry.input[0])
    before.add("Transpose", perm=_CHANNELS_LAST)
    if padded > side:
        # Rows stay whole in memory: pixels that stand for zero are added to the end of each.
        before.add("Reshape", conv.constant(".rows", [-1, side, side * depth]))
        before.add("Pad", conv.constant(".pads", [0, 0, 0, 0, 0, (padded - side) * depth]), conv.entry.input[2])
    before.add("Reshape", conv.constant(BLOCKS, [-1, side, padded // length, length * depth]))
    before.add("Transpose", perm=_CHANNELS_FIRST)
    conv.surround(before, _back_in_pixels(conv, side, padded, count))


def patches_in_blocks(graph: onnx.GraphProto, name: str, image: str, size_px: int, patch_px: int) -> None:
    """Make the named first convolution, K x K over patches of pixels, read the image without moving a byte. In place.

    A block of L neighbouring patches is patch_px rows of 3 L patch_px bytes, which already lie together in each row of
    the image (S, S, 3) seen as (S, S/(L patch_px), 3 L patch_px). Filters of K patch_px rows and K blocks, patch_px
    rows apart, see what the filters over patches see; K is 2 or 3. image: name of the uint8 input. size_px: its side S.
    """
    conv = _Convolution(graph, name)
    side, count, kernel = size_px // patch_px, len(conv.filters), conv.filters.shape[2]
    length = block_length(side, 3 * patch_px**2, count)
    # (O, rows, columns, RGB) of a patch apart, then rows of patches and of pixels together.
    filters = conv.filters.reshape(count, patch_px, 3 * patch_px, kernel, kernel).transpose(0, 2, 3, 1, 4)
    filters = filters.reshape(count, 3 * patch_px, kernel * patch_px, kernel)
    conv.replace_filters(block_filters(filters, length), length)
    conv.reshape_kernel(kernel, patch_px)
    before = _Chain(f"{name}_in", image)
    before.add("Reshape", conv.constant(BLOCKS, [-1, size_px, side // length, 3 * length * patch_px]))
    before.add("Transpose", perm=_CHANNELS_FIRST)
    conv.surround(before, _back_in_pixels(conv, side, side, count))


def _back_in_pixels(conv: _Convolution, side: int, padded: int, count: int) -> _Chain:
    after = _Chain(f"{conv.name}_out", conv.exit.output[0])
    after.add("Transpose", perm=_CHANNELS_LAST)
    after.add("Reshape", conv.constant(PIXELS, [-1, side, padded, count]))
    if padded > side:
        crop = {"from": 0, "to": side, "axis": 2}
        after.add("Slice", *(conv.constant(f".{key}", [value]) for key, value in crop.items()))
    after.add("Transpose", perm=_CHANNELS_FIRST)
    return after


class _Convolution:
    """An int8 convolution of a QDQ graph: the DequantizeLinear that it reads, its filters, the QuantizeLinear after it.

    filters: int8 (O, C, K, K).
    """

    def __init__(self, graph: onnx.GraphProto, name: str):
        makers = {output: node for node in graph.node for output in node.output}
        self.name, self._graph = name, graph
        self._constants = {constant.name: constant for constant in graph.initializer}
        self._node = next(node for node in graph.node if node.name == name)
        # A bias of zeros may have been left out.
        self.entry, self._weight, *self._bias = (makers[tensor] for tensor in self._node.input)
        self.exit = next(node for node in graph.node if self._node.output[0] in node.input)
        self.filters = numpy_helper.to_array(self._constants[self._weight.input[0]])

    def constant(self, ending: str, values: Sequence[int]) -> str:
        self._graph.initializer.append(numpy_helper.from_array(np.array(values), self.name + ending))
        return self.name + ending

    def replace_filters(self, filters: np.ndarray, length: int) -> None:
        """Give it filters over blocks, `length` of each before, with their scales and biases."""
        self._replace(self._weight.input[0], filters)
        for tensor in (*self._weight.input[1:], *(tensor for node in self._bias for tensor in node.input)):
            if self._constants[tensor].dims:
                self._replace(tensor, np.tile(numpy_helper.to_array(self._constants[tensor]), length))

    def reshape_kernel(self, side: int, rows: int) -> None:
        """Let its kernel, `side` places wide and high, have `rows` rows in place of each, and move by as many."""
        del self._node.attribute[:]
        before, after = _before(side), side - 1 - _before(side)
        pads = [before * rows, before, after * rows, after]
        attributes = {"kernel_shape": [side * rows, side], "strides": [rows, 1], "pads": pads}
        self._node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())

    def surround(self, before: _Chain, after: _Chain) -> None:
        """Let it read what one chain makes, and its consumers what another does; drop what nothing reads any more."""
        # An entry of its own: a heat map or the distance may read the same tensor.
        entry = helper.make_node(self.entry.op_type, [before.output, *self.entry.input[1:]], [f"{self.name}_in"])
        entry.name = self._node.input[0] = entry.output[0]
        for node in self._graph.node:
            if self.exit.output[0] in node.input:
                node.input[0] = after.output
        ordered = []
        for node in self._graph.node:
            ordered += [*before.nodes, entry] if node.name == self.entry.name else []
            ordered.append(node)
            ordered += after.nodes if node.name == self.exit.name else []
        read = {value.name for value in self._graph.output}
        kept = []
        for node in reversed(ordered):
            if read.intersection(node.output):
                kept.append(node)
                read.update(node.input)
        self._graph.ClearField("node")
        self._graph.node.extend(reversed(kept))
        for name, constant in self._constants.items():
            if name not in read:
                self._graph.initializer.remove(constant)

    def _replace(self, tensor: str, values: np.ndarray) -> None:
        self._constants[tensor].CopyFrom(numpy_helper.from_array(values, tensor))


class _Chain:
    """Nodes of which each reads the one before."""

    def __init__(self, name: str, start: str):
        self._name, self.output = name, start
        self.nodes: list[onnx.NodeProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Sequence[int]) -> None:
        name = f"{self._name}_{len(self.nodes)}_{operator.lower()}"
        self.nodes.append(helper.make_node(operator, [self.output, *inputs], [name], name, **attributes))
        self.output = name


def block_filters(filters: np.ndarray, length: int) -> np.ndarray:
    """Filters (O, C, H, W) over pixels as filters (P O, P C, H, W) over blocks of P pixels along the width; W <= 3."""
    channels, depth, height, width = filters.shape
    blocks = np.zeros((length, channels, length, depth, height, width), filters.dtype)
    for place in range(length):
        for column in range(width):
            # The pixel that this column sees lies in the block before, this one or the next.
            block, seen = divmod(place + column - _before(width), length)
            blocks[place, :, seen, :, :, block + _before(width)] = filters[:, :, :, column]
    return blocks.reshape(length * channels, length * depth, height, width)


def _before(width: int) -> int:
    """How many places of a kernel lie before the one that it answers for, as Keras and ONNX pad."""
    return (width - 1) // 2
