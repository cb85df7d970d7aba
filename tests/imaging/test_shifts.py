import colorsys

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from allkit.imaging.shifts import (
    SHIFTS,
    Picture,
    blur,
    brightness,
    gamma,
    grey,
    hue,
    jpeg,
    paint_corner,
    saturation,
    transfer_colour,
)
from models import flat


def noise(seed: int = 0, low: int = 0, high: int = 256, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (height, width, 3)).astype(np.uint8)


def seen(image: np.ndarray) -> Picture:
    """As a model sees it that decodes at full size."""
    return Picture(image, image)


def difference(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b).max())


def through_hsv(image: np.ndarray, change) -> np.ndarray:
    """`change` on the hue, saturation and value (each 0 to 1) of every pixel, by the standard library."""
    pixels = [colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel))) for pixel in image.reshape(-1, 3) / 255]
    return np.rint(255 * np.array(pixels)).reshape(image.shape)


def cielab(image: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* of sRGB (IEC 61966-2-1) under D65."""
    srgb = image / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / to_xyz.sum(1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def ramp() -> np.ndarray:
    return np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3)


def test_the_suite_applies_what_its_names_say():
    image, reference = noise(1), noise(2)
    expected = {
        "hue -8": hue(image, -8),
        "hue +8": hue(image, 8),
        "saturation x0.7": saturation(image, 0.7),
        "saturation x1.3": saturation(image, 1.3),
        "gamma 0.8": gamma(image, 0.8),
        "gamma 1.25": gamma(image, 1.25),
        "brightness x0.8": brightness(image, 0.8),
        "brightness x1.2": brightness(image, 1.2),
        "grey": grey(image),
        "colour transfer": transfer_colour(image, reference),
        "jpeg 40": jpeg(image, 40),
        "blur 1.2": blur(image, 1.2),
        "corner painted": paint_corner(image, 0.15),
    }
    assert [shift.name for shift in SHIFTS] == list(expected)
    for shift in SHIFTS:
        np.testing.assert_array_equal(shift.apply(seen(image), seen(reference)), expected[shift.name], shift.name)


@pytest.mark.parametrize("shift", SHIFTS, ids=lambda shift: shift.name)
def test_a_shift_repeats_itself_and_leaves_its_arguments_alone(shift):
    image, reference = noise(1), noise(2, height=16)
    shifted = shift.apply(seen(image), seen(reference))
    assert shifted.dtype == np.uint8
    assert shifted.shape == image.shape
    assert not np.array_equal(shifted, image)
    np.testing.assert_array_equal(shift.apply(seen(image), seen(reference)), shifted)
    np.testing.assert_array_equal(image, noise(1))
    np.testing.assert_array_equal(reference, noise(2, height=16))


def test_only_the_colour_transfer_looks_at_the_reference():
    image, one, other = map(seen, (noise(1), noise(2), flat(9, 9, 9)))
    differ = [shift.name for shift in SHIFTS if not np.array_equal(shift.apply(image, one), shift.apply(image, other))]
    assert differ == ["colour transfer"]


@pytest.mark.parametrize("amount", [-8, 8])
def test_hue_turns_by_a_share_of_180_units(amount):
    image = noise()
    expected = through_hsv(image, lambda h, s, v: ((h + amount / 180) % 1, s, v))
    assert difference(hue(image, amount), expected) <= 1


def test_hue_passes_red_and_comes_back():
    saturated = np.array([[[255, 0, 20], [255, 20, 0], [30, 200, 30], [90, 0, 230], [255, 0, 0]]], np.uint8)
    assert difference(hue(hue(saturated, 8), -8), saturated) <= 1
    # 16 degrees from red towards yellow and towards magenta are 16/60 of the way.
    np.testing.assert_array_equal(hue(flat(255, 0, 0), 8), flat(255, 68, 0))
    np.testing.assert_array_equal(hue(flat(255, 0, 0), -8), flat(255, 0, 68))


def test_hue_leaves_grey_as_it_is():
    np.testing.assert_array_equal(hue(ramp(), 8), ramp())


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_saturation_is_multiplied_and_stops_at_full(factor):
    image = noise()
    expected = through_hsv(image, lambda h, s, v: (h, min(1, s * factor), v))
    assert difference(saturation(image, factor), expected) <= 1


@pytest.mark.parametrize("exponent", [0.8, 1.25])
def test_gamma_is_a_power_of_the_level(exponent):
    expected = [round(255 * (level / 255) ** exponent) for level in range(256)]
    for channel in range(3):
        assert gamma(ramp(), exponent)[0, :, channel].tolist() == expected


def test_brightness_saturates_instead_of_wrapping():
    image = np.array([[[100, 212, 213], [255, 220, 0]]], np.uint8)
    np.testing.assert_array_equal(brightness(image, 1.2), [[[120, 254, 255], [255, 255, 0]]])
    np.testing.assert_array_equal(brightness(image, 0.8), [[[80, 170, 170], [204, 176, 0]]])


def test_grey_is_the_luma_in_every_channel():
    image = noise()
    shifted = grey(image)
    for channel in range(3):
        assert difference(shifted[..., channel], np.rint(image @ [0.299, 0.587, 0.114])) <= 1
        np.testing.assert_array_equal(shifted[..., channel], shifted[..., 0])
    np.testing.assert_array_equal(grey(flat(255, 0, 0)), flat(76, 76, 76))


def test_colour_transfer_gives_the_means_and_deviations_of_the_reference():
    # Muted colours, so that nothing has to be clipped.
    image = noise(3, 60, 120)
    reference = noise(4, 0, 40, height=40) + np.array([150, 110, 170], np.uint8)
    moved, target = cielab(transfer_colour(image, reference)), cielab(reference)
    np.testing.assert_allclose(moved.mean((0, 1)), target.mean((0, 1)), atol=0.1)
    np.testing.assert_allclose(moved.std((0, 1)), target.std((0, 1)), atol=0.1)


def test_colour_transfer_keeps_lightness_in_order():
    image, reference = np.repeat(noise(5, 60, 180)[..., :1], 3, 2), noise(6, 90, 150)
    before, after = cielab(image)[..., 0].ravel(), cielab(transfer_colour(image, reference))[..., 0].ravel()
    assert np.corrcoef(before, after)[0, 1] > 0.999


def test_colour_transfer_of_a_flat_image_gives_the_colour_of_the_reference():
    np.testing.assert_array_equal(transfer_colour(flat(10, 200, 30), flat(120, 40, 90)), flat(120, 40, 90))


def test_colour_transfer_does_not_stretch_the_rounding_noise_of_a_channel_without_colour():
    moved = transfer_colour(np.repeat(noise(7)[..., :1], 3, 2), noise(8))
    chroma = cielab(moved)[..., 1:].reshape(-1, 2)
    # The reference is full of colour; were its spread forced on the grey picture, this would be about 40.
    middle = moved.reshape(-1, 3).max(1) < 250
    assert chroma[middle].std(0).max() < 5


def test_jpeg_is_what_opencv_writes_and_reads_at_that_quality():
    image = noise()
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    np.testing.assert_array_equal(jpeg(image, 40), cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    assert difference(jpeg(image, 95), image) < difference(jpeg(image, 40), image)


def test_blur_is_gaussian():
    image = noise()
    channels = [gaussian_filter(image[..., k].astype(float), 1.2, mode="mirror", truncate=3) for k in range(3)]
    assert difference(blur(image, 1.2), np.rint(np.stack(channels, -1))) <= 1


def test_only_the_bottom_right_corner_is_painted_in_the_median_colour():
    image = flat(200, 180, 220, 100, 200)
    image[:30] = noise(width=200, height=30)
    image[90:, 180:] = 0
    painted = paint_corner(image)
    np.testing.assert_array_equal(painted[85:, 170:], flat(200, 180, 220, 15, 30))
    painted[85:, 170:] = image[85:, 170:]
    np.testing.assert_array_equal(painted, image)


def test_the_painted_corner_covers_the_scale_bars_burnt_into_the_real_images(shared_data):
    # Early has bars of both looks. An edge at the same place in many images is burnt in; cells average out.
    files = sorted((shared_data / "all" / "Early").iterdir())[::10]
    images = [cv2.imread(str(file), cv2.IMREAD_COLOR_RGB) for file in files]

    def burnt_in(pictures):
        corners = np.array(pictures, np.float32)[:, 112:, 112:].mean(-1)
        across, down = np.abs(np.diff(corners, axis=2)).mean(0), np.abs(np.diff(corners, axis=1)).mean(0)
        return max(across.max(), down.max())

    assert burnt_in(images) > 100
    assert burnt_in([paint_corner(image) for image in images]) < 50


def test_a_jpeg_that_is_decoded_at_half_size_is_shifted_at_half_size_by_as_much():
    # Smooth, so that half the size holds as much of it.
    whole = np.rint(127 + 100 * np.sin(np.linspace(0, 9, 96))[:, None, None] * np.ones((96, 128, 3))).astype(np.uint8)
    data = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    full, half = Picture.read(data), Picture.read(data, 2)
    assert half.image.shape == (48, 64, 3)
    for shift in SHIFTS:
        shifted = shift.apply(half, half)
        assert shifted.shape == (48, 64, 3), shift.name
        small = cv2.resize(shift.apply(full, full), (64, 48), interpolation=cv2.INTER_AREA)
        assert np.abs(shifted.astype(int) - small).mean() < 2.5, shift.name


def test_a_blur_is_as_wide_on_the_slide_whatever_the_model_decodes():
    # A white dot of a half-size picture; the variance of what it becomes is that of the Gaussian.
    dot = np.zeros((33, 33, 3), np.uint8)
    dot[16, 16] = 255
    blurred = next(s for s in SHIFTS if s.name == "blur 1.2").apply(
        Picture(np.zeros((66, 66, 3), np.uint8), dot, 2), None
    )
    weights = blurred[..., 0] / blurred[..., 0].sum()
    variance = ((np.arange(33) - 16) ** 2 * weights.sum(0)).sum()
    assert variance == pytest.approx(0.6**2, abs=0.03)


def test_jpeg_compresses_the_file_and_not_what_a_model_decodes_of_it():
    image = noise(3, height=64, width=64)
    data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    compressed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    expected = cv2.imdecode(compressed, cv2.IMREAD_REDUCED_COLOR_2)[..., ::-1]
    shift = next(shift for shift in SHIFTS if shift.name == "jpeg 40")
    # A PNG is decoded at full size, the JPEG that it becomes at half.
    np.testing.assert_array_equal(shift.apply(Picture.read(data, 2), None), expected)
