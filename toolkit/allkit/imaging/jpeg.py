"""JPEG by libjpeg-turbo, with every warning about the data as an error.

simplejpeg gives the same pixels as OpenCV, bit for bit, reports damage instead of printing it, and is faster.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg

from allkit.imaging import orientation
from allkit.imaging.limits import OnDamage, check_size, unreadable
from allkit.imaging.opencv import imdecode

# A scan walks over the coefficients of the whole image, at about 100 megapixels a second. A file may have any number of
# scans; progressive files have about ten.
_MOST_SCANS, _MOST_WORK = 100, 2**28

# Start of frame: C0 to CF, except the tables DHT (C4), JPG (C8) and DAC (CC).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = (0xC2, 0xCA)
_EXIF = b"Exif\0\0"


@dataclass(frozen=True)
class Header:
    """The content of the segments before the first scan."""

    width: int
    height: int
    components: int
    scans: int
    orientation: int


def read(data: bytes, scale: int, on_damage: OnDamage) -> np.ndarray:
    """Decode to uint8 RGB (H, W, 3), upright. scale: 1, or 2 for half the height and width."""
    header = read_header(data)
    check(data, header)
    if scale == 2 and max(header.width, header.height) <= 4:
        # simplejpeg takes a size, not a scale; for an image this small, another scale has the same size.
        _decode(data, header, 1, on_damage)
        flags = cv2.IMREAD_COLOR_RGB | (cv2.IMREAD_REDUCED_COLOR_2 ^ cv2.IMREAD_COLOR_BGR)
        image = imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION, "libjpeg cannot decode it")
    else:
        image = _decode(data, header, scale, on_damage)
    return orientation.upright(image, header.orientation)


def check(data: bytes, header: Header) -> None:
    """Raise AllkitError for a JPEG that would take too much memory or time."""
    pixels = header.width * header.height
    check_size(header.width, header.height, header.components)
    if header.scans > 1 and (header.scans > _MOST_SCANS or header.scans * pixels > _MOST_WORK):
        raise unreadable(
            f"{header.scans} scans over {pixels / 1e6:.3g} megapixels take too long to decode: "
            "save it again without progressive coding"
        )


def read_header(data: bytes) -> Header:
    """Read the segments up to the first scan; AllkitError if there is none."""
    at, frame, turned = 2, None, None
    while True:
        at = data.find(b"\xff", at)
        marker = data[at + 1] if 0 <= at < len(data) - 3 else 0xD9
        if marker in (0xFF, 0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            # Fill bytes, or markers without a segment.
            at += 1
            continue
        if marker == 0xD9:
            raise unreadable("damaged, a JPEG without a scan")
        length = int.from_bytes(data[at + 2 : at + 4])
        segment = data[at + 4 : at + 2 + length]
        if marker == 0xDA:
            break
        if marker in _FRAMES and len(segment) >= 6:
            frame = marker, segment
        elif marker == 0xE1 and turned is None and segment.startswith(_EXIF):
            turned = orientation.of_exif(segment)
        at += 2 + length
    if frame is None or not segment:
        raise unreadable("damaged, a JPEG without a frame header")
    marker, description = frame
    height, width, components = int.from_bytes(description[1:3]), int.from_bytes(description[3:5]), description[5]
    # libjpeg reads further scans if the first is incomplete. ff da cannot occur inside a scan.
    scans = data.count(b"\xff\xda", at) if marker in _PROGRESSIVE or segment[0] < components else 1
    return Header(width, height, components, scans, turned or 1)


def first_warning(data: bytes, header: Header) -> str | None:
    """libjpeg's first warning about a JPEG, also inside a TIFF; None if there is none."""
    try:
        _decoded(data, header, 1, strict=True)
    except ValueError as error:
        return str(error)
    return None


def _decode(data: bytes, header: Header, scale: int, on_damage: OnDamage) -> np.ndarray:
    try:
        return _decoded(data, header, scale, strict=True)
    except ValueError as error:
        on_damage(str(error))
    try:
        return _decoded(data, header, scale, strict=False)
    except ValueError as error:
        raise unreadable(str(error)) from error


def _decoded(data: bytes, header: Header, scale: int, strict: bool) -> np.ndarray:
    least = {"min_height": -(-header.height // 2), "min_width": -(-header.width // 2)} if scale == 2 else {}
    if header.components != 4:
        return simplejpeg.decode_jpeg(data, "RGB", strict=strict, **least)
    return _cmyk_to_rgb(simplejpeg.decode_jpeg(data, "CMYK", strict=strict, **least))


def _cmyk_to_rgb(cmyk: np.ndarray) -> np.ndarray:
    """Convert inverted CMYK (H, W, 4), as Adobe stores it, to RGB with OpenCV's integer arithmetic."""
    rgb = np.empty((*cmyk.shape[:2], 3), np.uint8)
    # Row by row, because whole planes of wider integers would take several times the memory.
    for stored, row in zip(cmyk, rgb, strict=True):
        inks = stored.astype(np.int32)
        black = inks[:, 3:]
        row[:] = black - ((255 - inks[:, :3]) * black >> 8)
    return rgb
