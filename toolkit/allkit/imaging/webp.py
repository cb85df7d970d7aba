"""WebP: sizes are checked before libwebp sees the file."""

from __future__ import annotations

import struct

from allkit.imaging.limits import OnDamage, check_size, unreadable

# OpenCV shows the first frame of an animation, but libwebp first walks over all frames.
_MOST_CHUNKS = 10_000
_CONTAINED = 16


def check(data: bytes, on_damage: OnDamage) -> None:
    """Raise AllkitError for a WebP whose length is wrong or that is too large; libwebp reports the rest.

    The data have no checksum, so lost or inserted bytes only show in the length.
    """
    claimed = 8 + int.from_bytes(data[4:8], "little")
    if not claimed <= len(data) <= claimed + claimed % 2:
        on_damage(f"it claims {claimed} bytes and has {len(data)}")
    at = 12
    for _ in range(_MOST_CHUNKS):
        if at + 8 > min(claimed, len(data)):
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + length] if length < 64 else data[at + 8 : at + 72]
        if at + 8 + length > len(data):
            on_damage(f"a chunk claims {length} bytes, more than the file has")
        if kind == b"ANMF":
            # A header of 16 bytes, followed by chunks like those outside.
            check_size(1 + _three(content[6:9]), 1 + _three(content[9:12]), 4)
            at += 8 + _CONTAINED
            continue
        if size := _size(kind, content):
            check_size(*size, 4)
        at += 8 + length + length % 2
    raise unreadable(f"it has more than {_MOST_CHUNKS} chunks")


def _size(kind: bytes, content: bytes) -> tuple[int, int] | None:
    if kind == b"VP8X" and len(content) >= 10:
        return 1 + _three(content[4:7]), 1 + _three(content[7:10])
    if kind == b"VP8 " and len(content) >= 10:
        width, height = struct.unpack_from("<HH", content, 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and len(content) >= 5:
        packed = int.from_bytes(content[1:5], "little")
        return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    return None


def _three(content: bytes) -> int:
    return int.from_bytes(content, "little")
