"""The exact McNemar test against published values and scipy."""

import pytest
from scipy.stats import binomtest

from allkit.errors import AllkitError
from allkit.stats import mcnemar_exact


def test_mcnemar_by_hand():
    # n = 11, min = 2: 2 (1 + 11 + 55) / 2^11; the worked example of the R package exact2x2 (0.06543).
    assert mcnemar_exact(2, 9) == pytest.approx(134 / 2048)


@pytest.mark.parametrize(("a", "b"), [(0, 1), (0, 5), (1, 6), (3, 17), (8, 9), (40, 60), (250, 333), (4900, 5100)])
def test_mcnemar_agrees_with_the_binomial_test_of_scipy_either_way_round(a, b):
    expected = binomtest(a, a + b, 0.5).pvalue
    assert mcnemar_exact(a, b) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_exact(b, a) == mcnemar_exact(a, b)


def test_mcnemar_of_a_tie_is_one():
    assert mcnemar_exact(0, 0) == mcnemar_exact(7, 7) == 1.0


def test_mcnemar_neither_overflows_nor_loses_a_large_count():
    assert mcnemar_exact(500_000, 502_000) == pytest.approx(binomtest(500_000, 1_002_000, 0.5).pvalue, rel=1e-6)
    assert mcnemar_exact(0, 100_000) == 0.0
    assert mcnemar_exact(0, 1000) == pytest.approx(2.0**-999)


def test_mcnemar_refuses_negative_counts():
    with pytest.raises(AllkitError, match="negative"):
        mcnemar_exact(-1, 3)
