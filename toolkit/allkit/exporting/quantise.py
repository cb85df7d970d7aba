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
from allkit.exporting.tidy import FLATTEN, HIDDEN, LOGITS
from allkit.model.contract import INPUT_NAME
from allkit.runs.architecture import Architecture

METHODS = ("min-max", "entropy", "percentile")

# The percentile is onnxruntime's default. Its 128 bins for entropy are not: with as many bins as steps there is
# nothing to search, and the range is that of min-max.
_ENTROPY = {"num_bins": 512, "num_quantized_bins": 128, "percentile": None}
_PERCENTILE = {"num_bins": 2048, "num_quantized_bins": None, "percentile": 99.999}

_OPERATORS = ["Conv", "MaxPool", "Relu", "Reshape", "Gemm"]

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


def calibrate(proto: onnx.ModelProto, pixels: np.ndarray) -> dict[str, Calibration]:
    """The calibration by each method, from uint8 images (n, S, S, 3), in one pass over them."""
    tapped = onnx.ModelProto.FromString(proto.SerializeToString())
    relus = [node for node in proto.graph.node if node.op_type == "Relu"]
    names = [node.output[0] for node in relus]
    first = next(node for node in proto.graph.node if node.op_type == "Conv")
    names.append(first.input[0])
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
    for ranges in found.values():
        # A convolution and its ReLU become one: the quantizer asks for both ranges and uses the second.
        ranges |= {node.input[0]: ranges[node.output[0]] for node in relus}
        for node in proto.graph.node:
            if node.op_type in ("MaxPool", "Reshape") and node.input[0] in ranges:
                ranges[node.output[0]] = ranges[node.input[0]]
    means = {reader: sums[name] / len(pixels) for reader, name in readers.items()}
    return {
        method: Calibration(TensorsData(kinds.get(method, CalibrationMethod.Percentile), found[method]), means)
        for method in METHODS
    }


def layers(architecture: Architecture) -> list[str]:
    """The layers that can be int8, input first."""
    return [*architecture.conv_names, *([HIDDEN] if architecture.head == "dense" else [])]


def quantise(
    proto: onnx.ModelProto,
    architecture: Architecture,
    calibration: Calibration,
    float_layers: Sequence[str] = (),
    seven_bit: bool = False,
) -> onnx.ModelProto:
    """A QDQ copy of a tidy float graph, with the given layers (of `layers`) left in float.

    seven_bit: weights of seven bits: two products with activations of eight then fit the 16 bits in which processors
    without VNNI add them.
    """
    patches = [node.name for node in proto.graph.node if node.op_type == "Reshape" and node.name != FLATTEN]
    excluded = [
        LOGITS,
        *patches,
        *float_layers,
        *(f"{name}_relu" for name in float_layers),
        *_float_pools(architecture, float_layers),
    ]
    before = [*itertools.takewhile(lambda node: node.op_type != "Conv", proto.graph.node)]
    pixels = before[-1].output[0]
    raw = {node.op_type for node in before} <= _MOVES and architecture.conv_names[0] not in float_layers
    quantizer = QDQQuantizer(
        model=onnx.ModelProto.FromString(proto.SerializeToString()),
        per_channel=True,
        reduce_range=seven_bit,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=calibration.ranges,
        nodes_to_quantize=None,
        nodes_to_exclude=excluded,
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
    size_px = quantised.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    side, inside = size_px // architecture.patch_px, set(architecture.conv_names) - set(float_layers)
    if raw and architecture.patch_px > 1:
        first = architecture.conv_names[0]
        inside.remove(first)
        patches_in_blocks(quantised.graph, first, INPUT_NAME, size_px, architecture.patch_px)
    for block in range(1, len(architecture.blocks) + 1):
        for name in architecture.conv_names_of(block):
            if name in inside:
                in_blocks(quantised.graph, name, side)
        side //= 2
    del quantised.graph.value_info[:]
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


def _float_pools(architecture: Architecture, float_layers: Sequence[str]) -> list[str]:
    """A pool between two float layers, or after a block that ends in float, is cheaper in float than quantised."""
    last = {architecture.conv_names_of(block)[-1]: f"block{block}_pool" for block in architecture.pools}
    return [pool for layer, pool in last.items() if layer in float_layers]


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
