import numpy as np
import pytest

from allkit.errors import AllkitError
from allkit.export.verify import compare

EXPECTED = np.array([[0.7, 0.3], [0.2, 0.8]])


def test_equal_outputs_pass():
    check = compare(EXPECTED, EXPECTED.copy())
    assert (check.n, check.max_probability_difference, check.agreement, check.passed) == (2, 0.0, 1.0, True)


def test_the_largest_difference_decides():
    assert compare(EXPECTED, np.add(EXPECTED, [[0, 0.00009], [0, 0]])).passed
    check = compare(EXPECTED, np.add(EXPECTED, [[0, 0], [0, 0.00011]]))
    assert check.max_probability_difference == pytest.approx(0.00011)
    assert not check.passed


def test_another_top_class_fails_however_near_the_probabilities():
    check = compare(np.array([[0.50001, 0.49999]]), np.array([[0.49999, 0.50001]]))
    assert check.agreement == 0.0
    assert not check.passed


def test_not_a_number_fails():
    assert not compare(EXPECTED, np.array([[np.nan, 0.3], [0.2, 0.8]])).passed


def test_outputs_of_different_shapes_cannot_be_compared():
    with pytest.raises(AllkitError, match="shapes"):
        compare(EXPECTED, EXPECTED[:1])
