"""Whether two classifiers differ on the same images."""

from __future__ import annotations

import math

import numpy as np

from allkit.errors import AllkitError

# The p value below which a difference is called real.
SIGNIFICANT = 0.05


def mcnemar_exact(only_a_right: int, only_b_right: int) -> float:
    """Two-sided p value of the exact McNemar test (McNemar 1947, Psychometrika 12:153).

    Only the images on which one of the two is right count. If neither is better, each of them falls to
    either side like a fair coin: p = 2 P(X <= min) for X ~ Binomial(n, 1/2), at most 1; 1 when there
    are none. Raises AllkitError for negative counts.
    """
    low, n = min(only_a_right, only_b_right), only_a_right + only_b_right
    if low < 0:
        raise AllkitError(f"counts of images cannot be negative: {only_a_right}, {only_b_right}")
    # The largest term alone needs logarithms; the others are shares of it and underflow harmlessly.
    largest = math.lgamma(n + 1) - math.lgamma(low + 1) - math.lgamma(n - low + 1) - n * math.log(2)
    k = np.arange(low, 0, -1)
    relative = 1 + np.cumprod(k / (n - k + 1)).sum()
    return min(1.0, 2 * math.exp(largest) * float(relative))
