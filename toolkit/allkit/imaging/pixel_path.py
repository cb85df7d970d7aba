"""The pixel path: encoded bytes to the uint8 RGB tensor that a model reads.

Training, calibration, benchmarks and inference all use this module; nothing else decodes or resizes. Exported models
often disagree with the trained ones because two programs resize the same file differently. That cannot happen with a
single path, described by a value that travels inside the model.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from allkit.errors import AllkitError, reason
from allkit.imaging.decoding import decode
from allkit.imaging.depth import check_bits
from allkit.imaging.limits import MOST_BYTES, OnDamage, refuse

__all__ = [
    "SUFFIXES",
    "PixelPath",
    "central_square",
    "check_bits",
    "decode",
    "is_image_name",
    "natural_key",
    "read_bytes",
    "refuse",
    "stack",
]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})

_KERNELS = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}
_JPEG_SCALES = (1, 2)


@dataclass(frozen=True)
class PixelPath:
    """How an image becomes a (size_px, size_px, 3) uint8 RGB array.

    An image that is not square is cropped to its central square, never stretched: the shape of a cell is evidence.
    `shrink` and `enlarge` name the OpenCV kernels used when the square is larger or smaller than `size_px`. With
    `jpeg_scale` 2, libjpeg decodes JPEG files at half their size, which takes half the time and leaves less to resize;
    other formats and arrays are not scaled.
    """

    size_px: int
    shrink: str = "area"
    enlarge: str = "linear"
    jpeg_scale: int = 1

    def __post_init__(self):
        if not 8 <= self.size_px <= 4096:
            raise AllkitError(f"image size {self.size_px} is out of range: give 8 to 4096 pixels")
        for kernel in (self.shrink, self.enlarge):
            if kernel not in _KERNELS:
                raise AllkitError(f"unknown resize kernel {kernel!r}: allkit knows {', '.join(sorted(_KERNELS))}")
        if self.jpeg_scale not in _JPEG_SCALES:
            raise AllkitError(f"unknown JPEG scale {self.jpeg_scale!r}: allkit knows 1 and 2")

    def fit(self, image: np.ndarray) -> np.ndarray:
        """Crop and resize an RGB uint8 array (H, W, 3) to (size_px, size_px, 3)."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise AllkitError(f"an image must be a uint8 array (H, W, 3), not {image.dtype} {image.shape}")
        square = central_square(image)
        side = len(square)
        if side == self.size_px:
            return square
        kernel = _KERNELS[self.shrink if side > self.size_px else self.enlarge]
        return cv2.resize(square, (self.size_px, self.size_px), interpolation=kernel)

    def load(
        self,
        source: Path | str | bytes | np.ndarray,
        lap: Callable[[str], None] = lambda stage: None,
        bits: int | None = None,
        on_damage: OnDamage = refuse,
    ) -> np.ndarray:
        """Read a path, encoded bytes or an RGB uint8 array (H, W, 3) into a (size_px, size_px, 3) array.

        lap: called with the name of each finished stage: read, decode, resize; an array is only resized.
        bits, on_damage: as in `decode`. Raises AllkitError, naming the cause, for what cannot be read as an image.
        """
        image = source
        if not isinstance(source, np.ndarray):
            data = source if isinstance(source, bytes) else read_bytes(source)
            lap("read")
            image = decode(data, self.jpeg_scale, bits, on_damage)
            lap("decode")
        fitted = self.fit(image)
        lap("resize")
        return fitted


def central_square(image: np.ndarray) -> np.ndarray:
    """The largest square in the middle of an image (H, W, ...)."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def read_bytes(path: Path | str, most_bytes: int = MOST_BYTES, name: Path | str | None = None) -> bytes:
    """The content of a regular file of at most `most_bytes`; AllkitError when it cannot be read.

    FIFOs and devices are refused at once. name: what messages call it.
    """
    name = path if name is None else name
    try:
        # Without O_NONBLOCK, opening a FIFO waits for a writer.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags)
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise AllkitError(f"cannot read {name}: it is not a regular file")
            if facts.st_size > most_bytes:
                raise AllkitError(f"cannot read {name}: it is larger than {most_bytes // 2**20} MiB")
            # A stream would take twice as long to open as a small file to read. Other systems read less than asked.
            return b"".join(iter(lambda: os.read(descriptor, facts.st_size + 1), b""))
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        pattern = any(character in str(name) for character in "*?[")
        advice = "; if it is a pattern, leave out the quotation marks around it, or give the folder" if pattern else ""
        raise AllkitError(f"cannot read {name}: {reason(error)}{advice}") from error
    except (OSError, ValueError) as error:
        raise AllkitError(f"cannot read {name}: {reason(error)}") from error


def is_image_name(name: str) -> bool:
    """Whether a file name ends like an image that allkit reads."""
    return Path(name).suffix.lower() in SUFFIXES


def natural_key(path: str) -> list:
    """Sort key that orders runs of digits by value: img2 before img10."""
    # isdecimal matches exactly what \d matches and int() reads; isdigit would also accept "²".
    return [(1, int(run), "") if run.isdecimal() else (0, 0, run) for run in re.split(r"(\d+)", path) if run]


def stack(images: Sequence[np.ndarray], size_px: int) -> np.ndarray:
    """Stack images (S, S, 3) into one contiguous uint8 batch (N, S, S, 3); N may be 0."""
    return np.stack(images) if images else np.empty((0, size_px, size_px, 3), np.uint8)
