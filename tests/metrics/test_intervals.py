"""Wilson's interval against published examples, the cluster bootstrap against closed forms."""

import numpy as np
import pytest
import scipy.stats

from allkit.errors import AllkitError
from allkit.metrics import cluster_bootstrap, effective_size, proportion, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_intervals_of_newcombe_1998(successes, n, low, high):
    interval = wilson(successes, n)
    assert interval.value == successes / n
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("percent", "low", "high"),
    [(96.59, 94.0, 98.1), (96.31, 93.7, 97.9), (95.88, 93.3, 97.7), (95.11, 92.2, 97.0)],
)
def test_wilson_gives_the_intervals_of_the_papers_size_curve(percent, low, high):
    interval = wilson(round(percent * 3.25), 325)
    assert [100 * interval.low, 100 * interval.high] == pytest.approx([low, high], abs=0.1)


def test_wilson_ends_solve_the_score_equation():
    # The interval holds the shares p that a score test does not reject: |p - 0.3| = z sqrt(p (1 - p) / n).
    interval = wilson(30, 100, confidence=0.99)
    for p in (interval.low, interval.high):
        assert abs(p - 0.3) == pytest.approx(2.5758293035489004 * np.sqrt(p * (1 - p) / 100))


def test_wilson_of_all_is_the_mirror_of_none_and_touches_the_end_exactly():
    none, every = wilson(0, 20), wilson(20, 20)
    assert (none.low, every.high) == (0.0, 1.0)
    assert every.low == pytest.approx(1 - none.high)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_not_a_share(successes, n):
    with pytest.raises(AllkitError):
        wilson(successes, n)


@pytest.mark.parametrize("confidence", [0, 1, 95, float("nan")])
def test_wilson_refuses_a_confidence_that_is_not_between_0_and_1(confidence):
    with pytest.raises(AllkitError, match="confidence"):
        wilson(5, 10, confidence)


def test_a_share_of_single_images_has_the_interval_of_wilson():
    hits = np.arange(40) < 31
    assert proportion(hits) == proportion(hits, np.arange(40)) == wilson(31, 40)


def test_groups_that_are_all_right_or_all_wrong_are_worth_one_image_each():
    hits = np.repeat(np.arange(50) < 40, 10)
    groups = np.repeat(np.arange(50), 10)
    assert effective_size(hits, groups) == pytest.approx(50)
    found, alone = proportion(hits, groups), wilson(40, 50)
    assert (found.value, found.low, found.high) == pytest.approx((alone.value, alone.low, alone.high))


def test_the_effective_size_is_that_of_the_textbook_variance_of_a_ratio():
    # Twelve groups of unequal sizes, of which some are better than others.
    sizes = np.array([3, 5, 8, 4, 6, 9, 2, 7, 5, 6, 4, 8])
    right = np.array([3, 2, 8, 1, 5, 9, 0, 7, 3, 6, 2, 5])
    n, p = sizes.sum(), right.sum() / sizes.sum()
    hits = np.concatenate([np.arange(size) < hit for hit, size in zip(right, sizes, strict=True)])
    between = 12 / 11 * ((right - p * sizes) ** 2).sum() / n**2
    few = (scipy.stats.t.ppf(0.975, n - 1) / scipy.stats.t.ppf(0.975, 11)) ** 2
    # The variance of one value is estimated from n of them, as that of the groups from 12.
    expected = p * (1 - p) * n / (n - 1) / between * few
    assert 12 < expected < 30
    assert effective_size(hits, np.repeat(np.arange(12), sizes)) == pytest.approx(expected)


def test_groups_that_are_more_alike_than_chance_makes_them_do_not_make_the_images_more():
    hits, groups = np.tile([True, True, True, False], 30), np.repeat(np.arange(30), 4)
    few = (scipy.stats.t.ppf(0.975, 119) / scipy.stats.t.ppf(0.975, 29)) ** 2
    assert effective_size(hits, groups) == pytest.approx(120 * few)


def test_images_that_are_all_right_count_as_their_groups():
    # Kish: (4 + 4 + 2)^2 / (16 + 16 + 4).
    groups = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    assert effective_size(np.ones(10), groups) == pytest.approx(100 / 36)
    assert proportion(np.ones(30, bool), np.repeat(np.arange(6), 5)) == wilson(6, 6)
    assert proportion(np.ones(30, bool), np.zeros(30)) == wilson(1, 1)


