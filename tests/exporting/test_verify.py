import numpy as np
import pytest

from allkit.errors import AllkitError
from allkit.exporting.verify import verify

EXPECTED = np.array([[0.7, 0.3], [0.2, 0.8]])
DISTANCES = np.array([2.0, 8.0])


def check(probabilities, distances=DISTANCES, expected=EXPECTED):
    return verify((expected, DISTANCES[: len(expected)]), (probabilities, distances[: len(expected)]))


def test_equal_outputs_pass():
    same = check(EXPECTED.copy())
    assert (same.n, same.max_probability_difference, same.agreement, same.passed) == (2, 0.0, 1.0, True)


def test_the_largest_difference_decides():
    assert check(np.add(EXPECTED, [[0, 0.00009], [0, 0]])).passed
    wrong = check(np.add(EXPECTED, [[0, 0], [0, 0.00011]]))
    assert wrong.max_probability_difference == pytest.approx(0.00011)
    assert not wrong.passed


def test_another_top_class_fails_however_near_the_probabilities():
    wrong = check(np.array([[0.49999, 0.50001]]), expected=np.array([[0.50001, 0.49999]]))
    assert wrong.agreement == 0.0
    assert not wrong.passed


def test_a_distance_that_differs_by_more_than_a_hundredth_fails():
    assert check(EXPECTED, DISTANCES * [1, 1.009]).passed
    wrong = check(EXPECTED, DISTANCES * [1, 1.011])
    assert wrong.max_distance_difference == pytest.approx(0.011)
    assert not wrong.passed


def test_a_graph_may_differ_by_what_the_network_itself_rounds():
    wrong = np.add(EXPECTED, 0.0004)
    rounding = check(EXPECTED, expected=np.add(EXPECTED, 0.0002))
    assert not verify((EXPECTED, DISTANCES), (wrong, DISTANCES)).passed
    allowed = verify((EXPECTED, DISTANCES), (wrong, DISTANCES), rounding)
    assert (allowed.passed, allowed.tolerance) == (True, pytest.approx(0.0008))


@pytest.mark.parametrize(("rounding", "allowed"), [(np.nan, 1e-4), (0.5, 1e-2)])
def test_rounding_without_bounds_excuses_little(rounding, allowed):
    rounding = check(EXPECTED, expected=np.add(EXPECTED, rounding))
    for beyond in (0.9, 1.1):
        found = verify((EXPECTED, DISTANCES), (np.add(EXPECTED, beyond * allowed), DISTANCES), rounding)
        assert found.passed == (beyond < 1)


def test_not_a_number_fails():
    assert not check(np.array([[np.nan, 0.3], [0.2, 0.8]])).passed
    assert not check(EXPECTED, np.array([2.0, np.nan])).passed


def test_outputs_of_different_shapes_cannot_be_compared():
    with pytest.raises(AllkitError, match="shapes"):
        verify((EXPECTED, DISTANCES), (EXPECTED[:1], DISTANCES[:1]))
