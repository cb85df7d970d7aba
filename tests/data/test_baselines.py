from pathlib import Path

import numpy as np
import pytest

from allkit.data import baselines
from allkit.data.baselines import (
    background_colours,
    colour_histograms,
    grey_histograms,
    majority_labels,
    nearest_labels,
    patch_features,
)
from allkit.data.index import Dataset, Images
from allkit.errors import AllkitError


def plain(*colours, size=32) -> np.ndarray:
    return np.stack([np.full((size, size, 3), colour, np.uint8) for colour in colours])


def test_colour_histogram_counts_each_pixel_in_its_bin_of_red_green_and_blue():
    image = plain((255, 0, 40))
    image[0, 0, 0] = (31, 32, 64)
    histogram = colour_histograms(image)[0].reshape(8, 8, 8)
    assert histogram[7, 0, 1] == 32 * 32 - 1
    assert histogram[0, 1, 2] == 1
    assert histogram.sum() == 32 * 32


def test_colour_histogram_does_not_see_where_a_pixel_is():
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)
    shuffled = np.random.default_rng(1).permutation(image.reshape(-1, 3)).reshape(image.shape)
    assert (colour_histograms(image) == colour_histograms(shuffled)).all()
    assert (grey_histograms(image) == grey_histograms(shuffled)).all()


def test_grey_histogram_weighs_red_green_and_blue_as_bt_601_does():
    histogram = grey_histograms(plain((100, 0, 0), (0, 100, 0), (0, 0, 100), (7, 7, 7)))
    assert histogram.argmax(axis=1).tolist() == [30, 59, 11, 7]
    assert histogram.max(axis=1).tolist() == [1024] * 4


def test_background_is_the_mean_colour_of_the_brightest_twentieth():
    image = plain((10, 20, 30), size=20)
    image[0, :10, :] = 0
    image[0, 0, :] = (200, 210, 190)  # one of twenty rows
    assert background_colours(image)[0].tolist() == [200, 210, 190]


def test_label_is_that_of_the_nearest_training_row_by_city_block_distance():
    # City-block distances from row 0: 5 to row 1, 6 to row 2. Euclidean ones: 5 and 4.2.
    features = np.array([[0, 0], [5, 0], [3, 3], [0, 0]], np.float32)
    labels = np.array([9, 1, 2, 3])
    assert nearest_labels(features, labels, np.array([2, 1]), np.array([0])).tolist() == [1]


def test_rows_outside_the_training_part_are_not_looked_at():
    features = np.array([[0], [0], [8]], np.float32)
    assert nearest_labels(features, np.array([5, 6, 7]), np.array([2]), np.array([0])).tolist() == [7]


def test_of_rows_equally_near_the_first_counts():
    assert nearest_labels(np.zeros((4, 2), np.float32), np.arange(4), np.array([2, 1]), np.array([0, 3])).tolist() == [
        2,
        2,
    ]


def test_nearest_labels_agree_with_scikit_learn():
    neighbors = pytest.importorskip("sklearn.neighbors")
    rng = np.random.default_rng(2)
    features = rng.integers(0, 1000, (120, 30)).astype(np.float32)
    labels = rng.integers(0, 4, 120)
    train, test = np.arange(100), np.arange(100, 120)
    reference = neighbors.KNeighborsClassifier(1, metric="manhattan").fit(features[train], labels[train])
    assert (nearest_labels(features, labels, train, test) == reference.predict(features[test])).all()


@pytest.mark.parametrize(("train", "test"), [([], [0]), ([0], [])])
def test_a_split_without_training_or_test_images_is_refused(train, test):
    with pytest.raises(AllkitError, match="leaves a part empty"):
        nearest_labels(np.zeros((1, 2), np.float32), np.array([0]), np.array(train, int), np.array(test, int))


def test_accuracy_comes_with_the_wilson_interval_of_its_counts_or_of_its_groups():
    features = np.array([[0], [10], [1], [9], [2], [3]], np.float32)
    dataset = Dataset(Path(), ("a", "b"), tuple("012345"), np.array([0, 1, 0, 1, 0, 1]))
    images = Images(dataset, ("",) * 6, np.empty((6, 256), bool), features, np.empty((6, 0)), np.empty((6, 0)))
    share = images.baseline("01", "2345")
    # 3 of 4 right; the interval by the formula of Wilson (1927) with z = 1.959964.
    assert share.value == 0.75
    assert (share.low, share.high) == pytest.approx((0.300642, 0.954413), abs=1e-6)
    # Only the last is wrong, and stands with the one before it.
    assert images.baseline_right("01", "2345").tolist() == [True, True, True, False]
    grouped = images.baseline("01", "2345", [0, 1, 2, 2])
    assert grouped.value == 0.75
    assert grouped.low < share.low
    assert grouped.high > share.high


def test_majority_is_that_of_the_training_part():
    labels = np.array([0, 1, 1, 0, 0, 0])
    assert majority_labels(labels, np.array([0, 1, 2]), np.array([3, 4, 5])).tolist() == [1, 1, 1]


def test_a_patch_ignores_brightness_and_contrast_and_tells_the_layout():
    rng = np.random.default_rng(4)
    image = rng.integers(60, 120, (224, 224, 1)).astype(np.uint8).repeat(3, axis=2)
    patches = patch_features(np.stack([image, image + 50, np.roll(image, 3, axis=1)]))["top_left"]
    assert patches[0] == pytest.approx(patches[1], abs=1e-4)
    assert np.abs(patches[0] - patches[2]).sum() > 1


@pytest.mark.parametrize(
    ("name", "y", "x"),
    [
        ("top_left", 0, 0),
        ("top_right", 0, 176),
        ("bottom_left", 176, 0),
        ("bottom_right", 176, 176),
        ("centre", 88, 88),
    ],
)
def test_each_patch_sees_its_own_48_pixels_and_no_others(name, y, x):
    rng = np.random.default_rng(6)
    one, other = rng.integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    other[y : y + 48, x : x + 48] = one[y : y + 48, x : x + 48]
    patches = patch_features(np.stack([one, other]))
    assert {key for key, rows in patches.items() if (rows[0] == rows[1]).all()} == {name}


def test_a_patch_without_contrast_is_all_zero():
    assert not patch_features(plain((9, 9, 9), size=224))[baselines.CENTRE].any()
