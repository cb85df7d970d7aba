"""The class-evidence map by TensorFlow's automatic differentiation, against which the exported map is validated."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from allkit.model.contract import OUTPUT_NAME


def gradient_maps(model: keras.Model, pixels: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Maps float32 (n, h, w) of the predicted class of a trained network, for uint8 images (n, S, S, 3).

    temperature: by which the logits are divided.
    """
    features = keras.Model(model.inputs[0], model.get_layer("block5_pool").output)(pixels, training=False)
    last = model.get_layer(OUTPUT_NAME)
    with tf.GradientTape() as tape:
        tape.watch(features)
        hidden = model.get_layer("fc")(model.get_layer("flatten")(features))
        logits = (tf.matmul(hidden, last.kernel) + last.bias) / temperature
        predicted = tf.reduce_max(logits, axis=1)
    gradient = tape.gradient(predicted, features)
    return tf.reduce_sum(gradient * features, axis=3).numpy()
