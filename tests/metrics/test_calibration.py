"""Temperature scaling against closed forms and scipy, calibration error against bins counted by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as scipy_softmax

from allkit.errors import AllkitError
from allkit.metrics import expected_calibration_error, fit_temperature, log_probabilities, reliability, softmax


@pytest.fixture(scope="module")
def overconfident():
    """Logits (4000, 4) three times too large for the labels drawn from them."""
    rng = np.random.default_rng(5)
    logits = rng.normal(scale=1.5, size=(4000, 4))
    labels = np.array([rng.choice(4, p=row) for row in scipy_softmax(logits, axis=1)])
    return 3 * logits, labels


def one_confidence(classes: int, right: int, n: int, logit: float):
    """Every row says class 0 with the same logit; `right` of n truths are 0, the others class 1."""
    logits = np.zeros((n, classes))
    logits[:, 0] = logit
    return logits, np.where(np.arange(n) < right, 0, 1)


def test_softmax_agrees_with_scipy_and_does_not_overflow():
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, -1000.0]])
    assert softmax(logits) == pytest.approx(scipy_softmax(logits, axis=1))
    assert softmax(logits, 2.0) == pytest.approx(scipy_softmax(logits / 2, axis=1))


def test_the_logarithm_of_an_underflowed_probability_is_low_and_finite():
    # The smallest normal float32 is 2^-126.
    assert log_probabilities(np.array([[1.0, 0.0]], np.float32))[0] == pytest.approx([0, -126 * np.log(2)])


@pytest.mark.parametrize(("classes", "right", "logit"), [(2, 75, 4.0), (4, 60, 9.0), (4, 95, 1.0)])
def test_temperature_of_one_repeated_confidence_makes_it_the_accuracy(classes, right, logit):
    # e^(a/T) / (e^(a/T) + k - 1) = r gives T = a / ln(r (k - 1) / (1 - r)).
    share = right / 100
    expected = logit / np.log(share * (classes - 1) / (1 - share))
    logits, labels = one_confidence(classes, right, 100, logit)
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(expected)
    assert softmax(logits, temperature)[0, 0] == pytest.approx(share)


def test_temperature_is_the_minimum_that_scipy_finds(overconfident):
    logits, labels = overconfident

    def loss(temperature):
        return -log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels].mean()

    expected = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8}).x
    assert fit_temperature(logits, labels) == pytest.approx(expected, rel=1e-5)


def test_temperature_recovers_the_factor_by_which_logits_were_inflated(overconfident):
    assert fit_temperature(*overconfident) == pytest.approx(3, rel=0.1)


def test_temperature_is_the_same_from_logits_and_from_log_probabilities(overconfident):
    logits, labels = overconfident
    from_probabilities = fit_temperature(log_probabilities(softmax(logits)), labels)
    assert from_probabilities == pytest.approx(fit_temperature(logits, labels))


def test_temperature_scaling_lowers_the_calibration_error_and_keeps_every_class(overconfident):
    logits, labels = overconfident
    before, after = softmax(logits), softmax(logits, fit_temperature(logits, labels))
    assert expected_calibration_error(after, labels) < expected_calibration_error(before, labels) / 3
    assert np.array_equal(before.argmax(1), after.argmax(1))


@pytest.mark.parametrize("logit", [0.5, 30.0, 1e6])
def test_temperature_stays_1_when_every_image_is_right(logit):
    assert fit_temperature(*one_confidence(4, 50, 50, logit)) == 1.0


def test_temperature_stays_1_when_the_scores_say_nothing():
    assert fit_temperature(np.zeros((10, 3)), np.arange(10) % 3) == 1.0


def test_temperature_of_a_model_worse_than_chance_is_the_upper_bound():
    assert fit_temperature(*one_confidence(2, 10, 100, 5.0)) == 20.0


def test_temperature_refuses_the_logarithm_of_zero():
    with pytest.raises(AllkitError, match="row 1"):
        fit_temperature([[0.0, -1.0], [0.0, -np.inf]], [0, 0])


def test_calibration_error_by_hand():
    # Five bins. (0.6, 0.8]: confidences 0.7, 0.8, one of two right: |1/2 - 0.75|.
    # (0.8, 1]: 0.9, 0.9, 1.0, two of three right: |2/3 - 14/15|. ECE = (2 * 1/4 + 3 * 4/15) / 5 = 0.26.
    probabilities = np.array([[0.7, 0.3], [0.2, 0.8], [0.9, 0.1], [0.1, 0.9], [1.0, 0.0]])
    labels = np.array([0, 0, 0, 1, 1])
    assert expected_calibration_error(probabilities, labels, bins=5) == pytest.approx(0.26)
    diagram = reliability(probabilities, labels, bins=5)
    assert diagram.count.tolist() == [0, 0, 0, 2, 3]
    assert diagram.confidence[3:] == pytest.approx([0.75, 14 / 15])
    assert diagram.accuracy[3:] == pytest.approx([1 / 2, 2 / 3])


def test_one_bin_compares_the_mean_confidence_with_the_accuracy(overconfident):
    probabilities, labels = softmax(overconfident[0]), overconfident[1]
    gap = abs((probabilities.argmax(1) == labels).mean() - probabilities.max(1).mean())
    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx(gap)


def test_a_confidence_on_the_edge_of_two_bins_belongs_to_the_lower():
    edges = np.arange(8, 16) / 15
    probabilities = np.stack([edges, 1 - edges], 1)
    assert reliability(probabilities, np.zeros(8, int), bins=15).count.tolist() == [0] * 7 + [1] * 8


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [(np.empty((0, 2)), []), ([[0.5, 0.5]], [2]), ([[0.5, 0.5]], [-1]), ([[0.5, 0.5]], [0.0]), ([0.5, 0.5], [0, 1])],
)
def test_arrays_that_do_not_fit_each_other_are_refused(probabilities, labels):
    with pytest.raises(AllkitError):
        expected_calibration_error(probabilities, labels)


def test_no_bins_are_refused():
    with pytest.raises(AllkitError, match="bins"):
        reliability([[0.5, 0.5]], [0], bins=0)
