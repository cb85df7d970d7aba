"""The inference form of a trained network: batch normalisation and scaling folded into kernels, no dropout.

In inference batch normalisation is an affine map of each channel, so it joins the convolution before
it: w' = w g / sqrt(v + e), b' = b + (b0 - m) g / sqrt(v + e) (Jacob et al. 2018, section 3.2). Dividing
the input by 255 joins the first kernel likewise; since the padding stays 0, the borders are exact too.
ImageNet's mean is different: after it is subtracted, padding with 0 means padding with the mean colour,
which no bias can express, so that subtraction stays in the graph, where it costs one pass over three channels.

ONNX convolutions have their channels first, Keras flattens with the channels last. The twin flattens, or pools,
channels first and has the rows of the first Dense kernel in that order, so that the graph needs no transposition. The
batch normalisation of pooled statistics joins the layer after it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from allkit.model.architecture import Architecture
from allkit.model.contract import OUTPUT_NAME
from allkit.training import architecture

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)
# What lies between the scaling of the pixels and the first convolution: zeros stay zeros.
_KEEPS_ZERO = layers.ZeroPadding2D


def folded(model: keras.Model, network: Architecture) -> keras.Model:
    """A float32 network with the same function as the trained `model` of an architecture in inference.

    A batch normalisation that does not follow a convolution stays, as does one of several layers that read it.
    """
    keras.config.set_dtype_policy("float32")
    readers = _readers(model)
    normalised = {}
    for layer in model.layers:
        after = readers.get(id(layer.output), [])
        if isinstance(layer, _CONVOLUTIONS) and len(after) == 1 and isinstance(after[0], layers.BatchNormalization):
            normalised[layer.name] = after[0]
    joined = {layer.name for layer in normalised.values()}

    def clone(layer: keras.Operation) -> keras.Operation:
        if not isinstance(layer, layers.Layer):
            return layer
        config = {**layer.get_config(), "name": layer.name, "dtype": "float32"}
        if layer.name in normalised:
            config["use_bias"] = True
        return layer.__class__.from_config(config)

    def call(layer: keras.Operation, *args: Any, **options: Any) -> Any:
        if isinstance(layer, layers.Rescaling):
            return ops.cast(args[0], "float32")
        return args[0] if layer.name in joined else layer(*args, **options)

    twin = keras.models.clone_model(model, clone_function=clone, call_function=call)
    scales = _scales(model, readers)
    for layer in twin.layers:
        if weights := model.get_layer(layer.name).get_weights():
            if layer.name in normalised:
                weights = _with_normalisation(weights, normalised[layer.name])
            weights[0] = weights[0] * scales.get(layer.name, 1)
            layer.set_weights(weights)
    head = {"dense": _dense_head, "pooled": _pooled_head, "average": _average_head}[network.head]
    return head(model, twin, model.output.shape[-1])


def _dense_head(model: keras.Model, twin: keras.Model, classes: int) -> keras.Model:
    features = twin.get_layer("flatten").input
    _, height, width, channels = features.shape
    flat = ops.reshape(ops.transpose(features, (0, 3, 1, 2)), (-1, channels * height * width))
    kernel, bias = model.get_layer("fc").get_weights()
    kernel = kernel.reshape(height, width, channels, -1).transpose(2, 0, 1, 3).reshape(len(kernel), -1)
    hidden = layers.Dense(len(bias), activation="relu", name="fc")
    last = layers.Dense(classes, activation="softmax", name=OUTPUT_NAME)
    plain = keras.Model(twin.inputs, last(hidden(flat)))
    hidden.set_weights([kernel, bias])
    last.set_weights(model.get_layer(OUTPUT_NAME).get_weights())
    return plain


def _pooled_head(model: keras.Model, twin: keras.Model, classes: int) -> keras.Model:
    features = _channels_first(twin.get_layer("statistics").input)
    last = layers.Dense(classes, activation="softmax", name=OUTPUT_NAME)
    plain = keras.Model(twin.inputs, last(architecture.statistics(features, (2, 3))))
    factor, offset = _affine(model.get_layer("statistics_bn"))
    kernel, bias = (weights.astype(np.float64) for weights in model.get_layer(OUTPUT_NAME).get_weights())
    last.set_weights([factor[:, None] * kernel, bias + offset @ kernel])
    return plain


def _average_head(model: keras.Model, twin: keras.Model, classes: int) -> keras.Model:
    features = _channels_first(twin.get_layer("average").input)
    last = layers.Dense(classes, activation="softmax", name=OUTPUT_NAME)
    plain = keras.Model(twin.inputs, last(ops.mean(features, (2, 3))))
    last.set_weights(model.get_layer(OUTPUT_NAME).get_weights())
    return plain


def _channels_first(features: keras.KerasTensor) -> keras.KerasTensor:
    return ops.transpose(features, (0, 3, 1, 2))


def _readers(model: keras.Model) -> dict[int, list[keras.Operation]]:
    """What reads each tensor of a network, by the identity of the tensor."""
    readers: dict[int, list[keras.Operation]] = {}
    for operation in model.operations:
        if not isinstance(operation, layers.InputLayer):
            for tensor in keras.tree.flatten(operation.input):
                readers.setdefault(id(tensor), []).append(operation)
    return readers


def _scales(model: keras.Model, readers: dict[int, list[keras.Operation]]) -> dict[str, float]:
    """What the scaling of the pixels makes of the kernels that read them, by the names of their layers."""
    scales = {}
    for scaling in (layer for layer in model.layers if isinstance(layer, layers.Rescaling)):
        waiting = [*readers[id(scaling.output)]]
        while waiting:
            layer = waiting.pop()
            if isinstance(layer, _KEEPS_ZERO):
                waiting += readers[id(layer.output)]
            else:
                scales[layer.name] = scaling.scale
    return scales


def _with_normalisation(weights: list[np.ndarray], layer: layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel (h, w, in, out), or (h, w, in, multiplier) by depth, and bias of a convolution and what follows it."""
    kernel, *bias = weights
    factor, offset = _affine(layer)
    if bias:
        offset = offset + bias[0] * factor
    out = kernel.shape[2:] if kernel.shape[-1] != len(factor) else kernel.shape[-1:]
    return [(kernel * factor.reshape(out)).astype(np.float32), offset.astype(np.float32)]


def _affine(layer: layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Factor and offset, float64 (c,), of a batch normalisation in inference."""
    gamma, beta, mean, variance = (weights.astype(np.float64) for weights in layer.get_weights())
    factor = gamma / np.sqrt(variance + layer.epsilon)
    return factor, beta - mean * factor
