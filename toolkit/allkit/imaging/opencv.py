"""The decoders of OpenCV, which fail in two ways."""

from __future__ import annotations

import cv2
import numpy as np

from allkit.imaging.limits import unreadable


def imdecode(data: bytes, flags: int, failure: str) -> np.ndarray:
    """An encoded image as OpenCV gives it with these flags; AllkitError, with `failure` where it gives no reason."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise unreadable(error.err) from error
    if image is None:
        raise unreadable(failure)
    return image
