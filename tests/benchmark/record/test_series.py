import numpy as np
import pytest

from allkit.benchmark.record.series import percentile, trouble


def test_a_percentile_is_the_value_of_a_query():
    rounds = [list(range(1, 51)), list(range(51, 101))]
    assert [percentile(rounds, percent) for percent in (50, 90)] == [50, 90]


@pytest.mark.parametrize(("percent", "fewest"), [(50, 1), (90, 64), (99, 662)])
def test_too_few_queries_have_no_percentile(percent, fewest):
    assert percentile([[1.0] * (fewest - 1)], percent) is None
    assert percentile([[1.0] * fewest], percent) == 1.0
    assert percentile([], percent) is None


def test_no_outlier_is_left_out():
    assert percentile([[1.0] * 661, [1e6]], 99) == 1.0
    assert percentile([[1.0] * 654, [1e6] * 8], 99) == 1e6


def test_rounds_alike_are_no_trouble():
    assert trouble([[1.0, 9.0, 1.0], [1.05], [0.95], [1.0]]) is None
    assert trouble([[1.0]]) is None
    assert trouble([]) is None


def test_a_drift_is_named_with_its_direction():
    assert trouble([[1.0], [1.0], [1.2], [1.2]]) == "drift +20%"
    assert trouble([[1.0], [1.0], [0.5], [0.8], [0.8]]) == "drift -20%"


def test_a_spread_without_drift_is_named():
    assert trouble([[1.0], [1.5], [1.25], [1.5], [1.0]]) == "spread 40%"


def test_the_order_of_queries_does_not_matter():
    rng = np.random.default_rng(0)
    values = rng.exponential(size=1000)
    assert percentile([values], 99) == percentile(np.split(rng.permutation(values), 10), 99)
