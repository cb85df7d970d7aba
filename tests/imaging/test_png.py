import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import decode
from pictures import as_pillow_shows, drawn, encoded, orientation_block, png, png_chunk

PICTURE = np.asarray(drawn())


def with_alpha(image, seed=0):
    alpha = np.random.default_rng(seed).integers(0, 256, image.size[::-1]).astype(np.uint8)
    return Image.merge("RGBA", [*image.split(), Image.fromarray(alpha)])


@pytest.mark.parametrize("default_image", [False, True])
@pytest.mark.parametrize("disposal", [0, 1, 2])
@pytest.mark.parametrize("blend", [0, 1])
def test_of_an_animation_the_first_frame_is_shown(default_image, disposal, blend):
    frames = [with_alpha(ImageOps.invert(drawn()), 1), with_alpha(drawn(seed=2), 2)]
    options = {"default_image": default_image, "disposal": disposal, "blend": blend, "duration": 100}
    data = encoded(with_alpha(drawn()), "PNG", save_all=True, append_images=frames, **options)
    assert b"acTL" in data
    assert np.array_equal(decode(data), as_pillow_shows(data))
    assert np.array_equal(decode(data), PICTURE)


def test_an_animation_of_which_the_default_image_is_no_part_shows_that_image():
    frame = struct.pack(">IIIIIHHBB", 0, 47, 33, 0, 0, 1, 10, 1, 1)
    other = zlib.compress(b"".join(b"\0" + row.tobytes() for row in 255 - PICTURE))
    animation = [(b"acTL", struct.pack(">II", 1, 0))]
    data = png(PICTURE, *animation)
    end = data.index(b"IEND") - 4
    data = data[:end] + png_chunk(b"fcTL", frame) + png_chunk(b"fdAT", struct.pack(">I", 1) + other) + data[end:]
    assert np.array_equal(decode(data), as_pillow_shows(data))


@pytest.mark.parametrize("keyword", ["Raw profile type exif", "Raw profile type APP1"])
@pytest.mark.parametrize("way", ["tEXt", "zTXt", "iTXt"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_in_the_text_of_imagemagick_is_honoured(keyword, way, orientation):
    block = (b"Exif\0\0" + orientation_block(orientation)).hex()
    lines = "\n".join(block[at : at + 72] for at in range(0, len(block), 72))
    info = PngImagePlugin.PngInfo()
    text = f"\nexif\n{len(block) // 2:8}\n{lines}\n"
    if way == "iTXt":
        info.add_itxt(keyword, text, zip=True)
    else:
        info.add_text(keyword, text, zip=way == "zTXt")
    data = encoded(drawn(), "PNG", pnginfo=info)
    turned = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(orientation)
    expected = drawn() if turned is None else drawn().transpose(Image.Transpose(turned))
    assert np.array_equal(decode(data), np.asarray(expected))


def test_exif_goes_before_the_text_as_in_pillow():
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", "\nexif\n 26\n" + orientation_block(6).hex() + "\n")
    exif = Image.Exif()
    exif[0x112] = 3
    data = encoded(drawn(), "PNG", pnginfo=info, exif=exif)
    assert np.array_equal(decode(data), as_pillow_shows(data))
    assert np.array_equal(decode(data), PICTURE[::-1, ::-1])


@pytest.mark.parametrize("text", [b"\nexif\n", b"", b"\nexif\n 4\nzz", b"\nexif\n 4\nABC"])
def test_a_text_that_makes_no_sense_turns_nothing(text):
    assert np.array_equal(decode(png(PICTURE, (b"tEXt", b"Raw profile type exif\0" + text))), PICTURE)


@pytest.mark.parametrize("array", [PICTURE, PICTURE[..., 0], PICTURE[:3, :2], PICTURE.astype(np.uint16) * 257])
def test_interlaced_images_are_read(array):
    expected = array if array.dtype == np.uint8 else array >> 8
    assert np.array_equal(decode(png(array, interlaced=True)), np.atleast_3d(expected) * np.ones(3, np.uint8))


def test_a_chunk_that_claims_gigabytes_takes_neither_time_nor_memory():
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I4s", 2**32 - 16, b"IDAT") + b"\0" * 8
    assert len(data) == 49
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(AllkitError, match="claims 4294967280 bytes, more than the file has"):
        decode(data)
    assert time.process_time() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_what_is_inflated_beside_the_pixels_is_bounded(kind):
    bomb = zlib.compress(bytes(10**8))
    content = b"Raw profile type exif\0\0" + bomb if kind == b"zTXt" else b"profile\0\0" + bomb
    data = png(PICTURE, (kind, content))
    tracemalloc.start()
    assert np.array_equal(decode(data), PICTURE)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_data_that_inflate_to_more_than_the_pixels_are_an_error():
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(10**8))) + png_chunk(b"IEND", b"")
    with pytest.raises(AllkitError, match="more data than pixels"):
        decode(data)


WHOLE = png(PICTURE)


@pytest.mark.parametrize("at", [WHOLE.index(b"IDAT") + 300, WHOLE.index(b"IEND") - 10, 20, len(WHOLE) - 2])
def test_a_flipped_bit_is_an_error(at):
    with pytest.raises(AllkitError, match="not a readable image: damaged"):
        decode(WHOLE[:at] + bytes([WHOLE[at] ^ 1]) + WHOLE[at + 1 :])


@pytest.mark.parametrize("cut", [1, 4, 12, 13, 16, 30, 500])
def test_a_truncated_png_is_an_error(cut):
    with pytest.raises(AllkitError, match="damaged"):
        decode(WHOLE[:-cut])


def test_a_wrong_checksum_over_data_that_are_whole_can_be_read_leniently():
    at = WHOLE.index(b"IEND") - 8
    damaged = WHOLE[:at] + b"\0\0\0\0" + WHOLE[at + 4 :]
    words = []
    assert np.array_equal(decode(damaged, on_damage=words.append), PICTURE)
    assert words == ["the checksum of a chunk 'IDAT' is wrong"]
    with pytest.raises(AllkitError, match="checksum of a chunk 'IDAT'"):
        decode(damaged)


def test_an_index_beyond_the_palette_is_black_as_in_pillow():
    header = struct.pack(">IIBBBBB", 3, 1, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", header), (b"PLTE", b"\xc8\x3c\x78"), (b"IDAT", zlib.compress(b"\0\0\1\xff")), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)
    assert decode(data).tolist() == as_pillow_shows(data).tolist() == [[[200, 60, 120], [0, 0, 0], [0, 0, 0]]]


def test_millions_of_empty_chunks_are_refused():
    data = WHOLE[:33] + png_chunk(b"IDAT", b"") * 100_001 + WHOLE[33:]
    with pytest.raises(AllkitError, match="more than 100000 chunks"):
        decode(data)
