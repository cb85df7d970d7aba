import shutil
import struct
import subprocess

import cv2
import numpy as np
import pytest
from PIL import Image

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath, decode
from pictures import drawn, encoded, orientation_block

HALF = cv2.IMREAD_COLOR_RGB | (cv2.IMREAD_REDUCED_COLOR_2 ^ cv2.IMREAD_COLOR_BGR)
SUBSAMPLINGS = {
    name: getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name}") for name in ("411", "420", "422", "440", "444")
}


def as_opencv_decodes(data, scale):
    """The pixels that models were trained on before damage was an error."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), {1: cv2.IMREAD_COLOR_RGB, 2: HALF}[scale])


def turned(data, orientation):
    segment = b"Exif\0\0" + orientation_block(orientation)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def overwritten(data, seed=0, count=60):
    """The JPEG with bytes in the middle of its scan replaced."""
    middle = len(data) // 2
    noise = np.random.default_rng(seed).integers(0, 256, count).astype(np.uint8).tobytes()
    return data[:middle] + noise + data[middle + count :]


PHOTO = encoded(drawn(224, 224), "JPEG", quality=95)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 4), (1, 9), (5, 3), (17, 33), (64, 1), (97, 130)])
@pytest.mark.parametrize("subsampling", [*SUBSAMPLINGS, "grey"])
def test_the_pixels_are_those_of_opencv_to_the_bit(shape, subsampling):
    height, width = shape
    picture = np.asarray(drawn(width, height))[..., 0 if subsampling == "grey" else slice(None)]
    for progressive in (0, 1):
        for restart in (0, 2):
            options = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, restart]
            if subsampling in SUBSAMPLINGS:
                options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SUBSAMPLINGS[subsampling]]
            data = cv2.imencode(".jpg", picture, options)[1].tobytes()
            for scale in (1, 2):
                assert np.array_equal(decode(data, scale), as_opencv_decodes(data, scale))


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("scale", [1, 2])
def test_so_they_are_in_every_orientation(orientation, scale):
    data = turned(encoded(drawn(), "JPEG"), orientation)
    assert np.array_equal(decode(data, scale), as_opencv_decodes(data, scale))


@pytest.mark.parametrize("mode", ["CMYK", "RGB kept", "L"])
@pytest.mark.parametrize("scale", [1, 2])
def test_so_they_are_in_other_colours(mode, scale):
    inks = np.random.default_rng(0).integers(0, 256, (21, 30, 4)).astype(np.uint8)
    data = {
        "CMYK": lambda: encoded(Image.merge("CMYK", [Image.fromarray(ink) for ink in np.moveaxis(inks, 2, 0)]), "JPEG"),
        "RGB kept": lambda: encoded(drawn(), "JPEG", keep_rgb=True, subsampling=0),
        "L": lambda: encoded(drawn().convert("L"), "JPEG"),
    }[mode]()
    assert np.array_equal(decode(data, scale), as_opencv_decodes(data, scale))


def test_real_images_keep_their_pixels(shared_data):
    for path in sorted((shared_data / "all").glob("*/*.jpg"))[::60]:
        data = path.read_bytes()
        for scale in (1, 2):
            assert np.array_equal(decode(data, scale), as_opencv_decodes(data, scale))


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_damaged_scan_is_an_error(mode, scale):
    data = encoded(drawn(224, 224).convert(mode), "JPEG", quality=95)
    # Restart markers that are missing cannot be taken for anything else.
    damaged = data[: len(data) // 2] + data[len(data) // 2 + 200 :]
    with pytest.raises(AllkitError, match="not a readable image: damaged"):
        decode(damaged, scale)


@pytest.mark.skipif(shutil.which("djpeg") is None, reason="djpeg (libjpeg-turbo-progs) is not installed")
def test_what_djpeg_refuses_and_nothing_else_is_an_error():
    refused = 0
    for seed in range(20):
        data = overwritten(PHOTO, seed)
        strict = subprocess.run(["djpeg", "-strict"], input=data, capture_output=True)
        refused += strict.returncode != 0
        if strict.returncode:
            with pytest.raises(AllkitError):
                decode(data)
        else:
            decode(data)
    assert refused > 10


@pytest.mark.parametrize("left", [0.5, 0.9, -2])
def test_a_truncated_jpeg_is_an_error_even_if_only_its_end_is_missing(left):
    with pytest.raises(AllkitError, match="Premature end"):
        decode(PHOTO[: int(left * len(PHOTO)) if left > 0 else left])


def test_lenient_reading_gives_what_is_left_and_the_words_of_libjpeg():
    words = []
    image = decode(PHOTO[: len(PHOTO) // 2], on_damage=words.append)
    assert words == ["Premature end of JPEG file"]
    whole = decode(PHOTO)
    assert np.array_equal(image[:80], whole[:80])
    assert not np.array_equal(image, whole)


def test_bytes_behind_the_end_fill_bytes_and_comments_do_no_harm():
    comment = b"\xff\xfe" + struct.pack(">H", 9) + b"\xff\xda said"
    odd = PHOTO[:2] + b"\xff\xff" + comment + PHOTO[2:] + b"camera's own bytes" * 100
    assert np.array_equal(decode(odd), decode(PHOTO))


def test_a_scan_repeated_thousands_of_times_is_refused_before_it_is_decoded():
    grey = drawn(300, 300).convert("L")
    data = encoded(grey, "JPEG", progressive=True, quality=20)
    last = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(AllkitError, match=r"scans over 0.09 megapixels take too long"):
        decode(data[:-2] + last * 5000 + b"\xff\xd9")
    decode(data)


def test_scans_of_a_sequential_jpeg_are_counted_too():
    # Two components in a scan of their own each, after libjpeg's -scans; here only the headers matter.
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 9000, 7000, 3) + bytes.fromhex("011100 021101 031101")
    scan = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\1\0\0\x3f\0" + b"\0" * 10
    with pytest.raises(AllkitError, match="50 scans over 63 megapixels"):
        decode(b"\xff\xd8" + frame + scan * 50 + b"\xff\xd9")


@pytest.mark.parametrize("data", [b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", PHOTO[:300], b"\xff" * 400])
def test_headers_that_lead_nowhere_are_errors(data):
    with pytest.raises(AllkitError, match="not a readable image"):
        PixelPath(16).load(data)
