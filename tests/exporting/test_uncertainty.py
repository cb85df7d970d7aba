import numpy as np
import pytest

from allkit.training.backend import prepare

prepare()

from allkit.exporting.uncertainty import Uncertainty, familiar_threshold, fit_familiarity  # noqa: E402

RNG = np.random.default_rng(0)


def test_the_distance_is_the_mahalanobis_distance():
    distance = pytest.importorskip("scipy.spatial.distance")
    mixing = np.eye(5) + 0.5 * np.eye(5, k=1)
    train = RNG.normal(size=(400, 5)) @ mixing + 3
    new = RNG.normal(size=(20, 5)) * 4
    familiarity = fit_familiarity(train)
    inverse = np.linalg.inv(np.cov(train, rowvar=False))
    expected = [distance.mahalanobis(x, train.mean(0), inverse) for x in new]
    # The ridge of a thousandth of the mean variance is all that differs.
    assert np.allclose(familiarity.distances(new), expected, rtol=0.02)


def test_the_threshold_leaves_one_validation_image_in_a_hundred_outside():
    distances = RNG.permutation(1000)
    assert (distances > familiar_threshold(distances)).sum() in (9, 10)


def test_features_that_never_fire_do_no_harm():
    train = np.column_stack([RNG.normal(size=200), np.zeros(200)])
    familiarity = fit_familiarity(train)
    assert np.isfinite(familiarity.distances(train)).all()
    assert familiarity.distances(np.array([[0.0, 1.0]]))[0] > familiarity.distances(train).max()
    silent = fit_familiarity(np.zeros((20, 2)))
    assert silent.distances(np.zeros((1, 2)))[0] == 0


def test_an_overconfident_network_is_softened_by_the_temperature():
    # Odds of 99 : 1 at temperature 2 are their square root.
    uncertainty = Uncertainty(2.0, fit_familiarity(RNG.normal(size=(40, 2))))
    assert np.allclose(uncertainty.calibrate([[0.99, 0.01]]), [[99**0.5 / (99**0.5 + 1), 1 / (99**0.5 + 1)]])
