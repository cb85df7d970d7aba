"""Images inside a page, as data URLs."""

from __future__ import annotations

import base64

import cv2
import numpy as np

_JPEG_QUALITY = 85


def data_url(image: np.ndarray) -> str:
    """An RGB image, uint8 (h, w, 3), as a JPEG in a data URL."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
