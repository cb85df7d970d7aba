"""The inference twin of a trained network: no batch normalisation, no dropout, scale in the kernel.

In inference batch normalisation is an affine map of each channel, so it joins the convolution before
it: w' = w g / sqrt(v + e), b' = b + (0 - m) g / sqrt(v + e) (Jacob et al. 2018, section 3.2). Dividing
the input by 255 joins the first kernel likewise; since the padding stays 0, the borders are exact too.
ImageNet's mean is different: after it is subtracted, padding with 0 means padding with the mean colour,
which no bias can express, so that subtraction stays in the graph.
"""

from __future__ import annotations

import keras
import numpy as np

from allkit.training import architecture
from allkit.training.run import Settings


def folded(model: keras.Model, settings: Settings) -> keras.Model:
    """A float32 network with the same function as the trained `model` in inference."""
    recipe = settings.recipe
    scale = 1 / 255 if recipe.normalisation == "unit" else 1.0
    plain = recipe.override(
        batch_norm=False,
        dropout=0.0,
        normalisation="none" if recipe.normalisation == "unit" else recipe.normalisation,
    )
    keras.config.set_dtype_policy("float32")
    twin = architecture.build(settings.pixels.size_px, len(settings.classes), settings.width, plain)
    for i, name in enumerate(architecture.conv_names()):
        kernel, bias = _convolution(model, name, recipe.batch_norm)
        twin.get_layer(name).set_weights([kernel * scale if i == 0 else kernel, bias])
    for name in ("fc", "probabilities"):
        twin.get_layer(name).set_weights(model.get_layer(name).get_weights())
    return twin


def _convolution(model: keras.Model, name: str, batch_norm: bool) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (3, 3, in, out) and bias (out,) of a convolution with its batch normalisation folded in."""
    if not batch_norm:
        return tuple(model.get_layer(name).get_weights())
    (kernel,) = model.get_layer(name).get_weights()
    layer = model.get_layer(f"{name}_bn")
    gamma, beta, mean, variance = (weights.astype(np.float64) for weights in layer.get_weights())
    factor = gamma / np.sqrt(variance + layer.epsilon)
    return (kernel * factor).astype(np.float32), (beta - mean * factor).astype(np.float32)
