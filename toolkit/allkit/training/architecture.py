"""The modified VGG16 of Najjar et al. (2025) at any width.

Thirteen 3x3 convolutions in five blocks, Flatten, Dense 1024 ReLU, Dropout, softmax. A width
multiplier scales every channel count and the Dense layer (Howard et al. 2017). Trained from
scratch, each convolution is followed by batch normalisation, which export folds away again, so
that the exported graph is plain VGG16 at every width.

The model takes uint8 RGB and normalises it itself: whoever feeds it cannot do that differently.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from allkit.runs.recipe import Recipe
from allkit.runs.settings import VGG16

# Simonyan and Zisserman 2014, configuration D: channels and convolutions of each block.
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
DENSE_UNITS = 1024

# Mean of the ImageNet training images, RGB (Simonyan and Zisserman 2014); VGG16 was trained with it subtracted.
IMAGENET_MEAN_RGB = (123.68, 116.779, 103.939)
# The same as torchvision has it, for pixels from 0 to 1, and the standard deviation by which it divides.
TORCH_MEAN_RGB, TORCH_STD_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# The default of 0.99 needs hundreds of steps to follow the weights; short trainings have fewer.
_BATCH_NORM_MOMENTUM = 0.9


def scaled(channels: int, width: float) -> int:
    """A channel count times the width multiplier, at least 1."""
    return max(1, round(channels * width))


def conv_names() -> list[str]:
    """Layer names of the thirteen convolutions, input first, as in keras.applications."""
    return [f"block{block}_conv{i}" for block, (_, count) in enumerate(BLOCKS, 1) for i in range(1, count + 1)]


def build(size_px: int, classes: int, width: float, recipe: Recipe) -> keras.Model:
    """The network: uint8 (batch, S, S, 3) to float32 probabilities (batch, classes)."""
    inputs = keras.Input((size_px, size_px, 3), dtype="uint8", name="image")
    x = _normalise(inputs, recipe.normalisation)
    for block, (channels, count) in enumerate(BLOCKS, 1):
        for i in range(1, count + 1):
            name = f"block{block}_conv{i}"
            x = layers.Conv2D(
                scaled(channels, width),
                3,
                padding="same",
                use_bias=not recipe.batch_norm,
                kernel_initializer="he_normal",
                name=name,
            )(x)
            if recipe.batch_norm:
                x = layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM, name=f"{name}_bn")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(scaled(DENSE_UNITS, width), activation="relu", kernel_initializer="he_normal", name="fc")(x)
    x = layers.Dropout(recipe.dropout, name="dropout")(x)
    # Probabilities stay float32 under mixed precision: bfloat16 has three decimal digits.
    x = layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, x, name=VGG16)


def _normalise(inputs: keras.KerasTensor, normalisation: str) -> keras.KerasTensor:
    if normalisation == "imagenet":
        # In float32 under any policy: bfloat16 has no 123.68, its nearest values are 123.5 and 124.
        return keras.ops.cast(inputs, "float32") - np.float32(IMAGENET_MEAN_RGB)
    if normalisation == "torch":
        return keras.ops.cast(inputs, "float32") - 255 * np.float32(TORCH_MEAN_RGB)
    if normalisation == "unit":
        # A pure scale folds into the first kernel exactly, borders included; an offset would not.
        return layers.Rescaling(1 / 255, name="normalise")(inputs)
    return keras.ops.cast(inputs, keras.config.dtype_policy().compute_dtype)
