"""Whether a classifier is as good as another, up to a margin, on the same images.

Finding no difference does not show that there is none: with twelve images hardly anything is significant. Here the
burden of proof is reversed: the loss is taken to be at least the margin until the images rule that out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from allkit.errors import AllkitError
from allkit.metrics.checks import share
from allkit.metrics.intervals import effective_size, groups_worth
from allkit.metrics.paired import SIGNIFICANT

# The power that `images_needed` plans for.
POWER = 0.8


@dataclass(frozen=True)
class NonInferiority:
    """A candidate against a reference on the same n images.

    loss: accuracy of the reference minus that of the candidate. p_value: one-sided, of a loss of `margin` or more.
    needed: about how many images would suffice if loss and disagreement stay the same, None if the observed loss is not
    below the margin.
    """

    n: int
    loss: float
    margin: float
    p_value: float
    needed: int | None

    @property
    def shown(self) -> bool:
        """Whether the candidate is shown to lose less than the margin."""
        return self.p_value < SIGNIFICANT


def non_inferiority(
    reference_right: ArrayLike, candidate_right: ArrayLike, margin: float, groups: ArrayLike | None = None
) -> NonInferiority:
    """Test whether the candidate loses less than `margin` (a share) of accuracy; right: bool (n,) each.

    groups (n,): which images belong together. They count as `effective_size` images, computed from the differences
    between the two classifiers and rounded against the candidate; Obuchowski (1998, Statistics in Medicine 17:1495) and
    Durkalski et al. (2003, Statistics in Medicine 22:2417) inflate the variance of a paired difference in the same way.
    A rare group that the candidate loses as a whole would not show in a variance, so p is never smaller than for
    `groups_worth` images without any disagreement.
    """
    reference, candidate = np.asarray(reference_right, bool), np.asarray(candidate_right, bool)
    if reference.shape != candidate.shape or reference.ndim != 1 or not reference.size:
        raise AllkitError(f"a paired comparison needs the same images: {reference.shape} and {candidate.shape}")
    share("margin", margin)
    difference = reference.astype(np.int64) - candidate
    n = len(difference)
    # One-sided at SIGNIFICANT is two-sided at twice that.
    size = n if groups is None else effective_size(difference, groups, 1 - 2 * SIGNIFICANT)
    worth = n if groups is None else groups_worth(groups)
    differing = int(np.abs(difference).sum())
    loss = int(difference.sum()) / n
    by_difference = exact_p(*_scaled(int(difference.sum()), differing, math.floor(size), n), margin)
    return NonInferiority(
        n=n,
        loss=loss,
        margin=margin,
        p_value=max(by_difference, (1 - margin) ** worth),
        needed=images_needed((differing / n + loss) / 2, (differing / n - loss) / 2, margin, n / size, n / worth),
    )


def _scaled(lost_more: int, differing: int, size: int, n: int) -> tuple[int, int, int]:
    """Images lost, won and in total, scaled from n to `size`; the loss and the disagreement are rounded up."""
    more, both = -(-lost_more * size // n), -(-differing * size // n)
    lost = min(size, (both + more + 1) // 2)
    return lost, min(size - lost, max(0, lost - more)), size


def score_statistic(lost: ArrayLike, won: ArrayLike, n: int, margin: float) -> np.ndarray:
    """Score statistic of a loss of exactly `margin`, float64, standard normal for large n.

    Tango 1998, Statistics in Medicine 17:891. lost, won: the number of n images on which only the reference, and only
    the candidate, is right; 0 is allowed. Negative values favour a smaller loss. 0 < margin < 1.
    """
    lost, won = np.asarray(lost, np.float64), np.asarray(won, np.float64)
    variance = 2 * _share_won(lost, won, n, margin) + margin * (1 - margin)
    return (lost - won - n * margin) / np.sqrt(n * variance)


def exact_p(lost: int, won: int, n: int, margin: float) -> float:
    """One-sided p value of a loss of `margin` or more, exact for every n.

    The probability of a `score_statistic` as small as the observed one, maximised over the unknown share of images won:
    the unconditional test of Hsueh, Liu and Chen 2001 (Biometrics 57:478). For 277 images without any disagreement and
    a margin of one point, the normal approximation gives p = 0.047, while 0.99^277 is 0.062.
    """
    from scipy.special import bdtr
    from scipy.stats import binom

    found = float(score_statistic(lost, won, n, margin)) + 1e-9
    # The statistic grows with `lost`: for each number of images won, find the largest number lost that is as small.
    wins = np.arange(n + 1)
    low, high = np.full(n + 1, -1), n - wins
    while (low < high).any():
        middle = -(-(low + high) // 2)
        within = score_statistic(middle, wins, n, margin) <= found
        low, high = np.where(within, middle, low), np.where(within, high, middle - 1)
    wins, most = wins[low >= 0], low[low >= 0]
    # A finer grid where the share is small, because the probability changes fastest there.
    worst = 0.0
    for won_share in (1 - margin) / 2 * np.linspace(0, 1, 65) ** 2:
        # Rounding would exceed 1 at the last share.
        at_most = bdtr(most, n - wins, min(1.0, (won_share + margin) / (1 - won_share)))
        worst = max(worst, float((binom.pmf(wins, n, won_share) * at_most).sum()))
    return min(1.0, worst)


def images_needed(
    lost: float, won: float, margin: float, design_effect: float = 1.0, group_size: float = 1.0
) -> int | None:
    """About how many images show a loss below the margin with 80 % power; None if the loss is not below it.

    lost, won: shares of images on which only the reference, and only the candidate, is right. With d = lost - won,
    n = (z_a s_0 + z_b s_1)^2 / (margin - d)^2, where s_0^2 is the variance of a difference if the loss equals the
    margin, as in `score_statistic`, and s_1^2 = lost + won - d^2 (Nam 1997, Biometrics 53:1422); one-sided at 5 %,
    times the design effect of the groups. There are never fewer groups than the log 0.05 / log(1 - margin) images that
    suffice without any disagreement. A candidate that won more than it lost is planned for as if it were level.
    """
    won = min(won, lost)
    loss = lost - won
    # Rounding must not make a loss of exactly the margin look smaller.
    if loss >= margin * (1 - 1e-9):
        return None
    if_margin = math.sqrt(2 * float(_share_won(lost, won, 1, margin)) + margin * (1 - margin))
    as_is = math.sqrt(lost + won - loss**2)
    quantiles = (NormalDist().inv_cdf(1 - SIGNIFICANT), NormalDist().inv_cdf(POWER))
    by_power = (quantiles[0] * if_margin + quantiles[1] * as_is) ** 2 / (margin - loss) ** 2
    at_least = math.log(SIGNIFICANT) / math.log1p(-margin)
    return math.ceil(max(by_power * design_effect, at_least * group_size))


def _share_won(lost: np.ndarray, won: np.ndarray, n: int, margin: float) -> np.ndarray:
    """Maximum-likelihood share of images won if the loss is the margin: the larger root of a quadratic."""
    b = -lost - won + (2 * n - lost + won) * margin
    c = -won * margin * (1 - margin)
    return (np.sqrt(b * b - 8 * n * c) - b) / (4 * n)
