"""Uncertainty estimates: calibrated probabilities, a conformal threshold, a distance to the training images.

The temperature is fitted to images that the network was not trained on, the distance to those it was. Both live in
the graph: the temperature inside the last Dense layer, the distance as a second output. The thresholds that go with
them are fitted to the outputs of each exported file for the validation images, and are part of its contract.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from allkit.metrics import log_probabilities, softmax
from allkit.model.contract import DISTANCE_NAME, OUTPUT_NAME

METHOD = "Mahalanobis distance of the channel means of {layer} to those of the training images"

# An image with a larger distance than this share of the validation images is called unfamiliar.
QUANTILE = 0.99

# Share of the mean variance that is added to each: a channel that is always zero would make the matrix singular.
_RIDGE = 1e-3
_LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class Familiarity:
    """Mean (d,) and whitening matrix (d, d) of the training features.

    The distance of features x is |(x - mean) whitening|, the Mahalanobis distance (Lee et al. 2018, without classes).
    """

    mean: np.ndarray
    whitening: np.ndarray

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Distance float64 (n,) of features (n, d)."""
        return np.linalg.norm((features - self.mean) @ self.whitening, axis=1)


def fit_familiarity(train: np.ndarray) -> Familiarity:
    """Fit to features (n, d) of training images."""
    train = np.asarray(train, np.float64)
    mean = train.mean(0)
    covariance = np.cov(train, rowvar=False)
    covariance += _RIDGE * max(np.trace(covariance) / len(mean), _LEAST_VARIANCE) * np.eye(len(mean))
    return Familiarity(mean, np.linalg.cholesky(np.linalg.inv(covariance)))


def familiar_threshold(distances: np.ndarray) -> float:
    """The distance above which an image is unfamiliar, from those (n,) of validation images."""
    return float(np.quantile(distances, QUANTILE, method="higher"))


@dataclass(frozen=True)
class Uncertainty:
    """The fitted parts of the graph."""

    temperature: float
    familiarity: Familiarity

    def calibrate(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities (n, k) of the network as the exported graph gives them, float64."""
        return softmax(log_probabilities(probabilities), self.temperature)


def with_features(model: keras.Model, layer: str) -> keras.Model:
    """The network with two outputs: its probabilities and the channel means of a layer, float32 (n, d)."""
    # Channels first, as in the exported graph: there the two transpositions cancel.
    features = ops.transpose(model.get_layer(layer).output, (0, 3, 1, 2))
    means = ops.mean(ops.cast(features, "float32"), (2, 3))
    return keras.Model(model.inputs, [model.output, means])


def with_uncertainty(model: keras.Model, layer: str, fitted: Uncertainty) -> keras.Model:
    """A plain float32 network with calibrated probabilities and the distance, by a layer, as its two outputs.

    The last Dense layer of `model` is changed in place: dividing the logits by the temperature divides its weights.
    """
    last = model.get_layer(OUTPUT_NAME)
    last.set_weights([weights / fitted.temperature for weights in last.get_weights()])
    probabilities, means = with_features(model, layer).outputs
    distance = _Distance(fitted.familiarity, name=DISTANCE_NAME)(means)
    return keras.Model(model.inputs, {OUTPUT_NAME: probabilities, DISTANCE_NAME: distance})


class _Distance(layers.Layer):
    """`Familiarity.distances` as a layer: the name of a layer becomes the name of the output."""

    def __init__(self, familiarity: Familiarity, **options):
        super().__init__(**options)
        self._whitening = familiarity.whitening.astype(np.float32)
        self._offset = (-familiarity.mean @ familiarity.whitening).astype(np.float32)

    def call(self, features):
        return ops.sqrt(ops.sum(ops.square(ops.matmul(features, self._whitening) + self._offset), axis=1))
