"""Whether two classifiers differ in accuracy on the same images, and how small a difference the images can show."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from allkit.errors import AllkitError
from allkit.metrics.intervals import Interval, proportion

# A difference is called significant when its p value is below this.
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class PairedComparison:
    """Models A and B on the same n images.

    groups: the number of groups, None where every image counts as independent. difference: accuracy of A minus that
    of B. only_a_right, only_b_right: the discordant pairs. p_value: two-sided, from `sign_flip_exact`.
    """

    n: int
    groups: int | None
    accuracy_a: Interval
    accuracy_b: Interval
    difference: float
    only_a_right: int
    only_b_right: int
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """A record of plain types, ready for JSON."""
        return asdict(self)


def compare_accuracies(right_a: ArrayLike, right_b: ArrayLike, groups: ArrayLike | None = None) -> PairedComparison:
    """Compare two models by which images each classifies correctly, bool (n,) each.

    groups (n,): which images belong together; None treats every image as independent. Raises AllkitError when the
    shapes differ or there are no images.
    """
    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    if a.shape != b.shape or a.ndim != 1:
        raise AllkitError(f"a paired comparison needs the same images: {a.shape} and {b.shape}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return PairedComparison(
        n=len(a),
        groups=None if groups is None else len(np.unique(groups)),
        accuracy_a=proportion(a, groups),
        accuracy_b=proportion(b, groups),
        difference=(only_a - only_b) / len(a),
        only_a_right=only_a,
        only_b_right=only_b,
        p_value=sign_flip_exact(by_group(a, b, groups)),
    )


def sign_flip_exact(differences: ArrayLike) -> float:
    """Two-sided p value of the exact permutation test of paired differences in independent groups.

    differences: int (groups,), for each group the number of images only A classifies correctly minus the number only B
    does. Under the null hypothesis A and B can be swapped in any whole group, however similar its images, so each
    difference is as likely with the opposite sign (Fisher 1935, The Design of Experiments, chapter 3; by group: Good
    2005, Permutation, Parametric and Bootstrap Tests of Hypotheses, chapter 3). p is the share of all sign choices
    whose sum is at least as far from 0 as the observed one. With one image per group this is the exact McNemar test
    (McNemar 1947, Psychometrika 12:153).
    """
    differences = np.asarray(differences)
    if differences.ndim != 1 or not np.issubdtype(differences.dtype, np.integer):
        raise AllkitError("differences must be whole numbers of images, one per group")
    sizes = np.abs(differences)
    if not sizes.any():
        return 1.0
    if sizes.max() == 1:
        from scipy.stats import binomtest

        return float(binomtest(int((differences > 0).sum()), int(sizes.sum()), 0.5).pvalue)
    # The distribution of the sum of the positive sizes, built group by group; the signed sum is twice that minus the
    # sum of all sizes. SciPy's permutation_test would enumerate all 2^groups choices.
    whole = int(sizes.sum())
    chosen = np.zeros(whole + 1)
    chosen[0] = 1
    for size in sizes[sizes > 0]:
        moved = chosen.copy()
        moved[size:] += chosen[:-size]
        chosen = moved / 2
    sums = 2 * np.arange(whole + 1) - whole
    return min(1.0, float(chosen[np.abs(sums) >= abs(int(differences.sum()))].sum()))


def by_group(right_a: ArrayLike, right_b: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
    """The differences that `sign_flip_exact` takes, int64 (groups,), from bool (n,); (n,) when groups is None."""
    difference = np.asarray(right_a, np.int64) - np.asarray(right_b, np.int64)
    if groups is None:
        return difference
    if np.shape(groups) != difference.shape:
        raise AllkitError(f"groups must be one value per image: {np.shape(groups)} for {difference.shape}")
    inverse = np.unique(np.asarray(groups), return_inverse=True)[1]
    return np.bincount(inverse, difference).astype(np.int64)


def least_difference(n: int, groups: int | None = None, tests: int = 1) -> float | None:
    """The smallest difference of two accuracies on n images that could be significant; None if none could.

    In the best case all discordant images favour the same model and lie in different groups: k of them give
    p = 2^(1 - k) by `sign_flip_exact`. tests: size of the family that `holm` adjusts for, which multiplies p. groups:
    the number of groups, n when None.
    """
    least = next(k for k in range(1, 200) if 2.0 ** (1 - k) * tests < SIGNIFICANT)
    return least / n if least <= (n if groups is None else groups) else None
