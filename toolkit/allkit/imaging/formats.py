"""Recognise the format of a file by its first bytes, never by its name."""

from __future__ import annotations

from collections.abc import Sequence

from allkit.imaging.limits import unreadable

READ = "JPEG, PNG, BMP, TIFF, WebP"

_MAGIC = (
    ("JPEG", 0, b"\xff\xd8"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("BMP", 0, b"BM"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("TIFF", 0, b"II+\0"),
    ("TIFF", 0, b"MM\0+"),
    ("WebP", 8, b"WEBP"),
)

# OpenCV reads some of these, but with another range, frame or orientation, and few tests.
_OTHERS = (
    ("GIF", 0, b"GIF8"),
    ("AVIF", 4, b"ftypavi"),
    ("HEIF", 4, b"ftyphe"),
    ("HEIF", 4, b"ftypmif1"),
    ("HEIF", 4, b"ftypmsf1"),
    ("JPEG 2000", 0, b"\0\0\0\x0cjP  "),
    ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("JPEG XL", 0, b"\0\0\0\x0cJXL "),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("JPEG XR", 0, b"II\xbc"),
    ("Radiance HDR", 0, b"#?RADIANCE"),
    ("Radiance HDR", 0, b"#?RGBE"),
    ("OpenEXR", 0, b"\x76\x2f\x31\x01"),
    ("Sun raster", 0, b"\x59\xa6\x6a\x95"),
    ("Photoshop", 0, b"8BPS"),
    ("PDF", 0, b"%PDF"),
    ("DICOM", 128, b"DICM"),
    ("FITS", 0, b"SIMPLE  ="),
    ("ICO", 0, b"\0\0\1\0"),
    ("QOI", 0, b"qoif"),
    ("DDS", 0, b"DDS "),
    ("SVG", 0, b"<svg"),
)

# What holds files, and is no image itself.
_ARCHIVES = (
    ("ZIP", 0, b"PK\x03\x04"),
    ("RAR", 0, b"Rar!"),
    ("7z", 0, b"7z\xbc\xaf\x27\x1c"),
    ("gzip", 0, b"\x1f\x8b"),
    ("tar", 257, b"ustar"),
)

# P or PF, the kind, and white space.
_NETPBM = {
    **dict.fromkeys((b"P1", b"P4"), "PBM"),
    **dict.fromkeys((b"P2", b"P5"), "PGM"),
    **dict.fromkeys((b"P3", b"P6"), "PPM"),
    b"P7": "PAM",
    **dict.fromkeys((b"PF", b"Pf"), "PFM"),
}


def recognise(data: bytes) -> str:
    """JPEG, PNG, BMP, TIFF or WebP; AllkitError for anything else, with the name of the format if known."""
    if not data:
        raise unreadable("the file is empty")
    if name := _named(data, _MAGIC):
        return name
    name = _named(data, _OTHERS)
    if name is None and data[2:3].isspace():
        name = _NETPBM.get(data[:2])
    if name:
        raise unreadable(f"{name} is not a format that allkit reads: {READ}")
    if archive := _named(data, _ARCHIVES):
        raise unreadable(f"a {archive} archive: unpack it, and give the folder")
    raise unreadable(f"damaged at its first bytes, or not {READ}")


def _named(data: bytes, table: Sequence[tuple[str, int, bytes]]) -> str | None:
    """The first name in a table whose bytes stand at their place."""
    return next((name for name, at, magic in table if data.startswith(magic, at)), None)
