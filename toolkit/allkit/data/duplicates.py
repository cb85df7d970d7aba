"""Which images are the same picture, or nearly.

An image that stands in training and in test makes the test easier than the world. Byte-identical
files are found by their hash; pictures saved twice, or taken twice of one field, by a perceptual
difference hash. All pairs are compared, as a product of +-1 matrices: at a few thousand images that
is quicker than any index, and exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

HASH_BITS = 256
# At this distance all pairs of the ALL set lie within one class; unrelated smears differ in about 128 bits.
NEAR_THRESHOLD = 20
_SIDE = 16
_BLOCK = 1024


def difference_hashes(pixels: np.ndarray) -> np.ndarray:
    """Perceptual difference hash ("dHash") of each image: bool (n, 256).

    pixels: uint8 (n, S, S, 3), RGB. The grey image is shrunk to 16 rows of 17 pixels; a bit says whether a
    pixel is brighter than its left neighbour. It survives recompression, rescaling and changes of brightness.
    Images without any contrast all share one hash.
    """
    bits = np.empty((len(pixels), HASH_BITS), bool)
    for row, image in enumerate(pixels):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA)
        bits[row] = (small[:, 1:] > small[:, :-1]).ravel()
    return bits


def near_pairs(bits: np.ndarray, threshold: int = NEAR_THRESHOLD) -> np.ndarray:
    """Pairs of rows (i < j) that differ in at most `threshold` bits: int64 (p, 2). bits: bool (n, 256).

    Pairs of identical files are among them: their hashes differ in no bit.
    """
    signs = np.where(bits, np.float32(1), np.float32(-1))
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(signs), _BLOCK):
        # Rows agree in as many bits as they differ when their product is 0; small integers are exact in float32.
        distance = (bits.shape[1] - signs[start : start + _BLOCK] @ signs[start:].T) / 2
        i, j = np.nonzero(distance <= threshold)
        found.append(np.stack([i, j], axis=1)[i < j] + start)
    return np.concatenate(found)


def connected_groups(n: int, pairs: Iterable[Sequence[int]]) -> np.ndarray:
    """Group number of each of n items, int64 (n,): items linked by a chain of pairs share a group.

    Groups are numbered from 0 in the order of their first items.
    """
    # Here, since the baselines and the decoders of this package must not wait for SciPy.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = np.array([tuple(pair) for pair in pairs], np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), (n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def repeated(groups: np.ndarray) -> list[np.ndarray]:
    """The rows of each group with two or more members, in group order. groups: int64 (n,)."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [rows for rows in parts if len(rows) > 1]
