"""Drawn pictures and their encodings, for tests of the pixel path."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageFilter, ImageOps


def drawn(width=47, height=33, seed=0):
    """A smooth coloured picture in which no two corners are alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2))


def encoded(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def as_pillow_shows(data):
    """The first frame, upright, in RGB; alpha dropped; int (H, W, 3)."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).astype(int)


def orientation_block(orientation):
    """EXIF of one entry, without its prefix."""
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x112, 3, 1, orientation, 0, 0)


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(array, *extra, interlaced=False):
    """A PNG of a uint8 or uint16 array, grey (H, W) or RGB (H, W, 3), with chunks before its data."""
    height, width = array.shape[:2]
    colour = 2 if array.ndim == 3 else 0
    big_endian = array.astype(array.dtype.newbyteorder(">"))
    passes = [big_endian]
    if interlaced:
        steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
        passes = [big_endian[y::dy, x::dx] for x, y, dx, dy in steps]
    rows = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, 8 * array.itemsize, colour, 0, 0, interlaced)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def tiff(width, height, strips, bits=8, samples=3, photometric=2, **tags):
    """A little-endian TIFF with its directory first; tags: as t339=3, further integers by number."""
    values = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * samples),
        259: (3, [1]),
        262: (3, [photometric]),
        273: (4, [0] * len(strips)),
        277: (3, [samples]),
        278: (4, [-(-height // len(strips))]),
        279: (4, [len(strip) for strip in strips]),
        **{int(name[1:]): (4 if value >= 2**16 else 3, [value]) for name, value in tags.items()},
    }
    sizes = {tag: (2 if kind == 3 else 4) * len(numbers) for tag, (kind, numbers) in values.items()}
    end = 8 + 2 + 12 * len(values) + 4
    places = {}
    for tag in sorted(values):
        if sizes[tag] > 4:
            places[tag], end = end, end + sizes[tag]
    values[273] = (4, [end + sum(map(len, strips[:i])) for i in range(len(strips))])
    entries, outside = b"", b""
    for tag in sorted(values):
        kind, numbers = values[tag]
        packed = struct.pack(f"<{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
        if tag in places:
            outside += packed
            packed = struct.pack("<I", places[tag])
        entries += struct.pack("<HHI", tag, kind, len(numbers)) + packed.ljust(4, b"\0")
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(values)) + entries + b"\0" * 4 + outside + b"".join(strips)
