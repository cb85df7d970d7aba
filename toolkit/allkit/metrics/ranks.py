"""Whether a few measurements differ, judged by their ranks, and by what factor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from allkit.errors import AllkitError
from allkit.metrics.checks import share
from allkit.metrics.intervals import Interval


def mann_whitney_exact(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p value of the exact rank-sum test (Mann and Whitney 1947, Ann. Math. Stat. 18:50).

    a, b: (n,) and (m,) independent values. A tie counts half, rounded towards no difference. Raises AllkitError for an
    empty sample.
    """
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(*_samples(a, b), method="exact").pvalue)


def unpaired_ratio(numerator: ArrayLike, denominator: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """The factor between two independent samples of positive values, (n,) and (m,), with its interval.

    The median of all ratios of a numerator to a denominator, on logarithms: the estimate of Hodges and Lehmann 1963
    (Ann. Math. Stat. 34:598). The interval holds every factor that `mann_whitney_exact` would not reject; None when
    the samples are too small for one.
    """
    above, below = _samples(numerator, denominator)
    # The distribution of U, whose generating function is the Gaussian binomial coefficient, a product of
    # (1 - x^(m+i)) / (1 - x^i). SciPy has no public function for it.
    n, m = len(above), len(below)
    ways = np.zeros(n * m + 1)
    ways[0] = 1
    for i in range(1, n + 1):
        ways[m + i :] -= ways[: len(ways) - m - i].copy()
        for u in range(i, len(ways)):
            ways[u] += ways[u - i]
    return _interval(np.log(above[:, None] / below).ravel(), ways / math.comb(n + m, n), confidence)


def paired_ratio(numerator: ArrayLike, denominator: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """The factor between two series of positive values measured in the same rounds, (n,) each, with its interval.

    The estimate of Hodges and Lehmann 1963 for one sample, on logarithms: the median of the means of any two
    differences, each with itself included. The interval holds every factor that the exact signed-rank test would not
    reject (Hollander, Wolfe and Chicken 2014, Nonparametric Statistical Methods, section 3.3); None with too few rounds
    for one, fewer than 6 at 95 %. Raises AllkitError when the numbers of rounds differ.
    """
    above, below = _samples(numerator, denominator)
    if above.shape != below.shape:
        raise AllkitError(f"a paired ratio needs the same rounds: {above.size} and {below.size} values")
    steps = np.log(above / below)
    first, second = np.triu_indices(len(steps))
    # The distribution of the sum of the positive ranks: each of 1 ... n is in it or not.
    ways = np.zeros(len(first) + 1)
    ways[0] = 1
    for rank in range(1, len(steps) + 1):
        ways[rank:] = ways[rank:] + ways[:-rank]
    return _interval((steps[first] + steps[second]) / 2, ways / 2.0 ** len(steps), confidence)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p values of a family of tests (Holm 1979, Scand. J. Stat. 6:65).

    Compare each with the same level: the probability of any false finding stays below it, however the tests depend on
    each other. SciPy adjusts for the false discovery rate only.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(np.asarray(p_values)[order] * np.arange(len(order), 0, -1))
    return np.minimum(adjusted, 1).tolist()


def _samples(a: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, float), np.asarray(b, float)
    if not a.size or not b.size:
        raise AllkitError("an empty sample cannot be compared: give at least one value for each")
    return a, b


def _interval(logarithms: np.ndarray, chances: np.ndarray, confidence: float) -> Interval | None:
    """The median of the estimates and its interval, as factors; chances: P(statistic = 0, 1, ...) of the test."""
    outside = int(np.searchsorted(np.cumsum(chances), (1 - share("confidence", confidence)) / 2, side="right"))
    if not outside:
        return None
    ends = np.sort(logarithms)[[outside - 1, -outside]]
    return Interval(*(float(np.exp(value)) for value in (np.median(logarithms), *ends)))
