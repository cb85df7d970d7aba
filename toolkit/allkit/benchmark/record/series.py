"""Times of queries: percentiles where there are enough of them, and whether they are stable.

No sample is ever left out: the slowest query is part of what a user experiences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The fewest queries from which MLPerf Inference takes a 90th (single stream) and a 99th (multi stream) percentile:
# rules, section on early stopping. Reported is the plain percentile, not their pessimistic estimate.
LEAST_QUERIES = {50: 1, 90: 64, 99: 662}

# Rounds that differ by more are called unstable: a machine without other load stays within a few per cent.
_SPREAD, _DRIFT = 0.20, 0.10

Rounds = Sequence[Sequence[float]]


def percentile(rounds: Rounds, percent: int) -> float | None:
    """The percentile of all queries of all rounds, the value of one of them; None where there are too few."""
    samples = np.concatenate([np.asarray(times, float) for times in rounds]) if len(rounds) else np.empty(0)
    if len(samples) < LEAST_QUERIES[percent]:
        return None
    return float(np.percentile(samples, percent, method="inverted_cdf"))


def medians(rounds: Rounds) -> np.ndarray:
    """The median of each round, float64 (rounds,)."""
    return np.array([np.median(times) for times in rounds])


def trouble(rounds: Rounds) -> str | None:
    """What makes a measurement unstable, None when nothing does.

    Spread: the largest less the smallest median of a round, of their median. Drift: the second half of the rounds
    against the first.
    """
    values = medians(rounds)
    if len(values) < 2:
        return None
    half = len(values) // 2
    drift = float(np.median(values[-half:]) / np.median(values[:half]) - 1)
    spread = float(np.ptp(values) / np.median(values))
    if abs(drift) > _DRIFT:
        return f"drift {drift:+.0%}"
    return f"spread {spread:.0%}" if spread > _SPREAD else None
