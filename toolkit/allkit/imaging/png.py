"""PNG: every chunk is checked before libpng sees the file, and libpng only sees the chunks it needs.

libpng allocates the memory that a chunk claims, inflates texts and profiles of any size, and prints to stderr; OpenCV
shows a frame other than the first of some animations. OpenCV is therefore given only critical chunks with checked data.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from allkit.imaging import orientation
from allkit.imaging.depth import to_eight_bits
from allkit.imaging.limits import OnDamage, check_size, unreadable
from allkit.imaging.opencv import imdecode

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 100_000
_PIECE_BYTES = 2**18
_MOST_PROFILE_BYTES = 2**20

# Colour type to the number of channels and the allowed bit depths.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PALETTE = 3

# The seven passes of Adam7: first column, first row, and the steps between them.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PROFILES = (b"Raw profile type exif\0", b"Raw profile type APP1\0")


@dataclass
class Chunks:
    """The content of a PNG. data: all of IDAT. exif: the block in eXIf, or in ImageMagick's text. bits: of sBIT, 0
    without it."""

    header: bytes = b""
    palette: bytes = b""
    data: list[memoryview] = field(default_factory=list)
    exif: bytes = b""
    bits: int = 0


def read(data: bytes, bits: int | None, on_damage: OnDamage) -> np.ndarray:
    """Decode to uint8 RGB (H, W, 3), upright and without transparency; the default image of an animation.

    bits: as in `depth.to_eight_bits`.
    """
    chunks = _chunks(data, on_damage)
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", chunks.header)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise unreadable("damaged, its header has invalid values")
    if colour == _PALETTE and not chunks.palette:
        raise unreadable("damaged, its palette is missing")
    check_size(width, height, _CHANNELS[colour] * depth // 8)
    _check_rows(chunks.data, _passes(width, height, _CHANNELS[colour] * depth, interlace))
    # Missing palette entries are black.
    palette = chunks.palette.ljust(3 << depth, b"\0")[: 3 << depth] if colour == _PALETTE else b""
    image = _decoded(chunks.header, palette, chunks.data, deep=depth == 16)
    if depth == 16:
        # Writers that do not know the number of bits declare sixteen, so that value says nothing.
        image = to_eight_bits(image, 2**chunks.bits - 1 if 0 < chunks.bits < depth else None, bits)
    return orientation.upright(image, orientation.of_exif(chunks.exif))


def _chunks(data: bytes, on_damage: OnDamage) -> Chunks:
    chunks, profile = Chunks(), b""
    view = memoryview(data)
    at = len(_SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        if at + 12 > len(data):
            raise unreadable("damaged, it ends before its last chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            raise unreadable(f"damaged, a chunk claims {length} bytes, more than the file has")
        content = view[at + 8 : end]
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4]):
            on_damage(f"the checksum of a chunk {kind.decode('latin-1')!r} is wrong")
        at = end + 4
        match kind:
            case b"IHDR" if not chunks.header and length == 13:
                chunks.header = bytes(content)
            case b"PLTE" if 0 < length <= 768 and length % 3 == 0:
                chunks.palette = bytes(content)
            case b"IDAT":
                chunks.data.append(content)
            case b"sBIT" if 0 < length <= 4:
                # The last of two and four values is that of transparency.
                chunks.bits = max(content[:-1] if length in (2, 4) else content)
            case b"eXIf" if length <= _MOST_PROFILE_BYTES:
                chunks.exif = bytes(content)
            case b"tEXt" | b"zTXt" | b"iTXt" if length <= _MOST_PROFILE_BYTES and bytes(content[:22]) in _PROFILES:
                profile = _profile(kind, bytes(content[22:]))
            case b"IEND":
                break
            case _ if not kind[0] & 0x20:
                raise unreadable(f"damaged, it has a critical chunk {kind.decode('latin-1')!r} that is not PNG")
    else:
        raise unreadable(f"it has more than {_MOST_CHUNKS} chunks")
    if not chunks.header or not chunks.data:
        raise unreadable("damaged, a PNG without a header or without data")
    chunks.exif = chunks.exif or profile
    return chunks


def _profile(kind: bytes, text: bytes) -> bytes:
    """EXIF in a text chunk, as ImageMagick writes it: name, length and hexadecimal block, on separate lines."""
    compressed = kind == b"zTXt"
    if kind == b"iTXt":
        # Compression flag and method, then language and translated keyword, each ending in a zero.
        compressed, text = text[:1] == b"\1", text[2:].split(b"\0", 2)[-1]
    elif compressed:
        text = text[1:]
    try:
        if compressed:
            text = zlib.decompressobj().decompress(text, _MOST_PROFILE_BYTES)
        return bytes.fromhex(b"".join(text.strip().split(b"\n")[2:]).decode("ascii"))
    except (zlib.error, ValueError):
        # Invalid metadata is ignored.
        return b""


def _passes(width: int, height: int, bits_per_pixel: int, interlace: int) -> list[tuple[int, int]]:
    """Rows, and bytes per row including the filter byte, of each pass."""
    sizes = [(width, height)]
    if interlace:
        sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _PASSES]
    return [(rows, 1 + -(-columns * bits_per_pixel // 8)) for columns, rows in sizes if columns > 0 and rows > 0]


def _check_rows(data: list[memoryview], passes: list[tuple[int, int]]) -> None:
    """Raise AllkitError unless the data inflate to exactly these rows, each with a valid filter."""
    starts = np.cumsum([0, *(rows * stride for rows, stride in passes)]).tolist()
    at = 0
    try:
        for piece in _inflated(data):
            end = at + len(piece)
            if end > starts[-1]:
                raise unreadable("damaged, it has more data than pixels")
            for (_, stride), start, stop in zip(passes, starts[:-1], starts[1:], strict=True):
                first = start + -(-max(at - start, 0) // stride) * stride
                filters = piece[first - at : min(stop, end) - at : stride] if first < min(stop, end) else b""
                if filters and max(filters) > 4:
                    raise unreadable("damaged, a row has an invalid filter")
            at = end
    except zlib.error as error:
        raise unreadable(f"damaged, its data cannot be inflated ({error})") from error
    if at != starts[-1]:
        raise unreadable("damaged, its data end before its pixels")


def _inflated(data: list[memoryview]) -> Iterator[bytes]:
    engine = zlib.decompressobj()
    for chunk in data:
        for at in range(0, len(chunk), _PIECE_BYTES):
            # zlib copies the rest of a piece at every turn, so pieces are short.
            left = chunk[at : at + _PIECE_BYTES]
            while left and not engine.eof:
                yield engine.decompress(left, _PIECE_BYTES)
                left = engine.unconsumed_tail
            if left or engine.unused_data:
                raise unreadable("damaged, it has more data than pixels")
    while not engine.eof and (piece := engine.decompress(b"", _PIECE_BYTES)):
        yield piece
    if not engine.eof:
        raise unreadable("damaged, its data end before its pixels")


def _decoded(header: bytes, palette: bytes, data: list[memoryview], deep: bool) -> np.ndarray:
    plain = b"".join(
        [
            _SIGNATURE,
            *_chunk(b"IHDR", [header]),
            *(_chunk(b"PLTE", [palette]) if palette else ()),
            *_chunk(b"IDAT", data),
            *_chunk(b"IEND", []),
        ]
    )
    flags = cv2.IMREAD_COLOR_RGB | (cv2.IMREAD_ANYDEPTH if deep else 0)
    return imdecode(plain, flags, "libpng cannot decode it")


def _chunk(kind: bytes, pieces: Sequence[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    yield struct.pack(">I4s", sum(map(len, pieces)), kind)
    checksum = zlib.crc32(kind)
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
        yield piece
    yield struct.pack(">I", checksum)