@pytest.mark.parametrize(
    ("groups", "size", "share", "correlation", "least"),
    [(80, 35, 0.95, 0.2, 0.92), (20, 14, 0.9, 0.3, 0.89), (8, 35, 0.9, 0.1, 0.92), (10, 20, 0.95, 0.3, 0.86)],
)
def test_the_interval_covers_where_images_of_a_group_resemble_each_other(groups, size, share, correlation, least):
    rng = np.random.default_rng(groups)
    weight = 1 / correlation - 1
    covered = alone = 0
    for _ in range(400):
        of_group = rng.beta(share * weight, (1 - share) * weight, groups)
        hits = (rng.random((groups, size)) < of_group[:, None]).ravel()
        found, naive = proportion(hits, np.repeat(np.arange(groups), size)), wilson(int(hits.sum()), hits.size)
        covered += found.low <= share <= found.high
        alone += naive.low <= share <= naive.high
    assert alone / 400 < 0.75
    assert covered / 400 > least


def test_a_bootstrap_of_few_groups_is_as_wide_as_students_distribution_asks():
    # Six groups of one image. Plain percentiles cover about 85 % of such means.
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        values = rng.normal(size=6)
        low, high = cluster_bootstrap(lambda rows, values=values: values[rows].mean(), np.arange(6), samples=250)
        covered += low <= 0 <= high
    assert covered / 200 > 0.9


def test_bootstrap_interval_of_a_mean_has_the_width_of_the_variance_between_groups():
    # For groups of one size the resampled mean has variance var(group means) / number of groups.
    rng = np.random.default_rng(1)
    means = rng.normal(size=200)
    values = np.repeat(means, 5) + np.tile([-1.0, -0.5, 0.0, 0.5, 1.0], 200)
    low, high = cluster_bootstrap(lambda rows: values[rows].mean(), np.repeat(np.arange(200), 5), samples=4000)
    deviation = means.std() / np.sqrt(200)
    assert low == pytest.approx(means.mean() - 1.96 * deviation, abs=0.2 * deviation)
    assert high == pytest.approx(means.mean() + 1.96 * deviation, abs=0.2 * deviation)


def test_bootstrap_of_two_groups_meets_each_of_its_three_outcomes():
    # Two groups drawn twice: both times the first (1/4), one of each (1/2), both times the second (1/4).
    values = np.array([0.0, 10.0, 10.0, 10.0])
    seen = []
    cluster_bootstrap(lambda rows: seen.append(values[rows].mean()) or 0.0, ["a", "b", "b", "b"], samples=2000)
    outcomes, counts = np.unique(seen, return_counts=True)
    assert outcomes.tolist() == [0.0, 7.5, 10.0]
    assert counts / 2000 == pytest.approx([0.25, 0.5, 0.25], abs=0.05)


def test_bootstrap_keeps_every_row_of_a_drawn_group_together():
    groups = np.array(["b", "a", "c", "b", "a", "b"])
    members = {"a": [1, 4], "b": [0, 3, 5], "c": [2]}

    def check(rows):
        assert rows.dtype == np.int64
        counts = np.bincount(rows, minlength=6)
        assert all(len(set(counts[rows_of])) == 1 for rows_of in members.values())
        assert sum(counts[rows_of[0]] for rows_of in members.values()) == 3
        return 0.0

    assert cluster_bootstrap(check, groups, samples=50) == (0.0, 0.0)


def test_bootstrap_repeats_itself_with_the_same_seed_only():
    values = np.random.default_rng(0).normal(size=30)

    def interval(seed):
        return cluster_bootstrap(lambda rows: values[rows].mean(), np.arange(30), samples=100, seed=seed)

    assert interval(3) == interval(3) != interval(4)


def test_bootstrap_leaves_undefined_resamples_out():
    # NaN when the second group is missing (1/4 of resamples), else 0.5 or 1.
    values = np.array([0.0, 1.0])
    low, high = cluster_bootstrap(
        lambda rows: values[rows].mean() if 1 in rows else np.nan, [0, 1], samples=200, confidence=0.9
    )
    assert (low, high) == (0.5, 1.0)


def test_bootstrap_gives_nan_for_the_component_that_most_resamples_leave_undefined():
    # Only group 0 drawn twice defines the second component: 1/4 of resamples.
    low, high = cluster_bootstrap(lambda rows: [1.0, np.nan if 1 in rows else 0.0], [0, 1], samples=200)
    assert (low[0], high[0]) == (1.0, 1.0)
    assert np.isnan([low[1], high[1]]).all()


@pytest.mark.parametrize("groups", [[], [7, 7, 7], [[0, 1], [1, 0]]])
def test_bootstrap_refuses_groups_that_cannot_vary(groups):
    with pytest.raises(AllkitError, match="groups"):
        cluster_bootstrap(lambda rows: 0.0, groups)
