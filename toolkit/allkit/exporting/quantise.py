"""Static int8: ranges of the activations by calibration, then onnxruntime's quantizer in QDQ form.

Weights are int8, symmetric, one scale per output channel; activations uint8, one scale per tensor (Jacob et al.
2018), as the CPU's u8 x s8 kernels take them. The logits stay in float: they cost nothing, and rounding them would
change every probability.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import HistogramCollector, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from allkit.exporting.bias import correct_biases
from allkit.exporting.blocks import in_blocks, patches_in_blocks
from allkit.exporting.measure import open_session
from allkit.exporting.tidy import LOGITS, needed_for
from allkit.model.architecture import Architecture
from allkit.model.contract import INPUT_NAME

METHODS = ("min-max", "entropy", "percentile")

# The percentile is onnxruntime's default. Its 128 bins for entropy are not: with as many bins as steps there is
# nothing to search, and the range is that of min-max.
_ENTROPY = {"num_bins": 512, "num_quantized_bins": 128, "percentile": None}
_PERCENTILE = {"num_bins": 2048, "num_quantized_bins": None, "percentile": 99.999}

_ACTIVATIONS = ("Relu", "Clip")
# What makes no value beyond those that it reads: its output has their range.
_SAME_RANGE = ("MaxPool", "AveragePool", "Reshape", "Pad")
_OPERATORS = ["Conv", "Gemm", "Add", "Concat", "LeakyRelu", *_ACTIVATIONS, *_SAME_RANGE]

# At full width and 200 px the activations of one image are 80 MB.
_BATCH = 8

# What a graph does to the image before the first convolution where nothing is subtracted from it: pixels are then their
# own uint8.
_MOVES = {"Reshape", "Transpose", "Cast"}


@dataclass(frozen=True)
class Calibration:
    """What a method makes of the activations. ranges: lowest and highest value of each tensor. means: of each channel
    of the input of each layer with weights, by its name, float64 (C,)."""

    ranges: TensorsData
    means: Mapping[str, np.ndarray]


def calibrate(proto: onnx.ModelProto, network: Architecture, pixels: np.ndarray) -> dict[str, Calibration]:
    """The calibration by each method, from uint8 images (n, S, S, 3), in one pass over them."""
    tapped = onnx.ModelProto.FromString(proto.SerializeToString())
    graph = _Graph(proto.graph, network)
    sources = graph.sources_of_ranges()
    names = list(dict.fromkeys(sources.values()))
    readers = {node.name: node.input[0] for node in proto.graph.node if node.op_type in ("Conv", "Gemm")}
    read = list(dict.fromkeys([*names, *readers.values()]))
    sums = dict.fromkeys(readers.values(), 0.0)
    tapped.graph.output.extend(onnx.ValueInfoProto(name=name) for name in read)
    session = open_session(tapped)
    low, high = dict.fromkeys(names, np.float32(np.inf)), dict.fromkeys(names, np.float32(-np.inf))
    collectors = {
        method: HistogramCollector(method=method, symmetric=False, scenario="same", **options)
        for method, options in (("entropy", _ENTROPY), ("percentile", _PERCENTILE))
    }
    # onnxruntime's collectors print their progress.
    with contextlib.redirect_stdout(io.StringIO()):
        for start in range(0, len(pixels), _BATCH):
            batch = pixels[start : start + _BATCH]
            values = dict(zip(read, session.run(read, {INPUT_NAME: batch}), strict=True))
            for name in sums:
                # Over places, then over images.
                sums[name] += values[name].mean((2, 3) if values[name].ndim == 4 else (), np.float64).sum(0)
            values = {name: values[name] for name in names}
            for name, array in values.items():
                low[name], high[name] = min(low[name], array.min()), max(high[name], array.max())
            for collector in collectors.values():
                collector.collect(values)
        found = {method: collector.compute_collection_result() for method, collector in collectors.items()}
    found["min-max"] = {name: (low[name], high[name]) for name in names}
    kinds = {"min-max": CalibrationMethod.MinMax, "entropy": CalibrationMethod.Entropy}
    means = {reader: sums[name] / len(pixels) for reader, name in readers.items()}
    return {
        method: Calibration(
            TensorsData(
                kinds.get(method, CalibrationMethod.Percentile),
                {name: found[method][source] for name, source in sources.items()},
            ),
            means,
        )
        for method in METHODS
    }


def layers(proto: onnx.ModelProto, network: Architecture) -> list[str]:
    """The layers that can be int8, input first."""
    return [node.name for node in _Graph(proto.graph, network).quantised if node.op_type in ("Conv", "Gemm")]


def quantise(
    proto: onnx.ModelProto,
    network: Architecture,
    calibration: Calibration,
    float_layers: Sequence[str] = (),
    seven_bit: bool = False,
) -> onnx.ModelProto:
    """A QDQ copy of a tidy float graph, with the given layers (of `layers`) left in float.

    seven_bit: weights of seven bits: two products with activations of eight then fit the 16 bits in which processors
    without VNNI add them.
    """
    graph = _Graph(proto.graph, network)
    inside = {node.name for node in graph.quantised} - set(float_layers) - graph.beside(float_layers)
    pixels = graph.before[-1].output[0]
    first = next(node.name for node in graph.quantised)
    raw = {node.op_type for node in graph.before} <= _MOVES and first not in float_layers
    quantizer = QDQQuantizer(
        model=onnx.ModelProto.FromString(proto.SerializeToString()),
        per_channel=True,
        reduce_range=seven_bit,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=calibration.ranges,
        nodes_to_quantize=None,
        nodes_to_exclude=[node.name for node in proto.graph.node if node.name not in inside],
        op_types_to_quantize=_OPERATORS,
        extra_options={
            # Scale 1 and zero point 0: the pixels themselves.
            "TensorQuantOverrides": {pixels: [{"rmin": np.float32(0), "rmax": np.float32(255)}]} if raw else {}
        },
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantised = quantizer.model.model
    correct_biases(quantised.graph, proto.graph, calibration.means)
    if raw:
        _feed_pixels(quantised.graph, pixels)
    sides = graph.sides_of_blocks()
    if raw and network.patch_px > 1:
        size_px = quantised.graph.input[0].type.tensor_type.shape.dim[1].dim_value
        sides.pop(first, None)
        patches_in_blocks(quantised.graph, first, INPUT_NAME, size_px, network.patch_px)
    for name, side in sides.items():
        if name in inside:
            in_blocks(quantised.graph, name, side)
    del quantised.graph.value_info[:]
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


class _Graph:
    """A tidy float graph as the quantizer is to see it.

    before: its nodes up to the first convolution. quantised: those that can be int8, in order: what lies between the
    pixels and the last map, and a hidden Dense layer. Of additions those of two maps; an addition of constants is a
    batch normalisation that no convolution could take.
    """

    def __init__(self, graph: onnx.GraphProto, network: Architecture):
        self._graph = graph
        self._constants = {constant.name for constant in graph.initializer}
        self._makers = {output: node for node in graph.node for output in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for tensor in node.input:
                self._readers.setdefault(tensor, []).append(node)
        self.before = [*itertools.takewhile(lambda node: node.op_type != "Conv", graph.node)]
        logits = next(node for node in graph.node if node.name == LOGITS)
        last = self._makers[logits.input[0]].name if network.head == "dense" else network.last_map
        body = needed_for(graph, last) - {node.name for node in self.before}
        self.quantised = [node for node in graph.node if node.name in body and self._can(node)]
        self._names = {node.name for node in self.quantised}

    def _can(self, node: onnx.NodeProto) -> bool:
        dynamic = [tensor for tensor in node.input if tensor not in self._constants]
        return node.op_type in _OPERATORS and (node.op_type != "Add" or len(dynamic) == 2)

    def sources_of_ranges(self) -> dict[str, str]:
        """For each tensor that may be int8, the one whose range it has."""
        asked = [tensor for node in self.quantised for tensor in (*node.input, *node.output)]
        return {tensor: self._source(tensor) for tensor in asked if tensor and tensor not in self._constants}

    def _source(self, tensor: str) -> str:
        # What an activation cuts off, int8 cuts off as well: the two become one.
        after = self._readers.get(tensor, [])
        if len(after) == 1 and after[0].op_type in _ACTIVATIONS:
            return after[0].output[0]
        maker = self._makers.get(tensor)
        same = maker is not None and maker.name in self._names and maker.op_type in _SAME_RANGE
        return self._source(maker.input[0]) if same else tensor

    def beside(self, float_layers: Sequence[str]) -> set[str]:
        """What is cheaper in float where these layers are: their activations, and a pool of what they make."""
        found = set()
        for node in self._graph.node:
            if node.name in float_layers:
                while (after := self._readers[node.output[0]]) and after[0].op_type in (*_ACTIVATIONS, "MaxPool"):
                    node = after[0]
                    found.add(node.name)
        return found

    def sides_of_blocks(self) -> dict[str, int]:
        """The 3 x 3 convolutions of all channels at all places, and the side of the square that each reads."""
        inferred = onnx.shape_inference.infer_shapes(onnx.helper.make_model(self._graph)).graph
        sides = {value.name: value.type.tensor_type.shape.dim[-1].dim_value for value in inferred.value_info}
        found = {}
        for node in self.quantised:
            given = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            plain = given.get("group", 1) == 1 and set(given.get("strides", [1])) == {1}
            if node.op_type == "Conv" and given["kernel_shape"] == [3, 3] and given.get("pads") == [1] * 4 and plain:
                found[node.name] = sides[node.input[0]]
        return found


def _feed_pixels(graph: onnx.GraphProto, pixels: str) -> None:
    """Cast, Transpose, QuantizeLinear and DequantizeLinear at scale 1 to Transpose and DequantizeLinear.

    Rounding a whole number changes nothing, so the function is the same and the float copy of the image is gone.
    pixels: what the Transpose makes.
    """
    nodes = {node.name: node for node in graph.node}
    cast = next(node for node in graph.node if node.op_type == "Cast" and node.output[0] == nodes[pixels].input[0])
    nodes[pixels].input[0] = cast.input[0]
    nodes[f"{pixels}_DequantizeLinear"].input[0] = pixels
    graph.node.remove(cast)
    graph.node.remove(nodes[f"{pixels}_QuantizeLinear"])
