"""Confidence intervals: Wilson's for a proportion, the cluster bootstrap for everything else.

Images of one patient or one stretch of a slide resemble each other, so a hundred of them carry less information than a
hundred independent ones. If the groups are known, both intervals account for this: Wilson's uses the effective sample
size, the bootstrap draws whole groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from allkit.errors import AllkitError
from allkit.metrics.checks import share


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval."""

    value: float
    low: float
    high: float

    def percent(self, digits: int = 1) -> str:
        """Format a share as in `96.6 % [94.0, 98.1]`."""
        value, low, high = (f"{100 * number:.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{value} % [{low}, {high}]"


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return the share successes / n with its score interval (Wilson 1927, JASA 22:209).

    The n trials are treated as independent. Unlike the normal approximation, the interval stays inside [0, 1] and has a
    width even if all or none succeed. Raises AllkitError when n is 0 or successes is not in 0..n.
    """
    if n < 1:
        raise AllkitError("a share of no images is undefined: give at least one")
    if not 0 <= successes <= n:
        raise AllkitError(f"{successes} successes of {n} is not a share")
    return _wilson(successes / n, n, confidence)


def proportion(hits: ArrayLike, groups: ArrayLike | None = None, confidence: float = 0.95) -> Interval:
    """Return the share of true `hits`, bool (n,), with its Wilson interval.

    groups (n,): the group of each trial, any sortable values. With groups, the interval is Wilson's for
    `effective_size` trials instead of n (Korn and Graubard 1998, Survey Methodology 24:193, with Wilson's interval in
    place of the exact one, which Dean and Pagano 2015, J. Survey Statistics and Methodology 3:484, found to cover
    best). Raises AllkitError when there are no trials.
    """
    hits = np.asarray(hits, bool)
    if groups is None or not hits.size:
        return wilson(int(hits.sum()), hits.size, confidence)
    return _wilson(float(hits.mean()), effective_size(hits, groups, confidence), confidence)


def effective_size(values: ArrayLike, groups: ArrayLike, confidence: float = 0.95) -> float:
    """Return the number of independent values with as much information about their mean as values (n,) in groups (n,).

    n divided by the design effect: the variance of the mean with groups as sampling units (ratio estimate: Cochran
    1977, Sampling Techniques, section 9A.2) over that of n independent values, at least 1. As that variance is
    estimated from few groups, the result is multiplied by (t of n - 1 / t of groups - 1)^2, quantiles of Student's
    distribution at `confidence` (Korn and Graubard 1998). It is at least `groups_worth`, and equal to it if all values
    are the same, which says nothing about how groups differ.
    """
    from scipy.special import stdtrit

    values, groups = np.asarray(values, np.float64), np.asarray(groups)
    if values.ndim != 1 or groups.shape != values.shape:
        raise AllkitError(f"groups must be one value per image: {groups.shape} for {values.shape}")
    inverse = np.unique(groups, return_inverse=True)[1]
    n, count = len(values), int(inverse.max()) + 1
    if count == n:
        return float(n)
    independent = values.var(ddof=1) / n
    if count == 1 or independent == 0:
        return groups_worth(groups)
    deviations = np.bincount(inverse, values - values.mean())
    between = count / (count - 1) * (deviations**2).sum() / n**2
    quantile = (1 + share("confidence", confidence)) / 2
    few = (stdtrit(n - 1, quantile) / stdtrit(count - 1, quantile)) ** 2
    return max(groups_worth(groups), float(n / max(between / independent, 1.0) * few))


def groups_worth(groups: ArrayLike) -> float:
    """Return the number of independent values that groups (n,) stand for if each group's values are identical.

    (sum of sizes)^2 / sum of squared sizes (Kish 1965, Survey Sampling, section 8.2); the number of groups if their
    sizes are equal.
    """
    sizes = np.unique(np.asarray(groups), return_counts=True)[1]
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def _wilson(p: float, n: float, confidence: float) -> Interval:
    z = NormalDist().inv_cdf((1 + share("confidence", confidence)) / 2)
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    scale = 1 + z * z / n
    # SciPy's interval takes whole numbers of trials only. The ends are exact where rounding would leave 1e-17.
    low = 0.0 if p == 0 else (centre - spread) / scale
    high = 1.0 if p == 1 else (centre + spread) / scale
    return Interval(p, low, high)


def cluster_bootstrap(
    statistic: Callable[[np.ndarray], ArrayLike],
    groups: ArrayLike,
    *,
    samples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of a statistic of rows that resemble each other within groups.

    statistic: takes row indices, int64, with repeats; returns a float or an array of floats, NaN for what the rows
    leave undefined (a class that was not drawn). groups (n,): the group of each row, any sortable values. Returns
    (low, high), each of the shape of the statistic.

    A resample draws as many whole groups as there are, with replacement (Davison and Hinkley 1997, Bootstrap Methods
    and their Application, section 3.8; percentile interval: Efron and Tibshirani 1993, chapter 13). With few groups the
    percentiles would be too close together; they are moved out by as much as Student's interval of a mean exceeds one
    from resampled means, the expanded percentile interval (Hesterberg 2015, The American Statistician 69:371, section
    4.2). Undefined resamples are left out; if more than half are undefined, both ends are NaN. Raises AllkitError for
    fewer than two groups, which say nothing about the variation between groups.
    """
    from scipy.special import ndtr, stdtrit

    groups = np.asarray(groups)
    if groups.ndim != 1:
        raise AllkitError(f"groups must be (n,), one value per row, not {groups.shape}")
    _, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise AllkitError("a bootstrap by group needs two or more groups: give more images, or leave the groups out")
    order = np.argsort(inverse, kind="stable")
    starts = np.cumsum(sizes) - sizes
    rng = np.random.default_rng(seed)

    def resample() -> np.ndarray:
        drawn = rng.integers(len(sizes), size=len(sizes))
        lengths = sizes[drawn]
        ends = np.cumsum(lengths)
        return order[np.repeat(starts[drawn] - (ends - lengths), lengths) + np.arange(ends[-1])]

    values = np.array([statistic(resample()) for _ in range(samples)], np.float64)
    enough = np.isnan(values).mean(0) <= 0.5
    count = len(sizes)
    tail = ndtr(math.sqrt(count / (count - 1)) * stdtrit(count - 1, (1 - share("confidence", confidence)) / 2))
    low, high = np.nanquantile(np.where(enough, values, 0.0), [tail, 1 - tail], axis=0)
    return np.where(enough, low, np.nan)[()], np.where(enough, high, np.nan)[()]
