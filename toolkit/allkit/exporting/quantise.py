"""Static int8: ranges of the activations by calibration, then onnxruntime's quantizer in QDQ form.

Weights are int8, symmetric, one scale per output channel; activations uint8, one scale per tensor (Jacob et al.
2018), as the CPU's u8 x s8 kernels take them. The logits stay in float: they cost nothing, and rounding them would
change every probability.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import HistogramCollector, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from allkit.exporting.blocks import in_blocks
from allkit.exporting.measure import open_session
from allkit.exporting.tidy import HIDDEN, LOGITS
from allkit.model.contract import INPUT_NAME
from allkit.training.architecture import BLOCKS, conv_names

METHODS = ("min-max", "entropy", "percentile")

# The percentile is onnxruntime's default. Its 128 bins for entropy are not: with as many bins as steps there is
# nothing to search, and the range is that of min-max.
_ENTROPY = {"num_bins": 512, "num_quantized_bins": 128, "percentile": None}
_PERCENTILE = {"num_bins": 2048, "num_quantized_bins": None, "percentile": 99.999}

_OPERATORS = ["Conv", "MaxPool", "Relu", "Reshape", "Gemm"]

# At full width and 200 px the activations of one image are 80 MB.
_BATCH = 8

# Of the image that the first convolution reads. Where nothing is subtracted from them, pixels are their own uint8.
_PIXELS, _RAW = "transpose", ("cast", "transpose")


def calibrate(proto: onnx.ModelProto, pixels: np.ndarray) -> dict[str, TensorsData]:
    """The ranges of the activations by each method, from uint8 images (n, S, S, 3), in one pass over them."""
    tapped = onnx.ModelProto.FromString(proto.SerializeToString())
    relus = [node for node in proto.graph.node if node.op_type == "Relu"]
    names = [node.output[0] for node in relus]
    first = next(node for node in proto.graph.node if node.op_type == "Conv")
    names.append(first.input[0])
    tapped.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
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
            values = dict(zip(names, session.run(names, {INPUT_NAME: batch}), strict=True))
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
            if node.op_type in ("MaxPool", "Reshape"):
                ranges[node.output[0]] = ranges[node.input[0]]
    return {method: TensorsData(kinds.get(method, CalibrationMethod.Percentile), found[method]) for method in METHODS}


def layers() -> list[str]:
    """The layers that can be int8, input first."""
    return [*conv_names(), HIDDEN]


def quantise(
    proto: onnx.ModelProto, ranges: TensorsData, float_layers: Sequence[str] = (), seven_bit: bool = False
) -> onnx.ModelProto:
    """A QDQ copy of a tidy float graph, with the given layers (of `layers()`) left in float.

    seven_bit: weights of seven bits: two products with activations of eight then fit the 16 bits in which processors
    without VNNI add them.
    """
    excluded = [LOGITS, *float_layers, *(f"{name}_relu" for name in float_layers), *_float_pools(float_layers)]
    raw = [node.name for node in proto.graph.node[:2]] == list(_RAW) and layers()[0] not in float_layers
    quantizer = QDQQuantizer(
        model=onnx.ModelProto.FromString(proto.SerializeToString()),
        per_channel=True,
        reduce_range=seven_bit,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=None,
        nodes_to_exclude=excluded,
        op_types_to_quantize=_OPERATORS,
        extra_options={
            # Scale 1 and zero point 0: the pixels themselves.
            "TensorQuantOverrides": {_PIXELS: [{"rmin": np.float32(0), "rmax": np.float32(255)}]} if raw else {}
        },
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantised = quantizer.model.model
    if raw:
        _feed_pixels(quantised.graph)
    side = quantised.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    for block, (_, count) in enumerate(BLOCKS, 1):
        for name in (f"block{block}_conv{i}" for i in range(1, count + 1)):
            if name not in float_layers:
                in_blocks(quantised.graph, name, side)
        side //= 2
    del quantised.graph.value_info[:]
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


def _float_pools(float_layers: Sequence[str]) -> list[str]:
    """A pool between two float layers, or after a block that ends in float, is cheaper in float than quantised."""
    last = {f"block{block}_conv{count}": f"block{block}_pool" for block, (_, count) in enumerate(BLOCKS, 1)}
    return [pool for layer, pool in last.items() if layer in float_layers]


def _feed_pixels(graph: onnx.GraphProto) -> None:
    """Cast, Transpose, QuantizeLinear and DequantizeLinear at scale 1 to Transpose and DequantizeLinear.

    Rounding a whole number changes nothing, so the function is the same and the float copy of the image is gone.
    """
    nodes = {node.name: node for node in graph.node}
    nodes[_PIXELS].input[0] = INPUT_NAME
    nodes[f"{_PIXELS}_DequantizeLinear"].input[0] = nodes[_PIXELS].output[0]
    for name in ("cast", f"{_PIXELS}_QuantizeLinear"):
        graph.node.remove(nodes[name])
