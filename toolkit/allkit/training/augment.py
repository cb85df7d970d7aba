"""Augmentation of uint8 images: the paper's brightness, rotation and reflection, and changes of colour and zoom.

On the ALL set colour nearly gives the class away, so a network has to see cells in other colours if it is to learn
their shape. Augmentation uses NumPy and OpenCV, so that every Keras backend trains on the same pixels. Each image's
draw depends only on (seed, epoch, row), so a resumed training sees the same images as an uninterrupted one. Warps and
colours are drawn apart, so that recipes of other colours see the same warps.
"""

from __future__ import annotations

import cv2
import numpy as np

from allkit.runs.recipe import Recipe

_LEVELS = np.linspace(0, 1, 256)

# Less spread of a colour channel, in levels, is noise, which must not be amplified.
_LEAST_SPREAD = 1.0

# The matrix maps the result to the source: zooming in by more than 1 looks at less of it.
_WARP = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

# RGB to luma and the two colour differences of ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114])
_YUV = np.stack([_LUMA, 0.492 * (np.array([0, 0, 1]) - _LUMA), 0.877 * (np.array([1, 0, 0]) - _LUMA)])


def warped(image: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """The image (S, S, 3) uint8 turned, mirrored and zoomed at random, its colours as they are; the same for any S."""
    angle = rng.uniform(-recipe.rotation_degrees, recipe.rotation_degrees)
    flip_x, flip_y = rng.choice((-1.0, 1.0), 2) if recipe.reflection else (1.0, 1.0)
    zoom = _drawn_factor(recipe.zoom, rng)
    cos, sin = np.cos(np.deg2rad(angle)) / zoom, np.sin(np.deg2rad(angle)) / zoom
    linear = np.array([[cos * flip_x, -sin * flip_y], [sin * flip_x, cos * flip_y]])
    centre = np.full(2, (image.shape[0] - 1) / 2)
    matrix = np.column_stack([linear, centre - linear @ centre])
    return cv2.warpAffine(image, matrix, image.shape[:2], flags=_WARP, borderMode=cv2.BORDER_REFLECT_101)


def recoloured(image: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """The image (S, S, 3) uint8 with its colours changed and a square erased at random; `image` may be overwritten.

    The erased square lies anywhere with its centre inside the image: DeVries and Taylor 2017, arXiv:1708.04552.
    """
    gains = rng.uniform(1 - recipe.brightness, 1 + recipe.brightness) * rng.uniform(
        1 - recipe.channel_gain, 1 + recipe.channel_gain, 3
    )
    offsets = rng.uniform(-recipe.channel_offset, recipe.channel_offset, 3)
    exponent = _drawn_factor(recipe.gamma, rng)
    hue = rng.uniform(-recipe.hue_degrees, recipe.hue_degrees)
    saturation = rng.uniform(1 - recipe.saturation, 1 + recipe.saturation) * (rng.random() >= recipe.grey)
    if (hue, saturation) != (0, 1):
        image = cv2.transform(image, colour_matrix(hue, saturation))
    if recipe.erase:
        side = round(recipe.erase * image.shape[0])
        top, left = rng.integers(-(side // 2), image.shape[0] - side // 2, 2)
        hole = np.s_[max(top, 0) : top + side, max(left, 0) : left + side]
        image[hole] = np.rint(image.mean((0, 1)))
    table = _LEVELS[:, None] ** exponent * gains + offsets
    return cv2.LUT(image, np.rint(np.clip(table, 0, 1) * 255).astype(np.uint8)[None])


def with_colours_of(other: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The image (H, W, 3) uint8 with mean and standard deviation of the colours of another.

    Reinhard et al. 2001, "Color transfer between images", in luma and colour differences instead of their lαβ: as these
    are linear in RGB, the change is one affine map.
    """
    (mean, spread), (target, target_spread) = map(_colours, (image, other))
    scale = target_spread / np.maximum(spread, _LEAST_SPREAD)
    back = np.linalg.inv(_YUV)
    return cv2.transform(image, np.column_stack([back @ (scale[:, None] * _YUV), back @ (target - scale * mean)]))


def _colours(image: np.ndarray) -> list[np.ndarray]:
    """Mean and standard deviation of luma and colour differences, (3,) each."""
    return [values.ravel() for values in cv2.meanStdDev(cv2.transform(image.astype(np.float32), _YUV))]


def _drawn_factor(most: float, rng: np.random.Generator) -> float:
    """From 1 / (1 + most) to 1 + most, as often above 1 as below."""
    return np.exp(rng.uniform(-1, 1) * np.log1p(most))


def colour_matrix(hue_degrees: float, saturation: float) -> np.ndarray:
    """The (3, 3) matrix on RGB that keeps luma, rotates the colour differences by the hue and scales them.

    Haeberli 1993, "Matrix Operations for Image Processing", with the colour differences of ITU-R BT.601.
    """
    turn = np.deg2rad(hue_degrees)
    chroma = saturation * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.linalg.inv(_YUV) @ np.block([[np.ones((1, 1)), np.zeros((1, 2))], [np.zeros((2, 1)), chroma]]) @ _YUV


def augmented_batch(pixels: np.ndarray, rows: np.ndarray, recipe: Recipe, seed: int, epoch: int) -> np.ndarray:
    """Augmented images of the given rows of `pixels` (n, S, S, 3): uint8 (len(rows), S, S, 3)."""
    return np.stack([_augmented(pixels, int(row), recipe, seed, epoch) for row in rows])


def _augmented(pixels: np.ndarray, row: int, recipe: Recipe, seed: int, epoch: int) -> np.ndarray:
    image = warped(pixels[row], recipe, _generator(seed, epoch - 1, row))
    rng = _generator(seed, epoch, row, 1)
    if recipe.colour_transfer and rng.random() < recipe.colour_transfer:
        image = with_colours_of(pixels[rng.integers(len(pixels))], image)
    return recoloured(image, recipe, rng)


def _generator(*key: int) -> np.random.Generator:
    return np.random.default_rng([int(part) for part in key])
