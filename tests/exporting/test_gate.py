import numpy as np
import pytest

from allkit.exporting.gate import check

LABELS = np.arange(200) % 2
SURE = np.eye(2)[LABELS] * 0.8 + 0.1


def wrong(count):
    """`SURE` with the first `count` rows turned round."""
    turned = SURE.copy()
    turned[:count] = turned[:count, ::-1]
    return turned


def test_the_same_probabilities_lose_nothing():
    gate = check(SURE, SURE, LABELS, 0.0)
    assert (gate.n, gate.accuracy, gate.drop, gate.agreement, gate.kl_divergence) == (200, 1.0, 0.0, 1.0, 0.0)
    assert gate.passed


def test_the_allowed_drop_passes_and_one_image_more_does_not():
    assert check(SURE, wrong(2), LABELS, 0.01).passed
    gate = check(SURE, wrong(3), LABELS, 0.01)
    assert gate.drop == pytest.approx(0.015)
    assert not gate.passed


def test_a_variant_that_is_better_has_a_negative_drop():
    gate = check(wrong(4), SURE, LABELS, 0.0)
    assert gate.drop == pytest.approx(-0.02)
    assert gate.passed


def test_the_divergence_is_that_of_scipy():
    entropy = pytest.importorskip("scipy.stats").entropy
    rng = np.random.default_rng(0)
    a, b = rng.dirichlet([1, 1, 1], 50), rng.dirichlet([1, 1, 1], 50)
    gate = check(a, b, np.zeros(50, int), 1.0)
    assert gate.kl_divergence == pytest.approx(np.mean([entropy(p, q) for p, q in zip(a, b, strict=True)]))
    assert gate.max_probability_difference == pytest.approx(np.abs(a - b).max())
    assert gate.agreement == np.mean(a.argmax(1) == b.argmax(1))


def test_not_a_number_does_not_pass():
    broken = SURE.copy()
    broken[5] = np.nan
    assert not check(SURE, broken, LABELS, 1.0).passed
