import colorsys

import cv2
import numpy as np
import pytest

from allkit.imaging import shifts
from allkit.runs.recipe import SCRATCH
from allkit.training.augment import (
    augmented_batch,
    colour_matrix,
    recoloured,
    warped,
    with_colours_of,
)

STILL = SCRATCH.override(brightness=0.0, rotation_degrees=0.0, reflection=False, channel_gain=0.0)
IMAGE = np.random.default_rng(0).integers(0, 200, (24, 24, 3)).astype(np.uint8)


def augment(image, recipe, rng):
    return recoloured(warped(image, recipe, rng), recipe, rng)


def variants(recipe, count=40):
    return [augment(IMAGE, recipe, np.random.default_rng(i)) for i in range(count)]


def test_with_everything_off_the_image_stays_as_it_is():
    assert all(np.array_equal(variant, IMAGE) for variant in variants(STILL, 3))


def test_reflection_gives_exactly_the_four_mirror_images():
    mirrors = [IMAGE, IMAGE[::-1], IMAGE[:, ::-1], IMAGE[::-1, ::-1]]
    found = [
        [np.array_equal(variant, mirror) for mirror in mirrors] for variant in variants(STILL.override(reflection=True))
    ]
    assert all(sum(row) == 1 for row in found)
    assert all(np.any(found, axis=0))


def test_brightness_scales_all_channels_by_one_factor_within_its_range():
    for variant in variants(STILL.override(brightness=0.2)):
        factors = variant.mean((0, 1)) / IMAGE.mean((0, 1))
        assert np.ptp(factors) < 0.01
        assert 0.79 < factors.mean() < 1.21


def test_channel_gain_scales_each_channel_by_its_own_factor():
    spread = [np.ptp(v.mean((0, 1)) / IMAGE.mean((0, 1))) for v in variants(STILL.override(channel_gain=0.1))]
    assert max(spread) > 0.05


def test_channel_offset_moves_each_channel_by_its_own_share_of_the_full_scale():
    image = np.full((8, 8, 3), 100, np.uint8)
    moves = np.array([augment(image, STILL.override(channel_offset=0.1), np.random.default_rng(i)) for i in range(40)])
    moves = moves[:, 0, 0].astype(int) - 100
    assert np.abs(moves).max() <= 26
    assert moves.min() < -15
    assert moves.max() > 15
    assert np.ptp(moves, axis=1).max() > 10


def test_gamma_keeps_black_and_white_and_moves_the_middle_both_ways():
    image = np.tile(np.array([0, 128, 255], np.uint8)[:, None, None], (1, 3, 3))
    middles = []
    for i in range(40):
        variant = augment(image, STILL.override(gamma=1.0), np.random.default_rng(i))
        assert (variant[0].max(), variant[2].min()) == (0, 255)
        middles.append(variant[1, 0, 0])
    # 255 (128 / 255) ** 2 = 64.3 and 255 (128 / 255) ** 0.5 = 180.7
    assert 64 <= min(middles) < 90
    assert 150 < max(middles) <= 181


def test_grey_takes_all_colour_from_its_share_of_the_images_and_keeps_luma():
    # One level apart at most: OpenCV rounds its own grey in fixed-point numbers.
    distances = [np.abs(v.astype(int) - shifts.grey(IMAGE)).max() for v in variants(STILL.override(grey=0.5))]
    assert 10 < sum(distance <= 1 for distance in distances) < 30


def test_zoom_of_two_looks_at_the_central_half_and_keeps_the_centre():
    ramp = np.tile(np.arange(101, dtype=np.uint8)[None, :, None], (101, 1, 3))
    zoomed = [augment(ramp, STILL.override(zoom=1.0), np.random.default_rng(i)) for i in range(60)]
    widths = [np.ptp(variant[50, 25:76, 0]) for variant in zoomed]
    # The 51 columns in the middle show 25 of the image at zoom 2, and at zoom 1/2 all 101, mirrored at the edge.
    assert 24 <= min(widths) < 32
    assert max(widths) > 80
    assert all(variant[50, 50, 0] == 50 for variant in zoomed)


@pytest.mark.parametrize(("hue", "saturation"), [(0, 1), (360, 1)])
def test_the_colour_matrix_that_changes_nothing(hue, saturation):
    np.testing.assert_allclose(colour_matrix(hue, saturation), np.eye(3), atol=1e-12)


def test_the_colour_matrix_keeps_greys_and_luma_and_its_turns_add_up():
    turned = colour_matrix(30, 0.7)
    np.testing.assert_allclose(turned @ np.ones(3), np.ones(3))
    np.testing.assert_allclose(np.array([0.299, 0.587, 0.114]) @ turned, [0.299, 0.587, 0.114])
    np.testing.assert_allclose(colour_matrix(20, 0.5) @ colour_matrix(10, 1.4), turned)


@pytest.mark.parametrize("degrees", [-16, 16])
def test_a_turn_of_the_hue_goes_the_way_that_hsv_goes(degrees):
    purple = np.array([150, 90, 170])
    before, after = (colorsys.rgb_to_hsv(*colour)[0] * 360 for colour in (purple, colour_matrix(degrees, 1) @ purple))
    assert after - before == pytest.approx(degrees, rel=0.4)


