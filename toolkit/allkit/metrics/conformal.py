"""Which classes can be ruled out: split conformal prediction.

The score of an image is 1 - p(truth): Sadinle, Lei and Wasserman 2019, Least Ambiguous Set-Valued
Classifiers (JASA 114:223), as in Angelopoulos and Bates 2021, A Gentle Introduction to Conformal
Prediction (arXiv:2107.07511), section 1. Everything here speaks of p(truth) itself, so that the
threshold can be compared with probabilities without rounding in between.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from allkit.metrics.checks import labelled_scores, share


def conformal_threshold(probabilities: ArrayLike, labels: ArrayLike, coverage: float = 0.95) -> float:
    """The probability from which a class belongs to the prediction set.

    probabilities (n, k) and labels (n,) are of calibration images that the model was not trained on. The
    set {k: p_k >= threshold} of a new image then holds the truth with probability `coverage` or more, if
    that image is exchangeable with them: over all images, not for each class or patient. The score's
    quantile is its ceil((n + 1) coverage)-th smallest value; where n is too small to have one, the
    threshold is 0 and the set holds every class. Raises AllkitError unless 0 < coverage < 1.
    """
    probabilities, labels = labelled_scores(probabilities, labels)
    truth = np.sort(probabilities[np.arange(len(labels)), labels])
    # As a decimal fraction: in binary (n + 1) * 0.07 exceeds 7 at n = 99 and would ask for one rank more.
    rank = math.ceil((len(truth) + 1) * Fraction(str(share("coverage", coverage))))
    return float(truth[-rank]) if rank <= len(truth) else 0.0
