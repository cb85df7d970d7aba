"""Encoded bytes of any format to RGB pixels."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from allkit.imaging import bmp, jpeg, png, tiff, webp
from allkit.imaging.depth import check_bits
from allkit.imaging.formats import recognise
from allkit.imaging.limits import OnDamage, refuse
from allkit.imaging.opencv import imdecode


def decode(data: bytes, scale: int = 1, bits: int | None = None, on_damage: OnDamage = refuse) -> np.ndarray:
    """Decode an encoded image to RGB uint8 (H, W, 3), rotated upright by its EXIF orientation.

    scale: 1, or 2 for half the height and width of a JPEG; other formats are not scaled.
    bits: number of bits, 8 to 16, that the values of a 16-bit image use; None to rely on the file.
    on_damage: called, at most a few times, with the fault of a damaged image that can be read in part; the default
    raises. Raises AllkitError, naming the cause, for what cannot be read.
    """
    check_bits(bits)
    match recognise(data):
        case "JPEG":
            return jpeg.read(data, scale, on_damage)
        case "PNG":
            return png.read(data, bits, on_damage)
        case "TIFF":
            return tiff.read(data, bits, on_damage)
        case "WebP":
            return _checked(data, webp.check, on_damage)
        case "BMP":
            return _checked(data, bmp.check, on_damage)
    raise AssertionError("recognise names no other format")


def _checked(data: bytes, check: Callable[[bytes, OnDamage], None], on_damage: OnDamage) -> np.ndarray:
    check(data, on_damage)
    return imdecode(data, cv2.IMREAD_COLOR_RGB, "damaged, its data cannot be decoded")
