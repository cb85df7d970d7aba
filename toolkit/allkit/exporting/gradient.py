"""The class-evidence map by TensorFlow's automatic differentiation, against which the exported map is validated."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from allkit.model.contract import OUTPUT_NAME


def gradient_maps(model: keras.Model, layer: str, pixels: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Maps float32 (n, h, w) of the predicted class of a trained network, for uint8 images (n, S, S, 3).

    layer: whose output the head reads, float32 (n, h, w, c). temperature: by which the logits are divided.
    """
    last = model.get_layer(OUTPUT_NAME)
    features = model.get_layer(layer).output
    split = keras.Model(model.inputs[0], features)
    head = keras.Model(features, last.input)
    values = split(pixels, training=False)
    with tf.GradientTape() as tape:
        tape.watch(values)
        logits = (tf.matmul(head(values, training=False), last.kernel) + last.bias) / temperature
        predicted = tf.reduce_max(logits, axis=1)
    gradient = tape.gradient(predicted, values)
    return tf.reduce_sum(gradient * values, axis=3).numpy()
