"""Split conformal prediction: which classes can be ruled out.

The score of an image is 1 - p(truth): Sadinle, Lei and Wasserman 2019, Least Ambiguous Set-Valued Classifiers (JASA
114:223), as in Angelopoulos and Bates 2021, A Gentle Introduction to Conformal Prediction (arXiv:2107.07511), section
1. The code uses p(truth) itself, so that the threshold can be compared with probabilities without rounding.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from allkit.metrics.checks import labelled_scores, share


def conformal_threshold(probabilities: ArrayLike, labels: ArrayLike, coverage: float = 0.95) -> float:
    """Return the smallest probability with which a class belongs to the prediction set.

    probabilities (n, k) and labels (n,): of calibration images that the model was not trained on. The set
    {k: p_k >= threshold} of a new image contains the truth with probability `coverage` or more if the image is
    exchangeable with them: on average over images, not for each class or patient. The quantile of the score is its
    ceil((n + 1) coverage)-th smallest value; if n is too small for that, the threshold is 0 and the set contains every
    class. Raises AllkitError unless 0 < coverage < 1.
    """
    probabilities, labels = labelled_scores(probabilities, labels)
    truth = np.sort(probabilities[np.arange(len(labels)), labels])
    # A decimal fraction: in binary, (n + 1) * 0.07 exceeds 7 at n = 99 and gives one rank too many.
    rank = math.ceil((len(truth) + 1) * Fraction(str(share("coverage", coverage))))
    return float(truth[-rank]) if rank <= len(truth) else 0.0
