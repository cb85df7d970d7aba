import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import decode
from pictures import as_pillow_shows, drawn, encoded, tiff

PICTURE = np.asarray(drawn(80, 64))
COMPRESSIONS = [None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "1"])
def test_every_kind_is_read_as_pillow_reads_it(compression, mode):
    if compression == "jpeg" and mode in ("P", "1"):
        pytest.skip("JPEG has no palettes and no bits")
    data = encoded(drawn(80, 64).convert(mode), "TIFF", compression=compression)
    assert np.abs(decode(data) - as_pillow_shows(data)).max() <= 1


@pytest.mark.parametrize("picture", [np.zeros((500, 700, 3), np.uint8), np.asarray(drawn(300, 200))])
def test_lzw_with_tables_that_fill_up_is_followed(picture):
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    for array in (picture, noise):
        assert np.array_equal(decode(encoded(Image.fromarray(array), "TIFF", compression="tiff_lzw")), array)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_damage_that_libtiff_finds_is_an_error(compression):
    data = encoded(drawn(80, 64), "TIFF", compression=compression)
    found = 0
    for seed in range(20):
        noise = np.random.default_rng(seed).integers(0, 256, 10).astype(np.uint8).tobytes()
        at = len(data) // 4 + 37 * seed
        damaged = data[:at] + noise + data[at + 10 :]
        try:
            as_pillow_shows(damaged)
        except OSError:
            found += 1
            with pytest.raises(AllkitError, match="damaged, a strip cannot be decoded"):
                decode(damaged)
            assert decode(damaged, on_damage=lambda words: None).shape == (64, 80, 3)
    assert found or compression == "packbits"


def test_a_damaged_scan_inside_is_an_error():
    whole = encoded(drawn(80, 64), "JPEG", quality=95)
    assert decode(tiff(80, 64, [whole], photometric=6, t259=7)).shape == (64, 80, 3)
    damaged = whole[: len(whole) // 2] + whole[len(whole) // 2 + 100 :]
    with pytest.raises(AllkitError, match="damaged, a strip has: "):
        decode(tiff(80, 64, [damaged], photometric=6, t259=7))


def test_a_jpeg_inside_must_have_the_size_of_its_strip():
    large = encoded(drawn(500, 400), "JPEG")
    with pytest.raises(AllkitError, match="not of the size that the directory says"):
        decode(tiff(80, 64, [large], photometric=6, t259=7))


ROWS = PICTURE.tobytes()


@pytest.mark.parametrize("cut", [1, 100, 15000])
def test_a_truncated_file_is_an_error_wherever_its_directory_lies(cut):
    data = tiff(80, 64, [ROWS[:7680], ROWS[7680:]])
    assert np.array_equal(decode(data), PICTURE)
    with pytest.raises(AllkitError, match="damaged, a strip ends at byte"):
        decode(data[:-cut])


def test_strips_shorter_than_their_rows_are_an_error():
    with pytest.raises(AllkitError, match="a strip has 15359 bytes of 15360"):
        decode(tiff(80, 64, [ROWS[:-1]]))


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"photometric": 8}, "colours are CIELab"),
        ({"photometric": 32803}, "mosaic of a sensor"),
        ({"t50706": 1}, "raw file"),
        ({"t339": 3}, "floating-point"),
        ({"t259": 50000}, "compression 50000 is not read"),
        ({"bits": 4}, "4 bits a sample"),
        ({"t257": 2**31}, "no side may be longer"),
        ({"t257": 900_000, "t256": 900_000}, "megapixels: too large"),
        ({"t322": 60_000, "t323": 60_000}, "tiles have 60000 x 60000 pixels"),
        ({"t278": 1}, "needs 64 strips and lists 1"),
    ],
)
def test_what_is_not_read_is_refused_by_name(tags, words):
    with pytest.raises(AllkitError, match=words):
        decode(tiff(80, 64, [ROWS], **tags))


def test_lab_of_pillow_is_refused():
    lab = Image.frombytes("LAB", (8, 8), bytes(192))
    with pytest.raises(AllkitError, match="CIELab"):
        decode(encoded(lab, "TIFF"))


def test_strips_that_share_their_bytes_are_refused():
    data = tiff(80, 64, [ROWS] + [b""] * 15)
    first = struct.unpack_from("<I", data, data.index(struct.pack("<HHI", 273, 4, 16)) + 8)[0]
    counts = struct.unpack_from("<I", data, data.index(struct.pack("<HHI", 279, 4, 16)) + 8)[0]
    start = data[first : first + 4] * 16
    data = data[:first] + start + data[first + 64 :]
    data = data[:counts] + struct.pack("<I", len(ROWS)) * 16 + data[counts + 64 :]
    with pytest.raises(AllkitError, match="overlap"):
        decode(data)


def test_a_strip_that_inflates_to_more_than_its_rows_is_an_error():
    bomb = zlib.compress(bytes(10**8))
    with pytest.raises(AllkitError, match="cannot be decoded as deflate"):
        decode(tiff(80, 64, [bomb], t259=8))


def test_a_strip_of_clear_codes_ends_soon():
    # 9 bits, 256, again and again.
    clears = int("100000000" * 8 * 100_000, 2).to_bytes(9 * 100_000)
    with pytest.raises(AllkitError, match="LZW data have too many tables"):
        decode(tiff(80, 64, [clears], t259=5))


@pytest.mark.parametrize("at", [2**31, 7, 9])
def test_a_directory_outside_the_file_or_inside_itself_is_an_error(at):
    with pytest.raises(AllkitError, match="not a readable image"):
        decode(b"II*\0" + struct.pack("<I", at) + b"\xff" * 300)


ALPHA = np.random.default_rng(0).integers(0, 256, (64, 80)).astype(np.uint8)


@pytest.mark.parametrize("bits", [8, 16])
def test_transparency_beside_the_colours_is_dropped(bits):
    pixels = np.dstack([PICTURE, ALPHA])
    stored = pixels.astype("<u2") * 257 if bits == 16 else pixels
    assert np.array_equal(decode(tiff(80, 64, [stored.tobytes()], bits, 4, t338=2)), PICTURE)
    assert np.array_equal(decode(tiff(80, 64, [stored.tobytes()], bits, 4, t338=0)), PICTURE)


def test_colours_multiplied_by_transparency_are_refused_unless_it_is_nowhere():
    opaque = np.dstack([PICTURE, np.full_like(ALPHA, 255)])
    assert np.array_equal(decode(tiff(80, 64, [opaque.tobytes()], 8, 4, t338=1)), PICTURE)
    with pytest.raises(AllkitError, match="multiplied by their transparency"):
        decode(tiff(80, 64, [np.dstack([PICTURE, ALPHA]).tobytes()], 8, 4, t338=1))


def test_tables_of_jpeg_that_are_no_bytes_are_an_error():
    with pytest.raises(AllkitError, match="JPEG tables"):
        decode(tiff(80, 64, [ROWS], t347=1000))
