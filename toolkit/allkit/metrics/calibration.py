"""Temperature scaling and calibration error.

Confidence is the largest probability of a row and the prediction its class (Guo, Pleiss, Sun and Weinberger 2017, On
Calibration of Modern Neural Networks, ICML).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from allkit.errors import AllkitError
from allkit.metrics.checks import labelled_scores

TEMPERATURE_BOUNDS = (0.05, 20.0)


def softmax(logits: ArrayLike, temperature: float = 1.0) -> np.ndarray:
    """Convert logits (n, k) to probabilities, float64 (n, k): softmax(logits / temperature) by row."""
    from scipy.special import softmax as of_rows

    return of_rows(np.asarray(logits, np.float64) / temperature, axis=1)


def log_probabilities(probabilities: ArrayLike) -> np.ndarray:
    """Natural logarithm as float64, for `fit_temperature` when a model outputs no logits.

    The result equals logits up to a constant per row, which softmax ignores. Probabilities below the smallest normal
    float32, 1.2e-38, are raised to it so that the result is finite.
    """
    return np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float32).tiny))


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the T that minimises the negative log-likelihood of softmax(logits / T) (Guo et al. 2017, section 4.2).

    logits: logits or log-probabilities (n, k); labels: int (n,). T > 1 softens, T < 1 sharpens; the order of the
    classes never changes. T is limited to TEMPERATURE_BOUNDS: a model worse than chance gets the upper bound. If the
    likelihood still rises at the lower bound, as it does when every image is classified correctly, the data do not
    determine T, and 1 is returned.
    """
    from scipy.optimize import brentq

    logits, labels = labelled_scores(logits, labels)
    # Relative to the true class, so that rounding cannot make the slope of a correct row positive.
    margins = logits - logits[np.arange(len(labels)), labels][:, None]

    def slope(sharpness: float) -> float:
        return float((softmax(margins, 1 / sharpness) * margins).sum(1).mean())

    # The likelihood is convex in 1 / T, so its slope has at most one root.
    flat, sharp = 1 / TEMPERATURE_BOUNDS[1], 1 / TEMPERATURE_BOUNDS[0]
    if slope(sharp) <= 0:
        return 1.0
    if slope(flat) >= 0:
        return TEMPERATURE_BOUNDS[1]
    return 1 / brentq(slope, flat, sharp)


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: bin i holds the confidences in (i / bins, (i + 1) / bins].

    count: int64 (bins,). confidence, accuracy: float64 (bins,), the means of each bin, NaN if it is empty.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> Reliability:
    """Count, mean confidence and accuracy in `bins` bins of equal width; probabilities (n, k), labels (n,)."""
    if bins < 1:
        raise AllkitError(f"{bins} bins are too few: give 1 or more")
    probabilities, labels = labelled_scores(probabilities, labels)
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    place = np.searchsorted(np.arange(1, bins) / bins, confidence, side="left")
    count = np.bincount(place, minlength=bins)
    filled = np.where(count, count, np.nan)
    return Reliability(
        count,
        np.bincount(place, confidence, bins) / filled,
        np.bincount(place, right, bins) / filled,
    )


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """Mean over images of |accuracy - confidence| of their bin (Naeini, Cooper and Hauskrecht 2015, AAAI)."""
    diagram = reliability(probabilities, labels, bins)
    filled = diagram.count > 0
    gaps = np.abs(diagram.accuracy - diagram.confidence)[filled]
    return float(np.average(gaps, weights=diagram.count[filled]))
