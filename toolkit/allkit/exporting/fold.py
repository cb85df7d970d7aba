"""The inference form of a trained network: batch normalisation and scaling folded into kernels, no dropout.

In inference batch normalisation is an affine map of each channel, so it joins the convolution before
it: w' = w g / sqrt(v + e), b' = b + (0 - m) g / sqrt(v + e) (Jacob et al. 2018, section 3.2). Dividing
the input by 255 joins the first kernel likewise; since the padding stays 0, the borders are exact too.
ImageNet's mean is different: after it is subtracted, padding with 0 means padding with the mean colour,
which no bias can express, so that subtraction stays in the graph, where it costs one pass over three channels.

ONNX convolutions have their channels first, Keras flattens with the channels last. The twin flattens, or pools,
channels first and has the rows of the first Dense kernel in that order, so that the graph needs no transposition. The
batch normalisation of pooled statistics joins the layer after it.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from allkit.model.contract import OUTPUT_NAME
from allkit.runs.settings import Settings
from allkit.training import architecture


def folded(model: keras.Model, settings: Settings) -> keras.Model:
    """A float32 network with the same function as the trained `model` in inference."""
    recipe, network = settings.recipe, settings.network
    scale = 1 / 255 if recipe.normalisation == "unit" else 1.0
    plain = recipe.override(
        batch_norm=False,
        dropout=0.0,
        normalisation="none" if recipe.normalisation == "unit" else recipe.normalisation,
    )
    keras.config.set_dtype_policy("float32")
    twin = architecture.build(network, settings.pixels.size_px, len(settings.classes), settings.width, plain)
    for i, name in enumerate(network.conv_names):
        kernel, bias = _convolution(model, name, recipe.batch_norm)
        twin.get_layer(name).set_weights([kernel * scale if i == 0 else kernel, bias])
    head = _dense_head if network.head == "dense" else _pooled_head
    return head(model, twin, len(settings.classes))


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
    last = layers.Dense(classes, activation="softmax", name=OUTPUT_NAME)
    plain = keras.Model(twin.inputs, last(_channels_first(twin.get_layer("statistics").input)))
    factor, offset = _affine(model.get_layer("statistics_bn"))
    kernel, bias = (weights.astype(np.float64) for weights in model.get_layer(OUTPUT_NAME).get_weights())
    last.set_weights([factor[:, None] * kernel, bias + offset @ kernel])
    return plain


def _channels_first(features: keras.KerasTensor) -> keras.KerasTensor:
    return architecture.statistics(ops.transpose(features, (0, 3, 1, 2)), (2, 3))


def _convolution(model: keras.Model, name: str, batch_norm: bool) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (3, 3, in, out) and bias (out,) of a convolution with its batch normalisation folded in."""
    if not batch_norm:
        return tuple(model.get_layer(name).get_weights())
    (kernel,) = model.get_layer(name).get_weights()
    factor, offset = _affine(model.get_layer(f"{name}_bn"))
    return (kernel * factor).astype(np.float32), offset.astype(np.float32)


def _affine(layer: layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Factor and offset, float64 (c,), of a batch normalisation in inference."""
    gamma, beta, mean, variance = (weights.astype(np.float64) for weights in layer.get_weights())
    factor = gamma / np.sqrt(variance + layer.epsilon)
    return factor, beta - mean * factor
