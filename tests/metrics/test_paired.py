"""The exact McNemar test against published values and scipy."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test

from allkit.errors import AllkitError
from allkit.metrics import by_group, holm, least_difference, mcnemar_exact, sign_flip_exact


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


@pytest.mark.parametrize(("a", "b"), [(0, 0), (2, 9), (6, 0), (40, 60)])
def test_sign_flips_of_single_images_are_the_mcnemar_test(a, b):
    differences = np.array([1] * a + [-1] * b + [0] * 5)
    assert sign_flip_exact(differences) == pytest.approx(mcnemar_exact(a, b), rel=1e-12)


@pytest.mark.parametrize("differences", [[5, -2, 0, 3, 1], [7], [3, 3, -3, 2, -1, -1, 4], [2, -2]])
def test_sign_flips_are_counted_as_by_going_through_all_of_them(differences):
    sums = [sum(np.multiply(signs, differences)) for signs in itertools.product((1, -1), repeat=len(differences))]
    expected = np.mean(np.abs(sums) >= abs(sum(differences)))
    assert sign_flip_exact(np.array(differences)) == pytest.approx(expected)


def test_sign_flips_agree_with_the_paired_permutation_test_of_scipy():
    differences = np.array([4, -1, 3, 2, 0, 5, -2, 1, 1, 2])
    expected = permutation_test((differences,), np.sum, permutation_type="samples").pvalue
    assert sign_flip_exact(differences) == pytest.approx(expected)


def test_a_false_finding_is_as_rare_as_promised_where_the_images_of_a_group_agree():
    # 30 groups of 8 images; within a group the two classifiers differ all in one direction.
    rng = np.random.default_rng(7)
    groups = np.repeat(np.arange(30), 8)
    by_images = by_groups = 0
    for _ in range(400):
        leaning = np.repeat(rng.choice([-1, 0, 1], 30, p=[0.2, 0.6, 0.2]), 8)
        speaks = rng.random(240) < 0.5
        a, b = (leaning == 1) & speaks, (leaning == -1) & speaks
        by_images += sign_flip_exact(by_group(a, b)) < 0.05
        by_groups += sign_flip_exact(by_group(a, b, groups)) < 0.05
    assert by_images / 400 > 0.2
    # Three standard deviations of 400 draws above 5 %.
    assert by_groups / 400 < 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_differences_are_summed_by_group_whatever_their_names():
    a, b = np.array([1, 1, 0, 0, 1], bool), np.array([0, 0, 1, 0, 0], bool)
    assert by_group(a, b, ["x", "y", "y", "z", "x"]).tolist() == [2, 0, 0]
    with pytest.raises(AllkitError, match="one value per image"):
        by_group(a, b, ["x"])


@pytest.mark.parametrize(("tests", "images"), [(1, 6), (15, 10), (100, 12)])
def test_the_least_difference_is_real_and_one_image_less_is_not(tests, images):
    assert least_difference(277, tests=tests) == images / 277
    for count, real in ((images, True), (images - 1, False)):
        adjusted = holm([mcnemar_exact(count, 0), *[1.0] * (tests - 1)])
        assert (adjusted[0] < 0.05) is real


def test_of_few_groups_no_difference_could_have_been_shown():
    # All five lean one way: 2 of 32 choices of signs.
    assert sign_flip_exact(np.array([9, 9, 9, 9, 9])) == 2 / 32
    assert least_difference(500, groups=5) is None
    assert least_difference(500, groups=6) == 6 / 500
    assert least_difference(5) is None
