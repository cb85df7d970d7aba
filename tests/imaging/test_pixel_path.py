import os
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath, decode, is_image_name, read_bytes


def png(rgb: np.ndarray) -> bytes:
    return cv2.imencode(".png", rgb[:, :, ::-1])[1].tobytes()


def test_decoding_gives_rgb_not_bgr():
    red = np.zeros((4, 5, 3), np.uint8)
    red[:, :, 0] = 200
    assert np.array_equal(decode(png(red)), red)


def test_an_image_of_the_right_size_is_passed_on_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    assert np.array_equal(PixelPath(16).load(png(image)), image)


def test_halving_with_the_area_kernel_averages_two_by_two_pixels():
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    means = image.reshape(16, 2, 16, 2, 3).astype(float).mean((1, 3))
    assert np.abs(PixelPath(16).load(image) - means).max() <= 0.5


def test_enlarging_a_constant_image_keeps_it_constant():
    image = np.full((10, 10, 3), (10, 20, 30), np.uint8)
    assert np.array_equal(PixelPath(25).load(image), np.full((25, 25, 3), (10, 20, 30), np.uint8))


def test_a_wide_image_is_cropped_to_its_centre_and_never_stretched():
    image = np.zeros((16, 48, 3), np.uint8)
    image[:, 16:32] = 255
    assert np.array_equal(PixelPath(16).load(image), np.full((16, 16, 3), 255, np.uint8))


def test_a_tall_image_is_cropped_to_its_centre():
    image = np.zeros((48, 16, 3), np.uint8)
    image[16:32] = 255
    assert np.array_equal(PixelPath(16).load(image), np.full((16, 16, 3), 255, np.uint8))


def test_grey_images_become_rgb():
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    image = decode(cv2.imencode(".png", grey)[1].tobytes())
    assert np.array_equal(image, np.dstack([grey] * 3))


@pytest.mark.parametrize("data", [b"", b"not an image", png(np.zeros((4, 4, 3), np.uint8))[:20]])
def test_what_is_no_image_is_a_clear_error(data):
    with pytest.raises(AllkitError, match="not a"):
        decode(data)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AllkitError, match=r"nowhere\.png"):
        PixelPath(16).load(tmp_path / "nowhere.png")


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_arrays_of_another_shape_or_type_are_refused(array):
    with pytest.raises(AllkitError, match="uint8 array"):
        PixelPath(16).load(array)


@pytest.mark.parametrize("change", [{"size_px": 4}, {"shrink": "lanczos9"}, {"enlarge": "cubic"}])
def test_a_pixel_path_that_cannot_be_followed_is_refused(change):
    with pytest.raises(AllkitError):
        PixelPath(**{"size_px": 16, **change})


def test_image_names_are_known_by_suffix_in_any_case():
    assert is_image_name("a.JPG")
    assert is_image_name("b.tiff")
    assert not is_image_name("notes.txt")
    assert not is_image_name("jpg")


@pytest.mark.parametrize("name", ["fifo", "folder", "/dev/zero", "nul\0"])
def test_what_is_not_a_regular_file_is_refused_and_not_waited_for(tmp_path, name):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(AllkitError, match="cannot read"):
        read_bytes(os.path.join(tmp_path, name))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path):
    path = tmp_path / "closed.png"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(AllkitError, match=r"cannot read .*closed\.png: Permission denied"):
        read_bytes(path)


def test_a_file_of_gigabytes_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "huge.png").open("wb") as stream:
        stream.truncate(2**33)
    with pytest.raises(AllkitError, match=r"huge\.png: it is larger than 512 MiB"):
        read_bytes(tmp_path / "huge.png")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    # 30,000 x 30,000 grey pixels promised in a file of 100 bytes.
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    # In a process of its own: OpenCV takes its limit when it is loaded, and here another test may have loaded it.
    code = """if True:
        import sys
        from allkit.errors import AllkitError
        from allkit.imaging.pixel_path import PixelPath
        try:
            PixelPath(32).load(sys.argv[1])
        except AllkitError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "bomb.png"], capture_output=True, text=True)
    assert "more than 67 megapixels" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff", ".webp"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_truncated_image_is_an_error(suffix, share):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    data = cv2.imencode(suffix, image)[1].tobytes()
    with pytest.raises(AllkitError, match="not a readable image"):
        decode(data[: int(share * len(data))])


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("sixteen.png", np.full((8, 8, 3), 128 * 257, np.uint16)),
        ("alpha.png", np.full((8, 8, 4), 128, np.uint8)),
        ("grey.tiff", np.full((8, 8), 128, np.uint8)),
        ("one-pixel.bmp", np.full((1, 1, 3), 128, np.uint8)),
        ("thin.png", np.full((2, 900, 3), 128, np.uint8)),
    ],
)
def test_other_kinds_of_images_become_eight_bit_rgb(name, array):
    data = cv2.imencode(name[name.rindex(".") :], array)[1].tobytes()
    assert np.array_equal(PixelPath(16).load(data), np.full((16, 16, 3), 128, np.uint8))


def jpeg(rgb: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def test_half_scale_halves_a_jpeg_and_keeps_its_colours():
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :48], image[:, 48:] = (200, 30, 10), (10, 30, 200)
    half = decode(jpeg(image), scale=2)
    assert half.shape == (32, 48, 3)
    assert np.abs(half[:, :20].astype(int) - (200, 30, 10)).max() < 8
    assert np.abs(half[:, 28:].astype(int) - (10, 30, 200)).max() < 8


def test_half_scale_is_nearly_what_averaging_gives():
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8), (5, 5), 0)
    plain, half = PixelPath(32).load(jpeg(image)), PixelPath(32, jpeg_scale=2).load(jpeg(image))
    assert np.abs(plain.astype(int) - half).mean() < 4
    assert not np.array_equal(plain, half)


def test_half_scale_leaves_other_formats_and_arrays_alone():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for source in (png(image), image):
        assert np.array_equal(PixelPath(32, jpeg_scale=2).load(source), PixelPath(32).load(source))


def test_another_scale_is_refused():
    with pytest.raises(AllkitError, match="JPEG scale 3"):
        PixelPath(32, jpeg_scale=3)
