"""Images of every kind that a folder may hold, beside what Pillow makes of them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath, decode

# Two plain halves: what is compared is colour and orientation, not how a codec rounds an edge.
PICTURE = Image.fromarray(
    np.repeat(np.array([[200, 60, 120], [40, 160, 220]], np.uint8), 32 * 48, 0).reshape(64, 48, 3)
)
NEXT_FRAME = {"save_all": True, "append_images": [ImageOps.invert(PICTURE)]}
ORIENTATION = 0x112


def encoded(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def turned(form, orientation, **options):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(PICTURE, form, exif=exif, **options)


def with_alpha(opacity):
    return Image.merge("RGBA", [*PICTURE.split(), Image.new("L", PICTURE.size, opacity)])


KINDS = {
    "CMYK JPEG": encoded(PICTURE.convert("CMYK"), "JPEG", quality=95),
    "grey JPEG": encoded(PICTURE.convert("L"), "JPEG", quality=95),
    "progressive JPEG": encoded(PICTURE, "JPEG", quality=95, progressive=True),
    "RGBA PNG": encoded(with_alpha(128), "PNG"),
    "palette PNG": encoded(PICTURE.convert("P"), "PNG"),
    "palette PNG with transparency": encoded(PICTURE.convert("P"), "PNG", transparency=0),
    "1-bit PNG": encoded(PICTURE.convert("1", dither=Image.Dither.NONE), "PNG"),
    "grey PNG with alpha": encoded(PICTURE.convert("LA"), "PNG"),
    "CMYK TIFF": encoded(PICTURE.convert("CMYK"), "TIFF"),
    "TIFF of two pages": encoded(PICTURE, "TIFF", **NEXT_FRAME),
    "animated WebP": encoded(PICTURE, "WEBP", lossless=True, **NEXT_FRAME),
    "animated PNG": encoded(PICTURE, "PNG", **NEXT_FRAME),
    "BMP": encoded(PICTURE, "BMP"),
    **{f"JPEG, orientation {way}": turned("JPEG", way, quality=95) for way in range(1, 9)},
    **{f"PNG, orientation {way}": turned("PNG", way) for way in range(1, 9)},
    **{f"WebP, orientation {way}": turned("WEBP", way, lossless=True) for way in range(1, 9)},
    **{f"TIFF, orientation {way}": turned("TIFF", way) for way in range(1, 9)},
}


def as_pillow_shows(data):
    """The first frame, upright, in RGB; alpha dropped."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).astype(int)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_upright_in_rgb(kind):
    found = decode(KINDS[kind])
    expected = as_pillow_shows(KINDS[kind])
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "JPEG" in kind])
def test_at_half_scale_too(kind):
    found = decode(KINDS[kind], scale=2)
    expected = as_pillow_shows(KINDS[kind])[::2, ::2]
    assert found.shape == expected.shape
    # Along the edge between the halves libjpeg filters in its own way.
    assert np.median(np.abs(found - expected)) <= 1


def test_sixteen_bits_keep_their_upper_eight():
    deep = Image.fromarray(np.full((8, 8), 100 * 257, np.uint16))
    assert np.array_equal(decode(encoded(deep, "PNG")), np.full((8, 8, 3), 100, np.uint8))


def test_floating_point_numbers_are_refused_by_name():
    with pytest.raises(AllkitError, match="floating-point"):
        decode(encoded(Image.fromarray(np.full((8, 8), 0.5, np.float32)), "TIFF"))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 5000)])
def test_the_smallest_and_the_longest_images_are_cropped_and_enlarged(shape):
    image = np.full((*shape, 3), 77, np.uint8)
    data = encoded(Image.fromarray(image), "PNG")
    assert np.array_equal(PixelPath(16).load(data), np.full((16, 16, 3), 77, np.uint8))
