import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath, decode
from pictures import drawn, encoded

NETPBM = {
    "PBM": b"P4\n8 8\n" + bytes(8),
    "PGM": b"P5 8 8 255\n" + bytes(64),
    "PPM": b"P6\n8 8\n255\n" + bytes(192),
    "PAM": b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n\0\0\0",
    "PFM": b"PF\n1 1\n-1.0\n" + bytes(12),
}
ENCODED = {
    "GIF": encoded(drawn(), "GIF"),
    "AVIF": encoded(drawn(), "AVIF"),
    "JPEG 2000": encoded(drawn(), "JPEG2000"),
    "ICO": encoded(drawn(), "ICO"),
    "Radiance HDR": cv2.imencode(".hdr", np.ones((8, 8, 3), np.float32))[1].tobytes(),
    "Sun raster": cv2.imencode(".ras", np.ones((8, 8, 3), np.uint8))[1].tobytes(),
    "OpenEXR": b"\x76\x2f\x31\x01" + bytes(60),
    "DICOM": bytes(128) + b"DICM" + bytes(60),
    "HEIF": b"\0\0\0\x18ftypheic" + bytes(60),
}


@pytest.mark.parametrize(("name", "data"), [*NETPBM.items(), *ENCODED.items()])
def test_other_formats_are_refused_by_name_whatever_the_file_is_called(tmp_path, name, data):
    (tmp_path / "smear.jpg").write_bytes(data)
    with pytest.raises(AllkitError, match=f"{name} is not a format that allkit reads: JPEG, PNG, BMP, TIFF"):
        PixelPath(16).load(tmp_path / "smear.jpg")


@pytest.mark.parametrize("data", [b"P6", b"Passport", b"BM", b"RIFF\0\0\0\0WEBP", b"MM\0*", b"\x89PNG\r\n\x1a\n"])
def test_beginnings_alone_are_errors(data):
    with pytest.raises(AllkitError, match="not a readable image"):
        decode(data)


@pytest.mark.parametrize("cut", [1, 40, 3000])
def test_a_truncated_bmp_is_an_error_that_can_be_passed_over_only_by_its_decoder(cut):
    data = encoded(drawn(), "BMP")
    with pytest.raises(AllkitError, match=r"damaged, its pixels need \d+ bytes"):
        decode(data[:-cut])


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [(18, 100_000, "megapixels"), (14, 7, "header"), (28, 5, "header"), (30, 4, "method 4"), (10, 10**6, "before its")],
)
def test_a_bmp_that_says_odd_things_is_refused(at, value, words):
    data = bytearray(encoded(drawn(), "BMP"))
    if at == 18:
        struct.pack_into("<ii", data, at, value, value)
    else:
        struct.pack_into("<H" if at == 28 else "<I", data, at, value)
    with pytest.raises(AllkitError, match=words):
        decode(bytes(data))


def test_a_webp_of_many_megapixels_is_refused_before_it_is_decoded():
    header = b"VP8L" + struct.pack("<I", 10) + b"\x2f" + struct.pack("<I", 16383 | 16383 << 14) + bytes(5)
    with pytest.raises(AllkitError, match="megapixels"):
        decode(b"RIFF" + struct.pack("<I", 4 + len(header)) + b"WEBP" + header)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("cut", [1, 30])
def test_a_truncated_webp_is_an_error(lossless, cut):
    with pytest.raises(AllkitError, match=r"damaged, it claims \d+ bytes"):
        decode(encoded(drawn(), "WEBP", lossless=lossless)[:-cut])


def test_a_webp_longer_than_it_claims_is_an_error_too():
    data = encoded(drawn(), "WEBP", lossless=True)
    longer = data[:500] + b"some more" + data[500:]
    with pytest.raises(AllkitError, match=f"claims {len(data)} bytes and has {len(data) + 9}"):
        decode(longer)


def test_of_an_animated_webp_the_first_frame_is_shown():
    data = encoded(drawn(), "WEBP", lossless=True, save_all=True, append_images=[drawn(seed=1), drawn(seed=2)])
    assert np.array_equal(decode(data), np.asarray(drawn()))


def bmp(bits, compression, pixels, masks=b""):
    header = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, bits, compression, len(pixels), 0, 0, 0, 0) + masks
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(pixels), 0, 0, 14 + len(header)) + header + pixels


def test_a_bmp_with_channels_in_another_order_or_width_is_refused():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 4)).astype(np.uint8)
    usual = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
    assert np.array_equal(decode(bmp(32, 3, pixels.tobytes(), usual)), pixels[::-1, :, 2::-1])
    for data in (
        bmp(32, 3, pixels.tobytes(), struct.pack("<III", 0xFF, 0xFF00, 0xFF0000)),
        bmp(16, 0, pixels[:4].tobytes()),
    ):
        with pytest.raises(AllkitError, match="bits per pixel is not supported"):
            decode(data)


@pytest.mark.parametrize("form", ["zip", "tar", "gztar"])
def test_an_archive_is_named_as_such(form, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(encoded(drawn(), "PNG"))
    archive = shutil.make_archive(str(tmp_path / "images"), form, tmp_path / "images")
    with pytest.raises(AllkitError, match="archive: unpack it, and give the folder"):
        decode(Path(archive).read_bytes())
