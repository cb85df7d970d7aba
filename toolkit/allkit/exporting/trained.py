"""What a trained network itself says of images, in float32 and in float64, for the outputs of the exported graph."""

from __future__ import annotations

import keras
import numpy as np

from allkit.exporting.gradient import gradient_maps
from allkit.exporting.measure import in_batches
from allkit.exporting.uncertainty import Uncertainty, with_features
from allkit.model.architecture import Architecture


def trained_outputs(
    model: keras.Model, network: Architecture, uncertainty: Uncertainty, pixels: np.ndarray, heatmap: bool
) -> tuple[np.ndarray, ...]:
    """Calibrated probabilities (n, k), distances (n,) and, if asked for, heat maps (n, h, w) of uint8 images."""
    probabilities, features = predict(with_features(model, network.distance_layer), pixels)
    found = uncertainty.calibrate(probabilities), uncertainty.familiarity.distances(features)
    if not heatmap:
        return found
    maps = [gradient_maps(model, network.last_map, batch, uncertainty.temperature) for batch in in_batches(pixels)]
    return (*found, np.concatenate(maps))


def predict(tap: keras.Model, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and features of uint8 images (n, S, S, 3), by a network that `with_features` made."""
    batches = [tap.predict_on_batch(batch) for batch in in_batches(pixels)]
    probabilities, features = (np.concatenate(column) for column in zip(*batches, strict=True))
    return probabilities, features


def in_float64(model: keras.Model) -> keras.Model:
    """The same network with the same weights, whose layers compute in float64."""

    def clone(layer: keras.Operation) -> keras.Operation:
        if not isinstance(layer, keras.layers.Layer):
            return layer
        return layer.__class__.from_config({**layer.get_config(), "dtype": "float64"})

    exact = keras.models.clone_model(model, clone_function=clone)
    exact.set_weights(model.get_weights())
    return exact
