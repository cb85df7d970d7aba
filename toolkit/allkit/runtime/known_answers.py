"""Drawn images, and the answers a model is known to give for them.

The same file can give other answers elsewhere: kernels saturate, a provider computes in another precision, or a version
of onnxruntime has a bug (such as issue 26324). Every exported file therefore contains the outputs of a float32
execution of its graph for a few images, which a session must reproduce before a file is first used on a machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from allkit.errors import AllkitError
from allkit.model.contract import KnownAnswers

# What rounding explains, see `benchmarks/README.md`: over all processors and models, the largest differences of exact
# kernels were 0.01 in a probability and 0.002 in a distance, those of saturating kernels at least 0.06 and 0.33. A heat
# map changes as a whole when a hidden unit is at the edge of its ReLU, hence the median over the images.
PROBABILITY_TOLERANCE, DISTANCE_TOLERANCE, HEATMAP_TOLERANCE = 0.03, 0.03, 0.1

_IMAGES, _DIGITS, _REGIONS = 4, 6, 3


@dataclass(frozen=True)
class Differences:
    """Largest difference of a probability, largest relative difference of a distance, and median over the images of the
    difference of a heat map relative to its largest value, None without one."""

    probability: float
    distance: float
    heatmap: float | None

    @property
    def tolerable(self) -> bool:
        """Whether rounding explains them; NaN does not pass."""
        return (
            self.probability <= PROBABILITY_TOLERANCE
            and self.distance <= DISTANCE_TOLERANCE
            and (self.heatmap is None or self.heatmap <= HEATMAP_TOLERANCE)
        )

    def __str__(self) -> str:
        heatmap = "" if self.heatmap is None else f", of a heat map {self.heatmap:.4f} (allowed {HEATMAP_TOLERANCE})"
        return (
            f"difference of a probability {self.probability:.4f} (allowed {PROBABILITY_TOLERANCE}), of a distance "
            f"{self.distance:.4f} (allowed {DISTANCE_TOLERANCE}){heatmap}"
        )


def draw(size_px: int) -> np.ndarray:
    """Draw the images, uint8 (n, S, S, 3): stained discs on a light, grainy ground, with integer arithmetic only.

    They are the same on every machine and with every version of NumPy, whose generators may change.
    """
    rows, columns = np.mgrid[:size_px, :size_px]
    images = np.empty((_IMAGES, size_px, size_px, 3), np.uint8)
    for number, image in enumerate(images):
        values = iter(_mixed(256, number).tolist())
        canvas = np.full((size_px, size_px, 3), [170 + next(values) % 80 for _ in range(3)])
        for _ in range(4 + next(values) % 12):
            top, left = next(values) % size_px, next(values) % size_px
            radius = size_px // 20 + next(values) % max(1, size_px // 6)
            colour = [low + next(values) % 130 for low in (60, 30, 90)]
            canvas[(rows - top) ** 2 + (columns - left) ** 2 < radius**2] = colour
        grain = (_mixed(canvas.size, _IMAGES + number) % 31).astype(np.int64).reshape(canvas.shape) - 15
        image[:] = np.clip(canvas + grain, 0, 255)
    return images


def known_answers(
    images: np.ndarray, probabilities: np.ndarray, distance: np.ndarray, heatmap: np.ndarray | None
) -> KnownAnswers:
    """A record of the outputs of a float32 execution for `images`: float32 (n, k), (n,) and (n, h, w) or None."""
    return {
        "drawing": _hash(images),
        "probabilities": _rounded(probabilities),
        "distance": _rounded(distance),
        "heatmap": None if heatmap is None else _rounded(_digests(heatmap)),
    }


def differences(
    answers: KnownAnswers, images: np.ndarray, run: Callable[[np.ndarray], tuple], name: object = "the model"
) -> Differences:
    """Compare a session with the known answers.

    run: uint8 (n, S, S, 3) to probabilities, distances and maps, None without known maps. name: of the model, in
    messages. Raises AllkitError when the answers are to other images, or of other shapes.
    """
    if _hash(images) != answers["drawing"]:
        raise AllkitError(
            f"{name} has known answers to images that this version of allkit does not draw: export it again"
        )
    probabilities, distance, heatmap = run(images)
    known = np.array(answers["distance"])
    maps = None
    if answers["heatmap"] is not None:
        digests, known_digests = _digests(heatmap), np.array(answers["heatmap"])
        if digests.shape != known_digests.shape:
            raise AllkitError(f"{name} has known answers that do not fit its heat map: export it again")
        scale = np.maximum(np.abs(known_digests).max(1), np.finfo(np.float32).tiny)
        maps = _number(np.median(np.abs(digests - known_digests).max(1) / scale))
    return Differences(
        probability=_number(np.abs(probabilities - np.array(answers["probabilities"])).max()),
        distance=_number((np.abs(distance - known) / np.maximum(np.abs(known), 1)).max()),
        heatmap=maps,
    )


def _digests(maps: np.ndarray) -> np.ndarray:
    """Means of maps (n, h, w) over at most 3 x 3 regions, (n, regions)."""
    bands = np.array_split(maps, min(_REGIONS, maps.shape[1]), axis=1)
    regions = [part for band in bands for part in np.array_split(band, min(_REGIONS, maps.shape[2]), axis=2)]
    return np.stack([part.mean((1, 2)) for part in regions], axis=1)


def _mixed(count: int, seed: int) -> np.ndarray:
    """Pseudo-random uint32 (count,): the counter through the finaliser of MurmurHash3."""
    values = np.arange(count, dtype=np.uint32) + np.uint32(seed * 0x9E3779B1 & 0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        values ^= values >> np.uint32(shift)
        values *= np.uint32(factor)
    return values


def _hash(images: np.ndarray) -> str:
    return hashlib.sha256(images.tobytes()).hexdigest()


def _rounded(values: np.ndarray) -> list:
    return np.round(values.astype(np.float64), _DIGITS).tolist()


def _number(value: np.floating) -> float:
    return float(value) if np.isfinite(value) else float("inf")
