"""Query times: percentiles, and whether the rounds are stable.

No sample is ever left out: the slowest query is part of what a user experiences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The fewest queries for which MLPerf Inference takes a 90th (single stream) and a 99th (multi stream) percentile: its
# rules, section on early stopping. Reported is the plain percentile, not MLPerf's pessimistic estimate.
LEAST_QUERIES = {50: 1, 90: 64, 99: 662}

# Larger differences between rounds are called unstable; an idle machine stays within a few per cent.
_SPREAD, _DRIFT = 0.20, 0.10

Rounds = Sequence[Sequence[float]]


def percentile(rounds: Rounds, percent: int) -> float | None:
    """Percentile over the queries of all rounds, one of the measured values; None if there are too few."""
    samples = np.concatenate([np.asarray(times, float) for times in rounds]) if len(rounds) else np.empty(0)
    if len(samples) < LEAST_QUERIES[percent]:
        return None
    return float(np.percentile(samples, percent, method="inverted_cdf"))


def medians(rounds: Rounds) -> np.ndarray:
    """The median of each round, float64 (rounds,)."""
    return np.array([np.median(times) for times in rounds])


def trouble(rounds: Rounds) -> str | None:
    """What makes a measurement unstable; None if it is stable.

    Spread: the range of the rounds' medians, relative to their median. Drift: the second half of the rounds against the
    first.
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
