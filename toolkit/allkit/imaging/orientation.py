"""EXIF orientation."""

from __future__ import annotations

import cv2
import numpy as np

from allkit.errors import AllkitError
from allkit.imaging.ifd import read_directory

_TAG = 274


def of_exif(exif: bytes) -> int:
    """The orientation, 1 to 8, in an EXIF block with or without its prefix; 1 if it is missing or invalid."""
    try:
        tags = read_directory(exif.removeprefix(b"Exif\0\0"), {_TAG}).values
    except AllkitError:
        # Invalid metadata must not make a sound picture unreadable.
        return 1
    return of_tag(tags.get(_TAG, ()))


def of_tag(values: tuple[int, ...]) -> int:
    """The orientation given by the values of tag 274."""
    return values[0] if values and 1 <= values[0] <= 8 else 1


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Rotate or mirror an image stored in one of the eight EXIF orientations so that it is upright."""
    if orientation >= 5:
        image = cv2.transpose(image)
    # OpenCV's codes: 0 flips vertically, 1 horizontally, -1 both.
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return image if flip is None else cv2.flip(image, flip)
