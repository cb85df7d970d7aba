"""Paired tests against published values, SciPy and enumeration."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test

from allkit.errors import AllkitError
from allkit.metrics import by_group, compare_accuracies, holm, least_difference, sign_flip_exact, wilson


def discordant(a, b, both=0):
    """Which images each of two models gets right: `a` A alone, `b` B alone, `both` both of them."""
    return np.repeat([True, False, True], [a, b, both]), np.repeat([False, True, True], [a, b, both])


def test_a_comparison_counts_the_images_that_one_model_alone_gets_right():
    a, b = discordant(7, 1, both=11)
    comparison = compare_accuracies([*a, False], [*b, False])
    assert (comparison.n, comparison.only_a_right, comparison.only_b_right) == (20, 7, 1)
    assert (comparison.accuracy_a, comparison.accuracy_b) == (wilson(18, 20), wilson(12, 20))
    assert comparison.difference == pytest.approx(0.3)
    assert comparison.p_value == pytest.approx(binomtest(1, 8, 0.5).pvalue)


def test_a_comparison_by_group_counts_a_block_of_images_once():
    a, b = discordant(20, 0, both=20)
    # Twenty independent images would be proof; in four groups, 2 of the 16 choices of signs are as one-sided.
    assert compare_accuracies(a, b).p_value == pytest.approx(2 / 2**20)
    comparison = compare_accuracies(a, b, np.repeat(range(8), 5))
    assert comparison.groups == 8
    assert comparison.p_value == pytest.approx(2 / 16)


def test_a_model_does_not_differ_from_itself():
    comparison = compare_accuracies([1, 0, 1], [1, 0, 1])
    assert (comparison.difference, comparison.p_value) == (0.0, 1.0)


@pytest.mark.parametrize(("a", "b"), [([1, 0], [1]), ([], [])])
def test_a_comparison_of_different_or_no_images_is_refused(a, b):
    with pytest.raises(AllkitError):
        compare_accuracies(a, b)


def test_single_images_give_the_mcnemar_test_by_hand():
    # n = 11, min = 2: 2 (1 + 11 + 55) / 2^11; the worked example of the R package exact2x2 (0.06543).
    assert compare_accuracies(*discordant(2, 9)).p_value == pytest.approx(134 / 2048)


@pytest.mark.parametrize(("a", "b"), [(0, 1), (6, 0), (8, 9), (250, 333), (4900, 5100), (500_000, 502_000)])
def test_single_images_give_the_binomial_test_either_way_round(a, b):
    expected = pytest.approx(binomtest(a, a + b, 0.5).pvalue, rel=1e-9)
    assert sign_flip_exact(by_group(*discordant(a, b, both=5))) == expected
    assert sign_flip_exact(by_group(*discordant(b, a, both=5))) == expected


def test_a_tie_of_single_images_is_no_evidence():
    assert compare_accuracies(*discordant(0, 0, both=3)).p_value == compare_accuracies(*discordant(7, 7)).p_value == 1.0


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
        adjusted = holm([sign_flip_exact(np.ones(count, int)), *[1.0] * (tests - 1)])
        assert (adjusted[0] < 0.05) is real


def test_of_few_groups_no_difference_could_have_been_shown():
    # All five lean one way: 2 of 32 choices of signs.
    assert sign_flip_exact(np.array([9, 9, 9, 9, 9])) == 2 / 32
    assert least_difference(500, groups=5) is None
    assert least_difference(500, groups=6) == 6 / 500
    assert least_difference(5) is None
