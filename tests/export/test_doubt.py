import numpy as np
import pytest

from allkit.training.backend import prepare

prepare()

from allkit.export.doubt import fit_doubt, fit_familiarity  # noqa: E402

RNG = np.random.default_rng(0)


def test_the_distance_is_the_mahalanobis_distance():
    distance = pytest.importorskip("scipy.spatial.distance")
    mixing = np.eye(5) + 0.5 * np.eye(5, k=1)
    train = RNG.normal(size=(400, 5)) @ mixing + 3
    new = RNG.normal(size=(20, 5)) * 4
    familiarity = fit_familiarity(train, train)
    inverse = np.linalg.inv(np.cov(train, rowvar=False))
    expected = [distance.mahalanobis(x, train.mean(0), inverse) for x in new]
    # The ridge of a thousandth of the mean variance is all that differs.
    assert np.allclose(familiarity.distances(new), expected, rtol=0.02)


def test_the_threshold_leaves_one_validation_image_in_a_hundred_outside():
    train, validation = RNG.normal(size=(500, 3)), RNG.normal(size=(1000, 3))
    familiarity = fit_familiarity(train, validation)
    assert (familiarity.distances(validation) > familiarity.threshold).sum() in (9, 10)


def test_features_that_never_fire_do_no_harm():
    train = np.column_stack([RNG.normal(size=200), np.zeros(200)])
    familiarity = fit_familiarity(train, train)
    assert np.isfinite(familiarity.distances(train)).all()
    assert familiarity.distances(np.array([[0.0, 1.0]]))[0] > familiarity.threshold
    silent = fit_familiarity(np.zeros((20, 2)), np.zeros((20, 2)))
    assert silent.distances(np.zeros((1, 2)))[0] == 0


def test_an_overconfident_network_is_softened_until_it_means_what_it_says():
    # Right three times in four, and always 99 % sure: calibrated, it is 75 % sure.
    probabilities = np.tile([0.99, 0.01], (400, 1))
    labels = np.repeat([0, 0, 0, 1], 100)
    features = RNG.normal(size=(400, 2))
    doubt = fit_doubt(probabilities, labels, features, features, coverage=0.9)
    assert np.allclose(doubt.calibrate(probabilities), [0.75, 0.25], atol=1e-3)
    record = doubt.calibration(probabilities, labels)
    assert record["ece_before"] == pytest.approx(0.24, abs=1e-6)
    assert record["ece_after"] == pytest.approx(0, abs=1e-3)
