"""Split conformal prediction against its own theorem: exact on small cases, simulated on many."""

import numpy as np
import pytest

from allkit.errors import AllkitError
from allkit.metrics import conformal_threshold


def two_classes(truth):
    """Probabilities (n, 2) that give the truth, class 0, the stated values."""
    truth = np.asarray(truth, np.float64)
    return np.stack([truth, 1 - truth], 1), np.zeros(len(truth), int)


def prediction_sets(probabilities, threshold):
    """Which classes belong to the set, as the threshold is meant to be used."""
    return np.asarray(probabilities) >= threshold


def test_threshold_is_the_quantile_of_the_gentle_introduction():
    # n = 9, coverage 0.8: the ceil(10 * 0.8) = 8th smallest score 1 - p, that is the 2nd smallest p.
    assert conformal_threshold(*two_classes([0.9, 0.1, 0.5, 0.8, 0.3, 0.7, 0.2, 0.6, 0.4]), coverage=0.8) == 0.2


@pytest.mark.parametrize(("n", "coverage"), [(9, 0.9), (19, 0.95), (7, 0.6), (30, 0.8)])
def test_over_all_choices_of_the_new_image_the_share_covered_is_exactly_that_of_the_theorem(n, coverage):
    # Of n + 1 exchangeable images each is the new one in turn: ceil((n + 1) coverage) of them are covered.
    probabilities, labels = two_classes(np.random.default_rng(n).permutation(n + 1) / (n + 1))
    covered = 0
    for new in range(n + 1):
        others = np.arange(n + 1) != new
        threshold = conformal_threshold(probabilities[others], labels[others], coverage)
        covered += int(prediction_sets(probabilities, threshold)[new, 0])
    assert covered == int(np.ceil(round((n + 1) * coverage, 9)))


def test_mean_coverage_of_many_random_calibrations_is_what_was_asked():
    # Given 99 calibration images coverage is Beta(95, 5): mean 0.95, deviation 0.022, that of 400 means 0.001;
    # the 4000 new images add 0.003.
    rng = np.random.default_rng(0)
    scores = rng.dirichlet([4.0, 1.0, 1.0], size=(400, 99))
    new = rng.dirichlet([4.0, 1.0, 1.0], size=4000)
    labels = np.zeros(99, int)
    shares = [prediction_sets(new, conformal_threshold(rows, labels))[:, 0].mean() for rows in scores]
    assert np.mean(shares) == pytest.approx(0.95, abs=0.01)


def test_too_few_calibration_images_leave_every_class_in_the_set():
    # ceil((n + 1) 0.95) exceeds n until n = 19.
    few, enough = two_classes(np.full(18, 0.99)), two_classes(np.full(19, 0.99))
    assert conformal_threshold(*few) == 0.0
    assert conformal_threshold(*enough) == 0.99
    assert prediction_sets([[1.0, 0.0]], 0.0).all()


def test_a_decimal_coverage_asks_for_no_rank_more_than_its_decimal_value():
    # 100 * 0.07 is 7.000000000000001 in binary; the theorem asks for rank 7 of 99.
    truth = np.arange(1, 100) / 100
    assert conformal_threshold(*two_classes(truth), coverage=0.07) == truth[-7]


def test_the_calibration_image_at_the_threshold_is_in_its_own_set_in_float32():
    truth = np.random.default_rng(2).random(50).astype(np.float32)
    probabilities = np.stack([truth, 1 - truth], 1)
    threshold = conformal_threshold(probabilities, np.zeros(50, int), 0.9)
    # ceil(51 * 0.9) = 46 of the 50 reach it.
    assert prediction_sets(probabilities, threshold)[:, 0].sum() == 46


@pytest.mark.parametrize("coverage", [0, 1, 95])
def test_a_coverage_that_is_not_between_0_and_1_is_refused(coverage):
    with pytest.raises(AllkitError, match="coverage"):
        conformal_threshold(*two_classes([0.5]), coverage)
