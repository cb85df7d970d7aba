"""Bias correction: the mean error that rounding the weights causes, taken back in the biases.

Activations are never negative, and the pixels of a smear are bright, so rounding errors of a filter do not average out:
they shift its output by about the sum of the errors times the mean of the input. That shift is known beforehand (Nagel
et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", arXiv:1906.04721, section 4.2).
The zeros at the borders, where the shift is smaller, are not considered, as usual.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper


def correct_biases(quantised: onnx.GraphProto, graph: onnx.GraphProto, means: Mapping[str, np.ndarray]) -> None:
    """Correct the int32 biases of a QDQ graph in place.

    graph: the float graph that it was made from. means: for each layer with weights, by name, the mean of each channel
    of its input, float (C,). Layers in float, or without a bias, stay as they are.
    """
    makers = {output: node for node in quantised.node for output in node.output}
    constants = {constant.name: constant for constant in quantised.initializer}
    exact = {constant.name: constant for constant in graph.initializer}
    values = {name: numpy_helper.to_array(constant) for name, constant in constants.items()}
    for node in quantised.node:
        if node.name not in means or len(node.input) < 3 or node.input[1] not in makers:
            continue
        weight, bias = (makers[tensor] for tensor in node.input[1:])
        error = _dequantised(weight, values) - numpy_helper.to_array(exact[weight.input[0].removesuffix("_quantized")])
        shift = _output(node, error, means[node.name])
        corrected = values[bias.input[0]] - np.rint(shift / values[bias.input[1]])
        constants[bias.input[0]].CopyFrom(numpy_helper.from_array(corrected.astype(np.int32), bias.input[0]))


def _dequantised(node: onnx.NodeProto, values: Mapping[str, np.ndarray]) -> np.ndarray:
    whole, scale = values[node.input[0]].astype(np.float64), values[node.input[1]]
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    return whole * np.expand_dims(scale, [other for other in range(whole.ndim) if other != axis])


def _output(node: onnx.NodeProto, weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """The output (O,) of a layer with these weights for an input that is the same everywhere, (C,)."""
    if node.op_type == "Conv":
        # (O, C / groups): the filters of a group see its channels alone.
        filters = weights.sum((2, 3))
        groups = len(inputs) // filters.shape[1]
        return (filters.reshape(groups, -1, filters.shape[1]) @ inputs.reshape(groups, -1, 1)).ravel()
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return weights @ inputs if transposed else inputs @ weights
