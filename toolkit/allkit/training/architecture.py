"""The networks as Keras models: the modified VGG16 of Najjar et al. (2025), its relatives, and published comparators.

A width multiplier scales every channel count and the hidden Dense layer (Howard et al. 2017). In blocks that are
trained from scratch each convolution is followed by batch normalisation, which export folds away again, so that the
exported graph is one of plain convolutions at every width.

The model takes uint8 RGB and normalises it itself: whoever feeds it cannot do that differently.
"""

from __future__ import annotations

import re

import keras
import numpy as np
from keras import layers, ops

from allkit.model.architecture import Architecture, Blocks, Published
from allkit.runs.recipe import ALL_BLOCKS, Recipe

DENSE_UNITS = 1024

# Mean of the ImageNet training images, RGB (Simonyan and Zisserman 2014); VGG16 was trained with it subtracted.
IMAGENET_MEAN_RGB = (123.68, 116.779, 103.939)
# The same as torchvision has it, for pixels from 0 to 1, and the standard deviation by which it divides.
TORCH_MEAN_RGB, TORCH_STD_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Keras' "tf" divides by this after it is subtracted.
CENTRE = 127.5

# The default of 0.99 needs hundreds of steps to follow the weights; short trainings have fewer.
_BATCH_NORM_MOMENTUM = 0.9

# The square root of 0 has no slope.
_LEAST_VARIANCE = 1e-6


def freeze(model: keras.Model, network: Architecture, trainable_blocks: int) -> None:
    """Let only so many blocks of a network train, counted from the input, and its head."""
    if trainable_blocks == ALL_BLOCKS:
        return
    head = model.layers.index(model.get_layer(network.last_map)) + 1
    for layer in model.layers[:head]:
        block = re.match(r"block(\d)_conv", layer.name)
        layer.trainable = block is not None and int(block[1]) <= trainable_blocks


def scaled(channels: int, width: float) -> int:
    """A channel count times the width multiplier, at least 1."""
    return max(1, round(channels * width))


def build(network: Architecture, size_px: int, classes: int, width: float, recipe: Recipe) -> keras.Model:
    """The network: uint8 (batch, S, S, 3) to float32 probabilities (batch, classes)."""
    inputs = keras.Input((size_px, size_px, 3), dtype="uint8", name="image")
    x = _normalise(_patches(inputs, network.patch_px), recipe.normalisation)
    x = _published(network, x, width) if isinstance(network, Published) else _blocks(network, x, width, recipe)
    if network.head == "dense":
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(scaled(DENSE_UNITS, width), activation="relu", kernel_initializer="he_normal", name="fc")(x)
    elif network.head == "pooled":
        x = Statistics(dtype="float32", name="statistics")(x)
        # Means, deviations and maxima of different channels differ by orders of magnitude.
        x = layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM, dtype="float32", name="statistics_bn")(x)
    else:
        x = layers.GlobalAveragePooling2D(dtype="float32", name="average")(x)
    x = layers.Dropout(recipe.dropout, name="dropout")(x)
    # Probabilities stay float32 under mixed precision: bfloat16 has three decimal digits.
    x = layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, x, name="network")


def _blocks(network: Blocks, x: keras.KerasTensor, width: float, recipe: Recipe) -> keras.KerasTensor:
    for block, convolutions in enumerate(network.blocks, 1):
        for name, (channels, side) in zip(network.conv_names_of(block), convolutions, strict=True):
            x = layers.Conv2D(
                scaled(channels, width),
                side,
                padding="same",
                use_bias=not recipe.batch_norm,
                kernel_initializer="he_normal",
                name=name,
            )(x)
            if recipe.batch_norm:
                x = layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM, name=f"{name}_bn")(x)
            x = layers.ReLU(negative_slope=network.leak, name=f"{name}_relu")(x)
        if block in network.pools:
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return x


def _published(network: Published, x: keras.KerasTensor, width: float) -> keras.KerasTensor:
    make = getattr(keras.applications, network.name)
    scaling = {"alpha": width} if network.has_width else {}
    body = make(include_top=False, weights=None, input_tensor=x, **scaling)
    for layer in body.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = _BATCH_NORM_MOMENTUM
    return body.output


@keras.saving.register_keras_serializable("allkit")
class Statistics(layers.Layer):
    """Mean, standard deviation and maximum of each channel over all places: (n, h, w, c) to (n, 3 c)."""

    def call(self, features):
        return statistics(features, (1, 2))


def statistics(features: keras.KerasTensor, places: tuple[int, int]) -> keras.KerasTensor:
    """Mean, standard deviation and maximum over the two axes `places`, side by side: (n, 3 c).

    Each is homogeneous of degree one, so that by Euler's theorem gradient times features adds up to its value: the
    evidence map of a linear layer on them is exact (`exporting.heatmap`).
    """
    mean = ops.mean(features, places, keepdims=True)
    variance = ops.mean(ops.square(features - mean), places)
    deviation = ops.sqrt(variance + _LEAST_VARIANCE)
    return ops.concatenate([ops.squeeze(mean, places), deviation, ops.max(features, places)], axis=1)


def _patches(pixels: keras.KerasTensor, side: int) -> keras.KerasTensor:
    """Squares of `side` x `side` pixels as one place each: (n, S, S, 3) to (n, S/side, S/side, 3 side^2)."""
    if side == 1:
        return pixels
    places = pixels.shape[1] // side
    x = ops.reshape(pixels, (-1, places, side, places, 3 * side))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, places, places, 3 * side**2))


def _normalise(patches: keras.KerasTensor, normalisation: str) -> keras.KerasTensor:
    pixels = patches.shape[-1] // 3
    if normalisation == "imagenet":
        # In float32 under any policy: bfloat16 has no 123.68, its nearest values are 123.5 and 124.
        return ops.cast(patches, "float32") - np.tile(np.float32(IMAGENET_MEAN_RGB), pixels)
    if normalisation == "torch":
        return ops.cast(patches, "float32") - 255 * np.tile(np.float32(TORCH_MEAN_RGB), pixels)
    if normalisation == "centre":
        return ops.cast(patches, "float32") - CENTRE
    if normalisation == "unit":
        # A pure scale folds into the first kernel exactly, borders included; an offset would not.
        return layers.Rescaling(1 / 255, name="normalise")(patches)
    return ops.cast(patches, keras.config.dtype_policy().compute_dtype)
