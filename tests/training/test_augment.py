import numpy as np

from allkit.training.augment import augment, augmented_batch
from allkit.training.recipe import SCRATCH

STILL = SCRATCH.override(brightness=0.0, rotation_degrees=0.0, reflection=False, channel_gain=0.0)
IMAGE = np.random.default_rng(0).integers(0, 200, (24, 24, 3)).astype(np.uint8)


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


def test_the_draw_depends_on_seed_epoch_and_row_alone():
    pixels = np.stack([IMAGE, IMAGE, IMAGE])
    rows = np.array([0, 1, 2])
    batch = augmented_batch(pixels, rows, SCRATCH, seed=1, epoch=2)
    assert batch.shape == (3, 24, 24, 3)
    assert np.array_equal(augmented_batch(pixels, rows[::-1], SCRATCH, 1, 2), batch[::-1])
    assert not np.array_equal(batch[0], batch[1])
    assert not np.array_equal(augmented_batch(pixels, rows, SCRATCH, 1, 3), batch)
    assert not np.array_equal(augmented_batch(pixels, rows, SCRATCH, 2, 2), batch)
