import numpy as np
import pytest
import scipy.stats

from allkit.errors import AllkitError
from allkit.metrics import holm, mann_whitney_exact, paired_ratio, ratio


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 7), (5, 5), (10, 8)])
def test_the_p_value_is_that_of_scipy(n, m):
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.5, 3.0):
        a, b = rng.normal(size=n), rng.normal(shift, size=m)
        expected = scipy.stats.mannwhitneyu(a, b, method="exact").pvalue
        assert mann_whitney_exact(a, b) == pytest.approx(expected)
        assert mann_whitney_exact(b, a) == pytest.approx(expected)


def test_ties_are_no_evidence():
    assert mann_whitney_exact([1, 1, 1], [1, 1, 1]) == 1
    # U is 1.5: as if it were 2, whose p is 2 (1 + 1 + 2) / C(6, 3).
    assert mann_whitney_exact([1, 2, 3], [3, 3, 3]) == pytest.approx(2 * 4 / 20)


def test_the_interval_holds_the_factors_that_the_test_does_not_reject():
    rng = np.random.default_rng(3)
    a, b = rng.lognormal(size=7), rng.lognormal(0.4, size=6)
    found = ratio(a, b)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(np.median(np.divide.outer(b, a)))
    for factor, rejected in (
        (found.low * 0.999, True),
        (found.low * 1.001, False),
        (found.high * 0.999, False),
        (found.high * 1.001, True),
    ):
        assert (mann_whitney_exact(a * factor, b) < 0.05) is rejected


def test_of_too_few_values_there_is_no_interval():
    # The rarest order of 3 and 3 values has p = 2 / C(6, 3) = 0.1, of 4 and 4 values 2 / C(8, 4) = 0.03.
    assert ratio([1, 2, 3], [4, 5, 6]) is None
    assert ratio([1, 2, 4, 5], [40, 50, 60, 80]).low == pytest.approx(8)


def test_the_paired_interval_holds_the_factors_that_the_signed_rank_test_does_not_reject():
    rng = np.random.default_rng(5)
    a = rng.lognormal(size=9)
    b = a * 1.5 * rng.lognormal(sigma=0.2, size=9)
    found = paired_ratio(a, b)
    steps = np.log(b / a)
    assert found.value == pytest.approx(
        np.exp(np.median([(x + y) / 2 for i, x in enumerate(steps) for y in steps[i:]]))
    )
    for factor, rejected in (
        (found.low * 0.999, True),
        (found.low * 1.001, False),
        (found.high * 0.999, False),
        (found.high * 1.001, True),
    ):
        p_value = scipy.stats.wilcoxon(steps - np.log(factor), method="exact").pvalue
        assert bool(p_value < 0.05) is rejected


def test_of_too_few_rounds_there_is_no_paired_interval():
    # All five lean one way: 2 of 32 choices of signs. Of six it is 2 of 64, and the interval is all there is.
    assert paired_ratio([1] * 5, [2, 3, 4, 5, 6]) is None
    found = paired_ratio([1] * 6, [2, 3, 4, 5, 6, 7])
    assert (found.low, found.high) == pytest.approx((2, 7))
    with pytest.raises(AllkitError, match="cannot be paired"):
        paired_ratio([1, 2], [1, 2, 3])


def test_an_empty_sample_is_refused():
    with pytest.raises(AllkitError, match="empty sample"):
        mann_whitney_exact([], [1.0])


def test_holm_on_a_worked_example():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.04, made monotone.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