def luma_and_differences(image):
    red, green, blue = image.reshape(-1, 3).astype(float).T
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([luma, blue - luma, red - luma])


def test_an_image_takes_the_mean_and_spread_of_the_colours_of_another():
    rng = np.random.default_rng(2)
    image = np.clip(rng.normal((150, 120, 160), (12, 20, 8), (32, 32, 3)), 0, 255).astype(np.uint8)
    other = np.clip(rng.normal((120, 140, 110), (6, 9, 14), (16, 20, 3)), 0, 255).astype(np.uint8)
    got, expected = luma_and_differences(with_colours_of(other, image)), luma_and_differences(other)
    # To the rounding of the pixels.
    np.testing.assert_allclose(got.mean(1), expected.mean(1), atol=0.1)
    np.testing.assert_allclose(got.std(1), expected.std(1), atol=0.2)
    # The places stay: each of the three is moved and stretched, no more.
    for before, after in zip(luma_and_differences(image), got, strict=True):
        assert np.corrcoef(before, after)[0, 1] > 0.99
    assert np.array_equal(with_colours_of(image, image), image)


def test_an_even_image_takes_the_mean_without_a_spread():
    flat = np.full((8, 8, 3), 90, np.uint8)
    assert np.abs(with_colours_of(IMAGE, flat).astype(int) - IMAGE.mean((0, 1))).max() <= 1


def test_its_share_of_the_images_takes_the_colours_of_another():
    pixels = np.stack([np.full((8, 8, 3), level, np.uint8) for level in (40, 120, 200)])
    recipe = STILL.override(colour_transfer=0.5)
    levels = [augmented_batch(pixels, np.array([0]), recipe, 0, epoch)[0, 0, 0, 0] for epoch in range(1, 91)]
    # Half keep their own, and a third of the others draw themselves: 60, 15 and 15 of 90.
    counts = {level: levels.count(level) for level in (40, 120, 200)}
    assert sum(counts.values()) == 90
    assert 45 < counts[40] < 75
    assert min(counts[120], counts[200]) > 5


def test_bright_pixels_saturate_instead_of_wrapping_round():
    white = np.full((8, 8, 3), 250, np.uint8)
    for i in range(20):
        assert augment(white, STILL.override(brightness=0.2), np.random.default_rng(i)).min() >= 199


def test_rotation_keeps_the_centre_in_place_and_leaves_no_border():
    image = np.full((25, 25, 3), 100, np.uint8)
    image[12, 12] = 255
    for i in range(10):
        turned = augment(image, STILL.override(rotation_degrees=180.0), np.random.default_rng(i))
        assert turned[12, 12, 0] > 250
        assert turned.min() == 100


@pytest.mark.parametrize("side", [1, 5])
def test_the_centre_of_an_odd_square_is_inside(side):
    for i in range(100):
        assert (augment(IMAGE, STILL.override(erase=side / 24), np.random.default_rng(i)) != IMAGE).any()


def test_a_square_is_painted_in_the_mean_colour():
    whole = []
    for i in range(30):
        erased = augment(IMAGE, STILL.override(erase=0.25), np.random.default_rng(i))
        changed = np.argwhere((erased != IMAGE).any(2))
        (top, left), (bottom, right) = changed.min(0), changed.max(0) + 1
        # A quarter of 24 pixels, less where it runs out of the image, but never more than half of it.
        assert all(3 <= side <= 6 for side in (bottom - top, right - left))
        assert np.abs(erased[top:bottom, left:right] - IMAGE.mean((0, 1))).max() <= 0.5
        whole.append((bottom - top, right - left) == (6, 6))
    assert 10 < sum(whole) < 30


def test_the_draw_depends_on_seed_epoch_and_row_alone():
    pixels = np.stack([IMAGE, IMAGE, IMAGE])
    rows = np.array([0, 1, 2])
    batch = augmented_batch(pixels, rows, SCRATCH, seed=1, epoch=2)
    assert batch.shape == (3, 24, 24, 3)
    assert np.array_equal(augmented_batch(pixels, rows[::-1], SCRATCH, 1, 2), batch[::-1])
    assert not np.array_equal(batch[0], batch[1])
    assert not np.array_equal(augmented_batch(pixels, rows, SCRATCH, 1, 3), batch)
    assert not np.array_equal(augmented_batch(pixels, rows, SCRATCH, 2, 2), batch)


def test_recipes_of_other_colours_see_the_same_warps():
    pixels = np.random.default_rng(1).integers(60, 200, (5, 24, 24, 3)).astype(np.uint8)
    rows = np.array([4, 0, 2])
    moving = SCRATCH.override(zoom=0.3, channel_gain=0.0, brightness=0.0)
    grey = moving.override(grey=1.0)
    seen, same = augmented_batch(pixels, rows, moving, 3, 7), augmented_batch(pixels, rows, grey, 3, 7)
    # Turning to grey comes after the warp, and is linear: it may be done to what was warped in colour.
    turned = np.stack([cv2.transform(image, colour_matrix(0, 0)) for image in seen])
    assert np.abs(turned.astype(int) - same).max() <= 1
