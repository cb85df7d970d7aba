"""BMP: checks the header against the length of the file."""

from __future__ import annotations

import struct

from allkit.imaging.limits import OnDamage, check_size, unreadable

_CORE, _INFO = 12, 40
_BGR = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
_PLAIN, _RLE8, _RLE4, _MASKS = 0, 1, 2, 3


def check(data: bytes, on_damage: OnDamage) -> None:
    """Raise AllkitError for a BMP that is truncated, too large or of an unsupported kind."""
    try:
        offset, header = struct.unpack_from("<II", data, 10)
        if header == _CORE:
            width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
            compression = _PLAIN
        else:
            width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    except struct.error as error:
        raise unreadable("damaged, it ends inside its header") from error
    if (header != _CORE and not _INFO <= header <= 1024) or bits not in (1, 4, 8, 16, 24, 32):
        raise unreadable("damaged, its header has invalid values")
    if bits == 16 or (compression == _MASKS and data[54:66] != _BGR):
        # OpenCV leaves the lower bits of 16 empty, so that white is 248, and supports only the usual order.
        raise unreadable(f"its layout of {bits} bits per pixel is not supported: save it with 24")
    if compression not in (_PLAIN, _RLE8, _RLE4, _MASKS):
        raise unreadable(f"its compression method {compression} is not supported")
    height = abs(height)
    check_size(width, height)
    if offset >= len(data):
        raise unreadable("damaged, it ends before its pixels")
    needed = offset + (width * bits + 31) // 32 * 4 * height
    if compression in (_PLAIN, _MASKS) and needed > len(data):
        on_damage(f"its pixels need {needed} bytes and it has {len(data)}")
