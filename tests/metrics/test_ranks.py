import numpy as np
import pytest
import scipy.stats

from allkit.errors import AllkitError
from allkit.metrics import holm, mann_whitney_exact, paired_ratio, unpaired_ratio


def test_the_p_value_is_the_share_of_orders_as_far_apart():
    # 3 and 7 values that do not overlap: 2 of C(10, 3) = 120 orders.
    assert mann_whitney_exact([1, 2, 3], range(4, 11)) == pytest.approx(2 / 120)
    assert mann_whitney_exact(range(4, 11), [1, 2, 3]) == pytest.approx(2 / 120)
    # One pair of 3 x 3 the other way round: U is 1, of which there are 1 + 1 of C(6, 3) = 20.
    assert mann_whitney_exact([1, 2, 4], [3, 5, 6]) == pytest.approx(2 * 2 / 20)


def test_ties_are_no_evidence():
    assert mann_whitney_exact([1, 1, 1], [1, 1, 1]) == 1
    # U is 1.5: as if it were 2, whose p is 2 (1 + 1 + 2) / C(6, 3).
    assert mann_whitney_exact([1, 2, 3], [3, 3, 3]) == pytest.approx(2 * 4 / 20)


def test_the_interval_holds_the_factors_that_the_test_does_not_reject():
    rng = np.random.default_rng(3)
    a, b = rng.lognormal(size=7), rng.lognormal(0.4, size=6)
    found = unpaired_ratio(b, a)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(np.exp(np.median(np.log(np.divide.outer(b, a)))))
    for factor, rejected in (
        (found.low * 0.999, True),
        (found.low * 1.001, False),
        (found.high * 0.999, False),
        (found.high * 1.001, True),
    ):
        assert (mann_whitney_exact(a * factor, b) < 0.05) is rejected


def test_of_too_few_values_there_is_no_interval():
    # The rarest order of 3 and 3 values has p = 2 / C(6, 3) = 0.1, of 4 and 4 values 2 / C(8, 4) = 0.03.
    assert unpaired_ratio([4, 5, 6], [1, 2, 3]) is None
    assert unpaired_ratio([40, 50, 60, 80], [1, 2, 4, 5]).low == pytest.approx(8)


def test_the_paired_interval_holds_the_factors_that_the_signed_rank_test_does_not_reject():
    rng = np.random.default_rng(5)
    a = rng.lognormal(size=9)
    b = a * 1.5 * rng.lognormal(sigma=0.2, size=9)
    found = paired_ratio(b, a)
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
    assert paired_ratio([2, 3, 4, 5, 6], [1] * 5) is None
    found = paired_ratio([2, 3, 4, 5, 6, 7], [1] * 6)
    assert (found.low, found.high) == pytest.approx((2, 7))
    with pytest.raises(AllkitError, match="same rounds"):
        paired_ratio([1, 2], [1, 2, 3])


def test_an_empty_sample_is_refused():
    with pytest.raises(AllkitError, match="empty sample"):
        mann_whitney_exact([], [1.0])


def test_holm_on_a_worked_example():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.04, made monotone.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
