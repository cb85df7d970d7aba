"""The kinds of images that a classifier takes, and their conversion for the pixel path."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from allkit.errors import AllkitError
from allkit.runtime.pipeline import Source

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

    Image = str | Path | bytes | bytearray | memoryview | np.ndarray | PilImage | AllkitError

COLORS = ("rgb", "bgr")
# Pillow modes with more than eight bits, which its conversion to RGB would cut off.
_DEEP = ("I", "F")


def is_one(images: object) -> bool:
    """Whether this is one image, not a collection of images."""
    if isinstance(images, np.ndarray):
        return images.ndim < 4
    return isinstance(images, str | os.PathLike | bytes | bytearray | memoryview) or _is_pil(images)


def as_source(image: Image, color: str) -> Source:
    """A path, encoded bytes or an RGB array; AllkitError for anything else. color: channel order of arrays.

    An AllkitError in the place of an image says why there is none, and is raised.
    """
    if isinstance(image, AllkitError):
        raise image
    if isinstance(image, np.ndarray):
        return image[..., ::-1] if color == "bgr" and image.ndim == 3 else image
    if isinstance(image, str | os.PathLike | bytes):
        return image
    if isinstance(image, bytearray | memoryview):
        return bytes(image)
    if not _is_pil(image):
        raise AllkitError(f"an image is a path, encoded bytes, an array or a PIL image, not {type(image).__name__}")
    from PIL import ImageOps

    if image.mode.startswith(_DEEP):
        raise AllkitError(f"a PIL image of mode {image.mode} has more than 8 bits: give its file, or convert it to RGB")
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def _is_pil(image: object) -> bool:
    # Pillow is not a dependency: whoever passes a PIL image has loaded it.
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(image, pil.Image)
