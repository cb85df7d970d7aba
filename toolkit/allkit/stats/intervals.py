"""Confidence intervals: Wilson's for a proportion, the cluster bootstrap for everything else."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from allkit.errors import AllkitError
from allkit.stats.checks import share


@dataclass(frozen=True)
class Interval:
    """A figure and the ends of its confidence interval."""

    value: float
    low: float
    high: float

    def percent(self, digits: int = 1) -> str:
        """A share for a person, as in `96.6 % [94.0, 98.1]`."""
        value, low, high = (f"{100 * number:.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{value} % [{low}, {high}]"


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The share successes / n with its score interval (Wilson 1927, JASA 22:209).

    It treats the n trials as independent. Unlike the normal approximation it stays inside [0, 1] and
    has a width when all or none succeed. Raises AllkitError when n is 0 or successes is not in 0..n.
    """
    if n < 1:
        raise AllkitError("a share of no images is undefined: give at least one")
    if not 0 <= successes <= n:
        raise AllkitError(f"{successes} successes of {n} is not a share")
    z = NormalDist().inv_cdf((1 + share("confidence", confidence)) / 2)
    p = successes / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    scale = 1 + z * z / n
    # The ends are exact where rounding would leave 1e-17.
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return Interval(p, low, high)


def cluster_bootstrap(
    statistic: Callable[[np.ndarray], ArrayLike],
    groups: ArrayLike,
    *,
    samples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of a statistic when rows of one group resemble each other.

    groups (n,): the group of each row, any sortable values. A resample draws as many whole groups as
    there are, with replacement, and keeps all their rows (Davison and Hinkley 1997, Bootstrap Methods
    and their Application, section 3.8; percentile interval: Efron and Tibshirani 1993, chapter 13).
    statistic: takes row numbers, int64, with repeats; returns a float or an array of floats, NaN for
    what the rows leave undefined (a class that was not drawn). Returns (low, high), each of the shape
    of the statistic.

    Undefined resamples are left out. Where more than half are undefined the ends are NaN, since the
    rest no longer stands for the sample. Raises AllkitError for fewer than two groups: one group shows
    nothing of the variation between groups.
    """
    groups = np.asarray(groups)
    if groups.ndim != 1:
        raise AllkitError(f"groups must be (n,), one value a row, not {groups.shape}")
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
    tail = (1 - share("confidence", confidence)) / 2
    low, high = np.nanquantile(np.where(enough, values, 0.0), [tail, 1 - tail], axis=0)
    return np.where(enough, low, np.nan)[()], np.where(enough, high, np.nan)[()]
