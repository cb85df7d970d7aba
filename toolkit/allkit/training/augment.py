"""The paper's augmentation on uint8 arrays: brightness, rotation, reflection, and colour gains.

It works on numpy with OpenCV, so that every Keras backend trains on the same pixels, and each
image's draw depends on (seed, epoch, row) alone: a resumed training sees what an uninterrupted
one would have seen.
"""

from __future__ import annotations

import cv2
import numpy as np

from allkit.training.recipe import Recipe

_LEVELS = np.arange(256, dtype=np.float32)


def augment(image: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """One random variant of a uint8 RGB image (S, S, 3), same shape and dtype."""
    angle = np.deg2rad(rng.uniform(-recipe.rotation_degrees, recipe.rotation_degrees))
    flip_x, flip_y = rng.choice((-1.0, 1.0), 2) if recipe.reflection else (1.0, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos * flip_x, -sin * flip_y], [sin * flip_x, cos * flip_y]])
    centre = np.full(2, (image.shape[0] - 1) / 2)
    matrix = np.column_stack([linear, centre - linear @ centre])
    turned = cv2.warpAffine(image, matrix, image.shape[:2], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    gains = rng.uniform(1 - recipe.brightness, 1 + recipe.brightness) * rng.uniform(
        1 - recipe.channel_gain, 1 + recipe.channel_gain, 3
    )
    table = np.clip(_LEVELS[:, None] * gains, 0, 255).round().astype(np.uint8)
    return cv2.LUT(turned, table[None])


def augmented_batch(pixels: np.ndarray, rows: np.ndarray, recipe: Recipe, seed: int, epoch: int) -> np.ndarray:
    """Augmented images of the given rows of `pixels` (n, S, S, 3): uint8 (len(rows), S, S, 3)."""
    return np.stack([augment(pixels[row], recipe, np.random.default_rng((seed, epoch, int(row)))) for row in rows])
