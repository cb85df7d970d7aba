"""Whether two samples differ, from their ranks alone, and by which factor."""

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

    a, b: (n,) and (m,) independent values. A tie counts as half a pair, and a half is rounded against a difference.
    Raises AllkitError for an empty sample.
    """
    a, b = _samples(a, b)
    below = float((a[:, None] < b).sum() + 0.5 * (a[:, None] == b).sum())
    at_most = _at_most(len(a), len(b))
    return min(1.0, 2 * float(at_most[math.ceil(min(below, a.size * b.size - below))]))


def ratio(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """By which factor b is larger than a: the median of all ratios of a value of b to one of a, and its interval.

    The estimate of Hodges and Lehmann 1963 (Ann. Math. Stat. 34:598) on logarithms; the interval holds all factors
    that `mann_whitney_exact` would not reject. None where so few values allow no such interval. Values are above 0.
    """
    a, b = _samples(a, b)
    ratios = np.sort((b[:, None] / a).ravel())
    # The ends are as many ratios from the outside as the rarest pairings that the confidence leaves out.
    outside = int(np.searchsorted(_at_most(len(a), len(b)), (1 - share("confidence", confidence)) / 2, side="right"))
    if not outside:
        return None
    return Interval(float(np.median(ratios)), float(ratios[outside - 1]), float(ratios[-outside]))


def paired_ratio(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """By which factor b is larger than a where both were measured in the same rounds, and its interval.

    a, b (n,): values above 0, pair by pair. The estimate of Hodges and Lehmann 1963 for one sample, the median of the
    means of any two differences of logarithms (and of each alone); the interval holds all factors that the exact
    signed-rank test would not reject (Hollander, Wolfe and Chicken 2014, Nonparametric Statistical Methods, section
    3.3). None where so few pairs allow no such interval: fewer than 6 at 95 %.
    """
    a, b = _samples(a, b)
    if a.shape != b.shape:
        raise AllkitError(f"rounds that are not the same cannot be paired: {a.size} and {b.size} values")
    steps = np.log(b / a)
    first, second = np.triu_indices(len(steps))
    means = np.sort((steps[first] + steps[second]) / 2)
    # P(W <= w) of the signed ranks 1 ... n: each is in the sum or not.
    ways = np.zeros(len(means) + 1)
    ways[0] = 1
    for rank in range(1, len(steps) + 1):
        ways[rank:] = ways[rank:] + ways[:-rank]
    at_most = np.cumsum(ways) / 2.0 ** len(steps)
    outside = int(np.searchsorted(at_most, (1 - share("confidence", confidence)) / 2, side="right"))
    if not outside:
        return None
    return Interval(*(float(np.exp(value)) for value in (np.median(means), means[outside - 1], means[-outside])))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values of a family, adjusted so that all may be compared with one level (Holm 1979, Scand. J. Stat. 6:65).

    The chance of one false finding among all of them stays below the level, however they depend on each other.
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


def _at_most(n: int, m: int) -> np.ndarray:
    """P(U <= u) for u = 0 ... n m where n values and m values are drawn alike."""
    # The generating function of U is the Gaussian binomial coefficient: a product of (1 - x^(m+i)) / (1 - x^i).
    ways = np.zeros(n * m + 1)
    ways[0] = 1
    for i in range(1, n + 1):
        ways[m + i :] -= ways[: len(ways) - m - i].copy()
        for u in range(i, len(ways)):
            ways[u] += ways[u - i]
    return np.cumsum(ways) / math.comb(n + m, n)
