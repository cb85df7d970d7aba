"""Exact and near duplicates among images.

A picture in both training and test makes the test too easy. Byte-identical files are found by their content hash;
pictures that were saved twice, or two photographs of one field, by a perceptual difference hash. All pairs are
compared, as a product of +-1 matrices, which is exact and, for a few thousand images, faster than an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

HASH_BITS = 256
# Up to this distance, all pairs of the ALL set are within one class; unrelated smears differ in about 128 bits.
NEAR_THRESHOLD = 20
_SIDE = 16
_BLOCK = 1024


def difference_hashes(pixels: np.ndarray) -> np.ndarray:
    """Perceptual difference hash ("dHash") of each image: bool (n, 256).

    pixels: uint8 (n, S, S, 3), RGB. The grey image is shrunk to 16 rows of 17 pixels; a bit is set where a pixel is
    brighter than its left neighbour. The hash survives recompression, rescaling and changes of brightness. All images
    without contrast have the same hash.
    """
    bits = np.empty((len(pixels), HASH_BITS), bool)
    for row, image in enumerate(pixels):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA)
        bits[row] = (small[:, 1:] > small[:, :-1]).ravel()
    return bits


def near_pairs(bits: np.ndarray, threshold: int = NEAR_THRESHOLD) -> np.ndarray:
    """Pairs of rows (i < j) whose hashes differ in at most `threshold` bits: int64 (p, 2). bits: bool (n, 256).

    Identical files are included: their hashes differ in no bit.
    """
    signs = np.where(bits, np.float32(1), np.float32(-1))
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(signs), _BLOCK):
        # The product of two rows is the number of equal bits minus that of different bits, exact in float32.
        distance = (bits.shape[1] - signs[start : start + _BLOCK] @ signs[start:].T) / 2
        i, j = np.nonzero(distance <= threshold)
        found.append(np.stack([i, j], axis=1)[i < j] + start)
    return np.concatenate(found)


def connected_groups(n: int, pairs: Iterable[Sequence[int]]) -> np.ndarray:
    """Group number of each of n items, int64 (n,): items linked by a chain of pairs are in one group.

    Groups are numbered from 0 in the order of their first items.
    """
    # Imported here because it loads slowly.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = np.array([tuple(pair) for pair in pairs], np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), (n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def repeated(groups: np.ndarray) -> list[np.ndarray]:
    """The rows of each group with at least two members, in group order. groups: int64 (n,)."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [rows for rows in parts if len(rows) > 1]
