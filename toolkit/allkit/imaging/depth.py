"""Convert 16-bit images, whose values may use fewer bits, to 8 bits."""

from __future__ import annotations

import numpy as np

from allkit.errors import AllkitError
from allkit.imaging.limits import unreadable

# A stained smear shows dark cells on a bright ground. If no value reaches a quarter of the range, the values come from
# a camera of 8, 10, 12 or 14 bits, and their upper eight bits would be black.
_USED = 14


def check_bits(bits: int | None) -> None:
    """Raise AllkitError for a number of bits that a 16-bit image cannot have."""
    if bits is not None and not 8 <= bits <= 16:
        raise AllkitError(f"{bits} bits are out of range: give 8 to 16")


def to_eight_bits(deep: np.ndarray, declared: int | None, bits: int | None) -> np.ndarray:
    """Convert a uint16 array to uint8.

    bits: number of bits the values use, as given by the user. declared: largest possible value according to the file;
    if values exceed it, it gives the number of upper bits that count. Without either, all sixteen bits are assumed to
    be used; AllkitError if they clearly are not.
    """
    highest = int(deep.max())
    if bits is not None:
        if highest >> bits:
            raise unreadable(f"its values go up to {highest}, which does not fit into {bits} bits")
        return (deep >> (bits - 8)).astype(np.uint8)
    if declared is not None and declared >= 255 and highest <= declared:
        if declared & (declared + 1) == 0:
            return (deep >> (declared.bit_length() - 8)).astype(np.uint8)
        return (deep * np.float32(255 / declared) + np.float32(0.5)).astype(np.uint8)
    if highest < 2**_USED:
        likely = next(size for size in (8, 10, 12, 14) if highest < 2**size)
        raise unreadable(
            f"its 16-bit values go up to {highest} only and would look black: give their number of bits, as in "
            f"`--bits {likely}` or Classifier(bits={likely}), or 16 if the image is that dark"
        )
    return (deep >> 8).astype(np.uint8)
