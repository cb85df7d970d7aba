"""Images of more than eight bits, whose values may use fewer than the file has room for."""

import cv2
import numpy as np
import pytest
from PIL import Image

from allkit import Classifier
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import decode
from pictures import encoded, png, tiff

# A picture in eight bits, and the same from a camera of twelve: the lower four bits are its noise.
EIGHT = np.random.default_rng(0).integers(0, 256, (12, 10, 3)).astype(np.uint16)
NOISE = np.random.default_rng(1).integers(0, 16, EIGHT.shape).astype(np.uint16)
TWELVE = EIGHT << 4 | NOISE


def as_tiff(array, **tags):
    height, width = array.shape[:2]
    samples = array.shape[2] if array.ndim == 3 else 1
    return tiff(width, height, [array.astype("<u2").tobytes()], 16, samples, 2 if samples == 3 else 1, **tags)


@pytest.mark.parametrize("encode", [png, as_tiff])
def test_values_of_twelve_bits_are_refused_and_the_option_is_named(encode):
    with pytest.raises(AllkitError, match=r"go up to 40\d\d only .* `--bits 12`"):
        decode(encode(TWELVE))


@pytest.mark.parametrize("encode", [png, as_tiff])
def test_with_the_option_the_upper_eight_of_twelve_count(encode):
    assert np.array_equal(decode(encode(TWELVE), bits=12), EIGHT)
    assert np.array_equal(decode(encode(TWELVE[..., 0]), bits=12), EIGHT[..., :1].repeat(3, 2))


@pytest.mark.parametrize(("used", "option"), [(8, 8), (10, 10), (13, 14), (14, 14)])
def test_the_option_fits_the_values(used, option):
    with pytest.raises(AllkitError, match=f"--bits {option}`"):
        decode(png(EIGHT << used - 8))


def test_a_file_that_says_its_range_is_scaled_by_it():
    assert np.array_equal(decode(png(TWELVE, (b"sBIT", b"\x0c\x0c\x0c"))), EIGHT)
    assert np.array_equal(decode(png(TWELVE[..., 0], (b"sBIT", b"\x0c"))), EIGHT[..., :1].repeat(3, 2))
    assert np.array_equal(decode(as_tiff(TWELVE, t281=4095)), EIGHT)


def test_a_range_that_is_no_power_of_two_is_scaled_linearly():
    values = np.linspace(0, 3000, 30).round().astype(np.uint16).reshape(5, 6)
    expected = (values * (255 / 3000)).round()
    assert np.abs(decode(as_tiff(values, t281=3000))[..., 0] - expected).max() <= 1


def test_significant_bits_that_stand_to_the_left_as_png_wants_are_left_there():
    assert np.array_equal(decode(png(TWELVE << 4, (b"sBIT", b"\x0c\x0c\x0c"))), EIGHT)


@pytest.mark.parametrize("said", [1, 7, 8, 10, 11, 16, 17, 24, 200, 255])
def test_a_range_that_cannot_be_right_does_not_make_an_image_black(said):
    with pytest.raises(AllkitError, match="would look black"):
        decode(png(TWELVE, (b"sBIT", bytes([said] * 3))))


def test_a_largest_value_that_is_exceeded_does_not_make_an_image_black():
    with pytest.raises(AllkitError, match="would look black"):
        decode(as_tiff(TWELVE, t281=1023))


@pytest.mark.parametrize("said", [0, 17, 24, 200, 255])
def test_more_significant_bits_than_a_sample_has_are_passed_over(said):
    assert np.array_equal(decode(png(EIGHT << 8 | NOISE, (b"sBIT", bytes([said] * 3)))), EIGHT)


@pytest.mark.parametrize("encode", [png, as_tiff])
def test_sixteen_bits_in_use_need_no_option(encode):
    sixteen = EIGHT << 8 | NOISE
    assert np.array_equal(decode(encode(sixteen)), EIGHT)
    assert np.array_equal(decode(encode(sixteen), bits=16), EIGHT)


def test_a_dark_image_of_sixteen_bits_can_be_insisted_on():
    assert np.array_equal(decode(png(TWELVE), bits=16), TWELVE >> 8)


def test_the_option_is_checked():
    with pytest.raises(AllkitError, match="does not fit into 11 bits"):
        decode(png(TWELVE), bits=11)
    with pytest.raises(AllkitError, match="out of range: give 8 to 16"):
        decode(png(TWELVE), bits=17)
    with pytest.raises(AllkitError, match="out of range"):
        Classifier(bits=7)


def test_eight_bits_are_not_touched_by_the_option():
    data = png(EIGHT.astype(np.uint8))
    assert np.array_equal(decode(data, bits=12), EIGHT)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("samples", [1, 3])
def test_packed_values_are_scaled_by_their_bits(bits, samples):
    eight = EIGHT[:8, :8, :samples]
    rows = [
        "".join(format(value << bits - 8 | 1, f"0{bits}b") for value in row) for row in eight.reshape(8, -1).tolist()
    ]
    packed = b"".join(int(row, 2).to_bytes(len(row) // 8) for row in rows)
    data = tiff(8, 8, [packed], bits, samples, 2 if samples == 3 else 1)
    assert np.array_equal(decode(data), np.broadcast_to(eight, (8, 8, 3)))


def test_white_can_be_zero():
    values = (EIGHT[..., 0] << 8).astype("<u2")
    data = tiff(10, 12, [values.tobytes()], 16, 1, photometric=0)
    assert np.array_equal(decode(data)[..., 0], 255 - EIGHT[..., 0])


@pytest.mark.parametrize("channels", [3, 4])
def test_deep_colours_keep_their_order(channels):
    bgr = np.random.default_rng(0).integers(0, 2**16, (9, 7, channels)).astype(np.uint16)
    for suffix in (".png", ".tiff"):
        data = cv2.imencode(suffix, bgr)[1].tobytes()
        assert np.array_equal(decode(data), bgr[..., 2::-1] >> 8)


@pytest.mark.parametrize(("dtype", "words"), [(np.float32, "floating-point"), (np.int32, "signed integers")])
def test_numbers_without_a_known_range_are_refused_by_name(dtype, words):
    with pytest.raises(AllkitError, match=words):
        decode(encoded(Image.fromarray(np.ones((8, 8), dtype)), "TIFF"))
