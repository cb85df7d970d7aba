"""The class-evidence map as TensorFlow's automatic differentiation gives it: what the exported map is held against."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from allkit.model.contract import OUTPUT_NAME


def gradient_maps(model: keras.Model, pixels: np.ndarray, method: str, temperature: float = 1.0) -> np.ndarray:
    """Maps float32 (n, h, w) of the predicted class of a trained network, for uint8 images (n, S, S, 3).

    method: hirescam or gradcam, as in `heatmap`. temperature: by which the logits are divided.
    """
    features = keras.Model(model.inputs[0], model.get_layer("block5_pool").output)(pixels, training=False)
    last = model.get_layer(OUTPUT_NAME)
    with tf.GradientTape() as tape:
        tape.watch(features)
        hidden = model.get_layer("fc")(model.get_layer("flatten")(features))
        logits = (tf.matmul(hidden, last.kernel) + last.bias) / temperature
        predicted = tf.reduce_max(logits, axis=1)
    gradient = tape.gradient(predicted, features)
    if method == "gradcam":
        gradient = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
    return tf.reduce_sum(gradient * features, axis=3).numpy()
