"""Whether two classifiers differ on the same images, and which differences so many images could show at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from allkit.errors import AllkitError

# The p value below which a difference is called significant.
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
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(low, n, 0.5)))


def sign_flip_exact(differences: ArrayLike) -> float:
    """Two-sided p value of the exact permutation test of paired differences that come in independent groups.

    differences int (groups,): on how many images of a group A alone is right, less those on which B alone is. If
    neither is better, A and B might change places in any whole group, whatever its images have in common: each
    difference is as likely with the other sign (Fisher 1935, The Design of Experiments, chapter 3; by group:
    Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses, chapter 3). p is the share of all choices of
    signs whose sum is at least as far from 0 as the sum found. With one image a group it is the exact McNemar test.
    """
    differences = np.asarray(differences)
    if differences.ndim != 1 or not np.issubdtype(differences.dtype, np.integer):
        raise AllkitError("differences must be whole numbers of images, one per group")
    sizes = np.abs(differences)
    if sizes.max(initial=0) <= 1:
        return mcnemar_exact(int((differences > 0).sum()), int((differences < 0).sum()))
    # Half of (sum of the signed sizes + sum of the sizes) is the sum of those with a plus: a sum of chosen sizes.
    whole = int(sizes.sum())
    chosen = np.zeros(whole + 1)
    chosen[0] = 1
    for size in sizes[sizes > 0]:
        moved = chosen.copy()
        moved[size:] += chosen[:-size]
        chosen = moved / 2
    sums = 2 * np.arange(whole + 1) - whole
    return min(1.0, float(chosen[np.abs(sums) >= abs(int(differences.sum()))].sum()))


def by_group(only_a_right: ArrayLike, only_b_right: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
    """The differences that `sign_flip_exact` takes, int64 (groups,), from bool (n,); without groups one an image."""
    difference = np.asarray(only_a_right, np.int64) - np.asarray(only_b_right, np.int64)
    if groups is None:
        return difference
    if np.shape(groups) != difference.shape:
        raise AllkitError(f"groups must be one value per image: {np.shape(groups)} for {difference.shape}")
    inverse = np.unique(np.asarray(groups), return_inverse=True)[1]
    return np.bincount(inverse, difference).astype(np.int64)


def least_difference(n: int, groups: int | None = None, tests: int = 1) -> float | None:
    """The smallest difference of two accuracies on n images that could have been called real; None where none could.

    At best every image on which the two differ speaks for the same one, and each lies in another group: k of them have
    p = 2^(1 - k) by `sign_flip_exact`. tests: of the family that `holm` adjusts for, so that p must be smaller by as
    much. groups: how many there are, one an image where not given.
    """
    least = next(k for k in range(1, 200) if 2.0 ** (1 - k) * tests < SIGNIFICANT)
    return least / n if least <= (n if groups is None else groups) else None
