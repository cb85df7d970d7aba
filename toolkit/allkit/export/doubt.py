"""What lets a model doubt: calibrated probabilities, a conformal threshold, a distance to the training images.

All three are fitted here, once, on images that the network was not trained on (the distance: on those it was), and
live in the exported file: the temperature inside the last Dense layer, the distance as a second output, the two
thresholds in the contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from allkit.contract import DISTANCE_NAME, OUTPUT_NAME
from allkit.stats import (
    conformal_threshold,
    expected_calibration_error,
    fit_temperature,
    log_probabilities,
    softmax,
)

# Chosen by measurement (benchmarks/results/familiarity.json): channel means after block 3 told foreign smears from
# the test part without an error, at 64 numbers an image; deeper layers forget what an image looks like.
LAYER = "block3_pool"
METHOD = f"Mahalanobis distance of the channel means of {LAYER} to those of the training images"

# An image farther out than this share of the validation images is called unfamiliar.
QUANTILE = 0.99

# Of the mean variance, added to each: channels that never fire would have no inverse.
_RIDGE = 1e-3
_LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class Familiarity:
    """Mean (d,) and whitening matrix (d, d) of the training features, and the largest familiar distance.

    The distance of features x is |(x - mean) whitening|, the Mahalanobis distance (Lee et al. 2018, without classes).
    """

    mean: np.ndarray
    whitening: np.ndarray
    threshold: float

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Distance float64 (n,) of features (n, d)."""
        return np.linalg.norm((features - self.mean) @ self.whitening, axis=1)


def fit_familiarity(train: np.ndarray, validation: np.ndarray) -> Familiarity:
    """Fit to features (n, d) of training images; the threshold to those of validation images."""
    train = np.asarray(train, np.float64)
    mean = train.mean(0)
    covariance = np.cov(train, rowvar=False)
    covariance += _RIDGE * max(np.trace(covariance) / len(mean), _LEAST_VARIANCE) * np.eye(len(mean))
    fitted = Familiarity(mean, np.linalg.cholesky(np.linalg.inv(covariance)), 0.0)
    distances = fitted.distances(validation)
    return Familiarity(mean, fitted.whitening, float(np.quantile(distances, QUANTILE, method="higher")))


@dataclass(frozen=True)
class Doubt:
    """All that is fitted, ready for the graph and the contract."""

    temperature: float
    coverage: float
    conformal: float
    n_validation: int
    familiarity: Familiarity

    def calibrate(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities (n, k) of the network as the exported graph gives them, float64."""
        return softmax(log_probabilities(probabilities), self.temperature)

    def calibration(self, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Expected calibration error of a part before and after, for the contract."""
        return {
            "n": len(labels),
            "ece_before": expected_calibration_error(probabilities, labels),
            "ece_after": expected_calibration_error(self.calibrate(probabilities), labels),
        }

    def abstention_record(self) -> dict[str, Any]:
        return {
            "method": "split conformal",
            "coverage": self.coverage,
            "threshold": self.conformal,
            "n": self.n_validation,
        }

    def familiarity_record(self) -> dict[str, Any]:
        return {"method": METHOD, "quantile": QUANTILE, "threshold": self.familiarity.threshold, "n": self.n_validation}


def fit_doubt(
    probabilities: np.ndarray, labels: np.ndarray, train: np.ndarray, validation: np.ndarray, coverage: float
) -> Doubt:
    """Fit temperature and conformal threshold to validation probabilities (n, k) and labels (n,).

    train, validation: features (m, d) and (n, d) of the two parts. coverage: the share of images whose prediction
    set shall hold the truth.
    """
    temperature = fit_temperature(log_probabilities(probabilities), labels)
    calibrated = softmax(log_probabilities(probabilities), temperature)
    return Doubt(
        temperature,
        coverage,
        conformal_threshold(calibrated, labels, coverage),
        len(labels),
        fit_familiarity(train, validation),
    )


def with_features(model: keras.Model) -> keras.Model:
    """The network with two outputs: its probabilities and the features of the distance, float32 (n, d)."""
    means = ops.mean(ops.cast(model.get_layer(LAYER).output, "float32"), (1, 2))
    return keras.Model(model.inputs, [model.output, means])


def with_doubt(model: keras.Model, doubt: Doubt) -> keras.Model:
    """A plain float32 network with calibrated probabilities and the distance as its two outputs.

    The last Dense layer of `model` is changed in place: dividing the logits by the temperature divides its weights.
    """
    last = model.get_layer(OUTPUT_NAME)
    last.set_weights([weights / doubt.temperature for weights in last.get_weights()])
    probabilities, means = with_features(model).outputs
    distance = _Distance(doubt.familiarity, name=DISTANCE_NAME)(means)
    return keras.Model(model.inputs, {OUTPUT_NAME: probabilities, DISTANCE_NAME: distance})


class _Distance(layers.Layer):
    """`Familiarity.distances` as a layer: the name of a layer becomes the name of the output."""

    def __init__(self, familiarity: Familiarity, **options):
        super().__init__(**options)
        self._whitening = familiarity.whitening.astype(np.float32)
        self._offset = (-familiarity.mean @ familiarity.whitening).astype(np.float32)

    def call(self, features):
        return ops.sqrt(ops.sum(ops.square(ops.matmul(features, self._whitening) + self._offset), axis=1))
