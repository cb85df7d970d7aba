"""Limits on the cost of one image, and the errors for damaged ones.

A file of a few bytes can ask for gigabytes, and a damaged file can decode to something that looks like a picture. Both
are detected from the file itself, before memory is allocated.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from allkit.errors import AllkitError

MOST_BYTES = 2**29
# libpng's limit; OpenCV's is nearly the same.
_LONGEST_SIDE = 1_000_000
_PIXELS_SETTING = "OPENCV_IO_MAX_IMAGE_PIXELS"

# Called with a description of the damage; returns if the image is to be read anyway, raises otherwise.
OnDamage = Callable[[str], None]


def refuse(damage: str) -> None:
    """Raise AllkitError for a damaged file."""
    raise AllkitError(f"not a readable image: damaged, {damage} (lenient reading keeps what can be decoded)")


def unreadable(reason: str) -> AllkitError:
    """The error for a file that cannot be read at all."""
    return AllkitError(f"not a readable image: {reason}")


def check_size(width: int, height: int, bytes_per_pixel: int = 3) -> None:
    """Raise AllkitError for an image without pixels, or larger than the memory limit allows.

    bytes_per_pixel: after decoding; more than three lower the limit.
    """
    if not (width > 0 and height > 0):
        raise unreadable(f"it has {width} x {height} pixels")
    if max(width, height) > _LONGEST_SIDE:
        raise unreadable(f"it has {width} x {height} pixels, and no side may be longer than {_LONGEST_SIDE}")
    setting = os.environ[_PIXELS_SETTING]
    if not setting.isdecimal():
        raise AllkitError(f"{_PIXELS_SETTING}={setting} is not a number of pixels")
    most = 3 * int(setting) // max(3, bytes_per_pixel)
    if width * height > most:
        deep = f" of {bytes_per_pixel} bytes" if bytes_per_pixel > 3 else ""
        raise AllkitError(
            f"more than {most / 1e6:.0f} megapixels{deep}: too large to decode; set {_PIXELS_SETTING} to allow more"
        )
