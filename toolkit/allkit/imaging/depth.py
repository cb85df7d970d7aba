"""Sixteen bits to eight, where the values may use fewer than sixteen."""

from __future__ import annotations

import numpy as np

from allkit.errors import AllkitError
from allkit.imaging.limits import unreadable

# A stained smear is a dark picture of cells on a bright ground. Where nothing reaches a quarter of the range, the
# values are those of a camera of 8, 10, 12 or 14 bits, and their upper eight would be black.
_USED = 14


def check_bits(bits: int | None) -> None:
    """Raise AllkitError for a number of bits that no 16-bit image has."""
    if bits is not None and not 8 <= bits <= 16:
        raise AllkitError(f"{bits} bits are out of range: give 8 to 16")


def to_eight_bits(deep: np.ndarray, declared: int | None, bits: int | None) -> np.ndarray:
    """Values of a uint16 array as uint8.

    bits: how many the values have, as the user says. declared: the largest value there can be, as the file says; in a
    file whose values are larger, it means how many of the upper bits count. Without either, and where it means that,
    all sixteen are taken to be used: AllkitError where they clearly are not.
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
            f"its 16-bit values go up to {highest} only and would look black: say how many bits they have, as in "
            f"`--bits {likely}` or Classifier(bits={likely}), or 16 if the image is that dark"
        )
    return (deep >> 8).astype(np.uint8)
