"""Which pixels of a smear are stained nuclei."""

from __future__ import annotations

import cv2
import numpy as np

# What Otsu's threshold finds in an image without nuclei is noise, some levels high.
_LEAST_LEVELS = 8


def stained(image: np.ndarray) -> np.ndarray:
    """The nuclei of a uint8 RGB image (H, W, 3) in a Romanowsky stain, as a uint8 mask (H, W) of 0 and 255.

    Nuclei take up azure and eosin: they are purple, and absorb green far more than red and blue. Red cells absorb
    green and blue alike, or hardly anything. The threshold on min(red, blue) - green is Otsu's (1979).
    """
    red, green, blue = cv2.split(image)
    purple = cv2.GaussianBlur(cv2.subtract(cv2.min(red, blue), green), (3, 3), 0)
    threshold, _ = cv2.threshold(purple, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return cv2.compare(purple, max(threshold, _LEAST_LEVELS), cv2.CMP_GT)
