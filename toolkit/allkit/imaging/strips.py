"""Check the strips or tiles of a TIFF for damage, by compression."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from allkit.imaging import jpeg
from allkit.imaging.limits import unreadable

NAMES = {1: "no compression", 5: "LZW", 7: "JPEG", 8: "deflate", 32773: "PackBits", 32946: "deflate"}
_NONE, _LZW, _JPEG, _PACKBITS = 1, 5, 7, 32773

# The budget for the checks of one image, a few seconds at most. A full LZW table takes 5,700 bytes of file.
_MOST_TABLES, _FEW_TABLES, _BYTES_PER_TABLE, _MOST_RUNS = 2**15, 2**10, 2**11, 2**23
# Sequential JPEG has at most one scan per component.
_MOST_SCANS = 4

# LZW: after a clear code, codes have 9 bits until the table has 511 entries, and so on up to 12. After this many codes
# the table is full and must be cleared.
_CLEAR, _END = 256, 257
_WIDTHS = np.repeat([9, 10, 11, 12], [254, 512, 1024, 2050])
_STARTS = np.concatenate([[0], np.cumsum(_WIDTHS)[:-1]])


@dataclass(frozen=True)
class Block:
    """A strip or tile: its position in the file, its pixels, and its size in bytes when decoded."""

    at: int
    count: int
    width: int
    height: int
    size: int


class Checker:
    """Checks the strips of one image in turn.

    total: bytes of all strips in the file. tables: JPEG tables shared by all strips.
    """

    def __init__(self, compression: int, total: int, tables: bytes):
        self._compression, self._tables = compression, tables
        self._tables_left = min(_MOST_TABLES, _FEW_TABLES + total // _BYTES_PER_TABLE)
        self._runs_left = _MOST_RUNS

    def damage(self, data: bytes, block: Block) -> str | None:
        """What is wrong with a block of the file; None if it is sound.

        Raises AllkitError when the checks of this image take too long.
        """
        end = block.at + block.count
        if end > len(data) or not block.count:
            return f"a strip ends at byte {end} of {len(data)}"
        if self._compression == _NONE:
            return None if block.count >= block.size else f"a strip has {block.count} bytes of {block.size}"
        strip = data[block.at : end]
        if self._compression == _JPEG:
            return self._jpeg(strip, block)
        whole = {_LZW: self._lzw, _PACKBITS: self._packbits}.get(self._compression, _deflate)
        return None if whole(strip, block.size) else f"a strip cannot be decoded as {NAMES[self._compression]}"

    def _jpeg(self, strip: bytes, block: Block) -> str | None:
        # Both are complete streams: the tables lose their end marker and the strip its start marker.
        stream = self._tables[:-2] + strip[2:] if self._tables else strip
        header = jpeg.read_header(stream)
        # The last strip may be padded, and any strip to whole blocks.
        if header.width > block.width + 31 or header.height > block.height + 31 or header.scans > _MOST_SCANS:
            raise unreadable("damaged, a JPEG strip is not of the size that the directory says")
        words = jpeg.first_warning(stream, header)
        return f"a strip has: {words}" if words else None

    def _packbits(self, strip: bytes, size: int) -> bool:
        at = given = 0
        while given < size and at < len(strip):
            self._runs_left -= 1
            if self._runs_left < 0:
                raise unreadable("its PackBits data have too many runs: save it without compression")
            head = strip[at]
            if head < 128:
                at, given = at + 2 + head, given + 1 + head
            elif head > 128:
                at, given = at + 2, given + 257 - head
            else:
                at += 1
        return given == size and at <= len(strip)

    def _lzw(self, strip: bytes, size: int) -> bool:
        """Whether valid codes decode to at least `size` bytes."""
        padded = np.frombuffer(strip + b"\0\0\0", np.uint8).astype(np.uint32)
        bit, given = 0, 0
        while True:
            self._tables_left -= 1
            if self._tables_left < 0:
                raise unreadable("its LZW data have too many tables: save it without compression")
            places = bit + _STARTS
            inside = places + _WIDTHS <= 8 * len(strip)
            places, widths = places[inside], _WIDTHS[inside]
            first = places >> 3
            windows = (padded[first] << 16 | padded[first + 1] << 8 | padded[first + 2]).astype(np.int64)
            codes = windows >> (24 - (places & 7) - widths) & (1 << widths) - 1
            ends = np.flatnonzero((codes == _CLEAR) | (codes == _END))
            used = codes[: ends[0]] if len(ends) else codes
            # The k-th code after a clear is a byte, or one of the entries 258 to 257 + k.
            unknown = np.flatnonzero(used > 257 + np.arange(len(used)))
            given += int(_lengths(used[: unknown[0]] if len(unknown) else used).sum())
            if given >= size:
                return True
            if len(unknown) or not len(ends) or codes[ends[0]] == _END:
                return False
            bit = int(places[ends[0]] + widths[ends[0]])


def _deflate(strip: bytes, size: int) -> bool:
    engine = zlib.decompressobj()
    try:
        # One byte more than there are pixels, so that the checksum after them is read.
        return len(engine.decompress(strip, size + 1)) == size and engine.eof
    except zlib.error:
        return False


def _lengths(codes: np.ndarray) -> np.ndarray:
    """Number of bytes each LZW code stands for: entry 258 + k is the string of the k-th code plus one byte."""
    lengths = np.ones(len(codes), np.int64)
    before = codes - 258
    while (long := np.flatnonzero(before >= 0)).size:
        lengths[long] += lengths[before[long]]
        before[long] = before[before[long]]
    return lengths
