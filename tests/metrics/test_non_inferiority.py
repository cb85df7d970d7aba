"""Non-inferiority against published intervals, enumeration, and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import multinomial, norm

from allkit.errors import AllkitError
from allkit.metrics import non_inferiority
from allkit.metrics.non_inferiority import exact_p, images_needed, score_statistic


def right(lost, won, n):
    """Images on which only the reference, then only the candidate, then both are right."""
    reference, candidate = np.ones(n, bool), np.ones(n, bool)
    candidate[:lost] = False
    reference[lost : lost + won] = False
    return reference, candidate


@pytest.mark.parametrize(("margin", "end"), [(0.517, -1), (0.026, 1)])
def test_the_statistic_gives_the_published_score_interval(margin, end):
    # Bentur et al. 2009, 21 children, 7 and 1 discordant: Tango's interval is 0.026 to 0.517 (Fagerland, Lydersen and
    # Laake 2014, Statistics in Medicine 33:2850).
    limits = [float(score_statistic(7, 1, 21, margin + step)) for step in (-0.0005, 0.0005)]
    assert max(limits) > end * 1.959964 > min(limits)


@pytest.mark.parametrize(("lost", "won", "n", "margin"), [(7, 1, 21, 0.1), (0, 3, 50, 0.05), (5, 5, 40, 0.02)])
def test_the_statistic_standardises_by_the_likeliest_shares_of_that_loss(lost, won, n, margin):
    def unlikely(share_won):
        shares = (margin + share_won, share_won, 1 - margin - 2 * share_won)
        return -sum(k * math.log(p) for k, p in zip((lost, won, n - lost - won), shares, strict=True) if k)

    likeliest = minimize_scalar(unlikely, bounds=(1e-12, (1 - margin) / 2 - 1e-12), method="bounded").x
    expected = (lost - won - n * margin) / math.sqrt(n * (2 * likeliest + margin - margin**2))
    assert float(score_statistic(lost, won, n, margin)) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("n", [12, 100, 277])
def test_without_any_disagreement_p_is_the_chance_to_lose_nothing(n):
    # Were the loss one point, all of it on images that the candidate never wins, each image is spared with 0.99.
    assert exact_p(0, 0, n, 0.01) == pytest.approx(0.99**n)


def test_the_exact_p_value_is_the_worst_of_all_tables_that_are_as_small():
    n, margin = 9, 0.2
    tables = [(b, c) for b, c in itertools.product(range(n + 1), repeat=2) if b + c <= n]
    for lost, won in ((0, 0), (1, 0), (1, 2), (3, 3)):
        found = score_statistic(lost, won, n, margin)
        smaller = [(b, c, n - b - c) for b, c in tables if score_statistic(b, c, n, margin) <= found + 1e-9]
        worst = max(
            sum(multinomial.pmf(table, n, (share + margin, share, 1 - margin - 2 * share)) for table in smaller)
            for share in np.linspace(0, 0.4, 81)
        )
        assert exact_p(lost, won, n, margin) == pytest.approx(worst, abs=2e-3)


def test_for_many_images_the_exact_p_value_is_that_of_the_normal_distribution():
    assert exact_p(40, 30, 2770, 0.01) == pytest.approx(norm.cdf(score_statistic(40, 30, 2770, 0.01)), rel=0.03)


@pytest.mark.parametrize("share_won", [0.0, 0.005, 0.05])
def test_a_loss_of_the_margin_is_hardly_ever_called_less(share_won):
    n, margin = 300, 0.02
    rng = np.random.default_rng(11)
    tables = rng.multinomial(n, (share_won + margin, share_won, 1 - margin - 2 * share_won), 300)
    verdicts = {(b, c): exact_p(b, c, n, margin) < 0.05 for b, c in {(int(b), int(c)) for b, c, _ in tables}}
    shown = np.mean([verdicts[int(b), int(c)] for b, c, _ in tables])
    assert shown <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_two_equal_models_need_299_images_for_one_point():
    # The rule of three: 0.99^298 is above 0.05, 0.99^299 below.
    reference, candidate = right(0, 0, 298)
    found = non_inferiority(reference, candidate, 0.01)
    assert (found.shown, found.loss, found.needed) == (False, 0.0, 299)
    assert non_inferiority(*right(0, 0, 299), 0.01).shown


def test_seven_right_of_twelve_are_not_as_good_as_twelve_and_no_number_of_images_would_do():
    found = non_inferiority(*right(5, 0, 12), 0.01)
    assert (found.shown, found.loss, found.needed) == (False, pytest.approx(5 / 12), None)


@pytest.mark.parametrize(("lost", "won"), [(0.02, 0.02), (0.0036, 0.0), (0.01, 0.006)])
def test_a_number_of_images_that_would_do_does_it_four_times_of_five(lost, won):
    margin = 0.01
    n = images_needed(lost, won, margin)
    rng = np.random.default_rng(2)
    tables = rng.multinomial(n, (lost, won, 1 - lost - won), 400)[:, :2].tolist()
    # Exact where images are few; where there are many its p value is that of the normal distribution.
    p_value = exact_p if n < 2000 else lambda *table: norm.cdf(score_statistic(*table))
    verdicts = {table: p_value(*table, n, margin) < 0.05 for table in set(map(tuple, tables))}
    assert np.mean([verdicts[tuple(table)] for table in tables]) == pytest.approx(0.8, abs=0.06)


def test_the_number_of_images_by_hand():
    # None won: if the loss is 0.01 its variance is 0.01 * 0.99, if it is 0.004 it is 0.004 * 0.996.
    expected = (1.644854 * math.sqrt(0.0099) + 0.841621 * math.sqrt(0.003984)) ** 2 / 0.006**2
    assert images_needed(0.004, 0.0, 0.01) == math.ceil(expected)
    assert images_needed(0.004, 0.0, 0.01, 10.0) == math.ceil(10 * expected)
    # As many groups of 50 as images that never disagree: log 0.05 / log 0.99 is 298.07.
    assert images_needed(0.004, 0.0, 0.01, 10.0, 50.0) == math.ceil(50 * math.log(0.05) / math.log(0.99))
    assert images_needed(0.011, 0.001, 0.01) is None
    # One that won more is planned for as if it were level.
    assert images_needed(0.004, 0.02, 0.01) == images_needed(0.004, 0.004, 0.01)


def test_groups_count_as_the_images_that_they_are_worth():
    # Images in tens that always agree: the same as one image of ten.
    lost, won, n = 4, 3, 400
    alone = non_inferiority(*right(lost, won, n), 0.02)
    reference, candidate = (np.repeat(one, 10) for one in right(lost, won, n))
    together = non_inferiority(reference, candidate, 0.02, np.repeat(np.arange(n), 10))
    assert together.loss == alone.loss
    assert together.p_value == pytest.approx(alone.p_value, rel=0.2)
    assert together.needed == pytest.approx(10 * alone.needed, rel=0.02)
    assert non_inferiority(reference, candidate, 0.02).p_value < together.p_value / 100


def test_a_candidate_that_loses_an_image_is_never_shown_sooner_than_one_that_loses_none():
    # 82 groups of 34: none lost, one lost, two lost in two groups, and so on; 82 groups never show one point.
    groups = np.repeat(np.arange(82), 34)
    p_values = []
    for lost in range(6):
        candidate = np.ones(len(groups), bool)
        candidate[34 * np.arange(lost)] = False
        p_values.append(non_inferiority(np.ones(len(groups), bool), candidate, 0.01, groups).p_value)
    assert p_values[0] == pytest.approx(0.99**82)
    assert min(p_values) == p_values[0]


def test_groups_without_any_disagreement_count_as_one_image_each():
    everything = np.ones(600, bool)
    # Ten times log 0.05 / log 0.99 = 298.07.
    assert non_inferiority(everything, everything, 0.01).shown
    found = non_inferiority(everything, everything, 0.01, np.repeat(np.arange(60), 10))
    assert found.p_value == pytest.approx(0.99**60)
    assert found.needed == 2981


@pytest.mark.parametrize(("a", "b", "margin"), [([True], [True, False], 0.01), ([], [], 0.01), ([True], [True], 0.0)])
def test_other_images_none_and_no_margin_are_refused(a, b, margin):
    with pytest.raises(AllkitError):
        non_inferiority(a, b, margin)
