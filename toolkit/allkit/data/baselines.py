"""Baselines: the accuracy of methods that cannot see a cell.

Each predicts the label of the nearest training image by a feature without shape: colours, grey levels, background
colour, or one small patch. A network may reach the same accuracy for the same reason. Images are read at one size
(`PIXELS`), so that models of different input sizes are compared with the same baseline.
"""

from __future__ import annotations

import cv2
import numpy as np

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath

PIXELS = PixelPath(224)
CENTRE = "centre"

_BACKGROUND_SHARE = 0.05
_PATCH_SHARE = 48 / 224
_PATCH_SIDE = 16


def colour_histograms(pixels: np.ndarray) -> np.ndarray:
    """Pixel counts in 8x8x8 RGB bins: float32 (n, 512). pixels: uint8 (n, S, S, 3), RGB."""
    return _each(pixels, 512, lambda image: cv2.calcHist([image], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3))


def grey_histograms(pixels: np.ndarray) -> np.ndarray:
    """Pixel counts by grey level: float32 (n, 256). pixels: uint8 (n, S, S, 3), RGB."""

    def histogram(image: np.ndarray) -> np.ndarray:
        return cv2.calcHist([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)], [0], None, [256], [0, 256])

    return _each(pixels, 256, histogram)


def background_colours(pixels: np.ndarray) -> np.ndarray:
    """Mean RGB of the brightest 5 % of each image: float32 (n, 3), 0 to 255. pixels: uint8 (n, S, S, 3).

    Brightness is R + G + B. The brightest 5 % of any image is empty slide; a larger share would include pale cells.
    """

    def colour(image: np.ndarray) -> np.ndarray:
        brightness = image.sum(axis=2, dtype=np.int32)
        return image[brightness >= np.quantile(brightness, 1 - _BACKGROUND_SHARE)].mean(axis=0)

    return _each(pixels, 3, colour)


def patch_features(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """The four corner patches and a centre patch of each image, by name, each float32 (n, 256).

    pixels: uint8 (n, S, S, 3), RGB. A patch is 48/224 of the side, shrunk to 16x16 grey pixels, centred to mean 0 and
    scaled to length 1. This removes stain and light, and cells lie anywhere, so two patches match only if the same mark
    is at the same place. The centre patch is the control.
    """
    size = pixels.shape[1]
    side = max(1, round(size * _PATCH_SHARE))
    first, middle, last = slice(0, side), slice((size - side) // 2, (size + side) // 2), slice(size - side, size)

    def patch(image: np.ndarray) -> np.ndarray:
        grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (_PATCH_SIDE, _PATCH_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        small -= small.mean()
        return small / max(float(np.linalg.norm(small)), 1.0)

    places = {
        "top_left": (first, first),
        "top_right": (first, last),
        "bottom_left": (last, first),
        "bottom_right": (last, last),
        CENTRE: (middle, middle),
    }
    return {name: _each(pixels[:, y, x], _PATCH_SIDE**2, patch) for name, (y, x) in places.items()}


def nearest_labels(
    features: np.ndarray, labels: np.ndarray, train_rows: np.ndarray, test_rows: np.ndarray
) -> np.ndarray:
    """Label of the training row nearest to each test row in city-block distance: int64 (len(test_rows),).

    features: float32 (n, f); labels: int64 (n,); rows: int64. The first of equally near rows counts. Raises AllkitError
    when either part is empty.
    """
    if not len(train_rows) or not len(test_rows):
        raise AllkitError("a baseline needs training and test images: this split leaves a part empty")
    _, nearest = cv2.batchDistance(features[test_rows], features[train_rows], cv2.CV_32F, normType=cv2.NORM_L1, K=1)
    return labels[train_rows][nearest[:, 0]]


def majority_labels(labels: np.ndarray, train_rows: np.ndarray, test_rows: np.ndarray) -> np.ndarray:
    """The most common label of the training rows, for each test row: int64 (len(test_rows),)."""
    return np.full(len(test_rows), np.bincount(labels[train_rows]).argmax(), np.int64)


def leave_one_out_labels(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Label of the nearest other image in city-block distance: int64 (n,).

    features: float32 (n, f); labels: int64 (n,), n at least 2.
    """
    _, nearest = cv2.batchDistance(features, features, cv2.CV_32F, normType=cv2.NORM_L1, K=2)
    # The nearest image is the image itself, unless a twin with the same features comes first.
    itself = nearest[:, 0] == np.arange(len(labels))
    return labels[np.where(itself, nearest[:, 1], nearest[:, 0])]


def _each(pixels: np.ndarray, width: int, feature) -> np.ndarray:
    rows = np.empty((len(pixels), width), np.float32)
    for row, image in zip(rows, pixels, strict=True):
        row[:] = np.ravel(feature(image))
    return rows
