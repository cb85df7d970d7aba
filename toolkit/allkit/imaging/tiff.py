"""TIFF: the directory is read and every strip or tile checked before libtiff sees the file.

For 8-bit images, OpenCV continues after libtiff reports a strip that cannot be decoded, and leaves the rest undefined.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import cv2
import numpy as np

from allkit.imaging import orientation, strips
from allkit.imaging.depth import to_eight_bits
from allkit.imaging.ifd import read_directory
from allkit.imaging.limits import OnDamage, check_size, unreadable
from allkit.imaging.opencv import imdecode

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR = 0, 1, 2, 6
# Samples per pixel of images with more than 8 bits.
_DEEP_SAMPLES = {_WHITE_IS_ZERO: (1,), _BLACK_IS_ZERO: (1,), _RGB: (3, 4)}
_PHOTOMETRICS = (0, 1, 2, 3, 5, 6)
_OTHER_PHOTOMETRICS = {
    4: "a mask",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "the mosaic of a sensor",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw values",
}
_SAMPLE_FORMATS = {2: "signed integers", 3: "floating-point numbers", 5: "complex integers", 6: "complex numbers"}
_DEEP = (10, 12, 14, 16)
_JPEG = 7
_ASSOCIATED, _UNASSOCIATED = 1, 2
_MOST_TILE_PIXELS, _MOST_BLOCKS = 2**24, 2**16


class Tag(IntEnum):
    """The tags that are read."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    STRIP_AT = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS = 278
    STRIP_BYTES = 279
    MAX_SAMPLE = 281
    PLANAR = 284
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_AT = 324
    TILE_BYTES = 325
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    SUBSAMPLING = 530
    DNG = 50706


class Page:
    """The tags of the first page, with TIFF's defaults. Raises AllkitError for an unsupported kind of image."""

    def __init__(self, data: bytes, on_damage: OnDamage):
        directory = read_directory(data, frozenset(Tag))
        self.tags, self.places = directory.values, directory.places
        if directory.following > len(data):
            on_damage("its next page lies beyond its end")
        self.width, self.height = self.one(Tag.WIDTH, 0), self.one(Tag.HEIGHT, 0)
        self.samples, self.bits = self.one(Tag.SAMPLES, 1), self.one(Tag.BITS, 1)
        self.compression, self.photometric = self.one(Tag.COMPRESSION, 1), self.one(Tag.PHOTOMETRIC, -1)
        self.separate = self.one(Tag.PLANAR, 1) == 2
        self.tiled = Tag.TILE_WIDTH in self.tags
        self._check()

    def one(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return (self.tags.get(tag) or (default,))[0]

    def _check(self) -> None:
        kind = self.one(Tag.SAMPLE_FORMAT, 1)
        if kind in _SAMPLE_FORMATS:
            raise unreadable(
                f"its pixels are {_SAMPLE_FORMATS[kind]}, whose range is not known: save it with 8 or 16 bits"
            )
        if Tag.DNG in self.tags:
            raise unreadable("it is a camera's raw file (DNG): develop it first")
        if self.photometric not in _PHOTOMETRICS:
            name = _OTHER_PHOTOMETRICS.get(self.photometric, f"of kind {self.photometric}")
            raise unreadable(f"its colours are {name}, which allkit does not read in TIFF: save it as RGB")
        if self.compression not in strips.NAMES:
            known = ", ".join(dict.fromkeys(strips.NAMES.values()))
            raise unreadable(f"its compression {self.compression} is not read: save it with {known}")
        if len(set(self.tags.get(Tag.BITS, ()))) > 1 or self.bits not in (1, 8, *_DEEP):
            raise unreadable(f"it has {self.bits} bits a sample: save it with 8 or 16")
        if not 1 <= self.samples <= 8:
            raise unreadable(f"it has {self.samples} samples per pixel")
        if max(self.tags.get(Tag.JPEG_TABLES, ()), default=0) > 255:
            raise unreadable("damaged, its JPEG tables are not bytes")
        if self.bits > 8 and (self.separate or self.samples not in _DEEP_SAMPLES.get(self.photometric, ())):
            raise unreadable(f"its {self.bits}-bit samples are not plain grey or RGB: save it with 8 bits")
        check_size(self.width, self.height, -(-self.bits // 8) * max(self.samples, 3))

    def blocks(self) -> Iterator[strips.Block]:
        """The strips or tiles, in file order."""
        starts = self.tags.get(Tag.TILE_AT if self.tiled else Tag.STRIP_AT, ())
        counts = self.tags.get(Tag.TILE_BYTES if self.tiled else Tag.STRIP_BYTES, ())
        width, height = self.width, self.one(Tag.ROWS, 0) or self.height
        if self.tiled:
            width, height = self.one(Tag.TILE_WIDTH, 0), self.one(Tag.TILE_HEIGHT, 0)
            if not (width > 0 and height > 0) or width * height > _MOST_TILE_PIXELS:
                raise unreadable(f"its tiles have {width} x {height} pixels")
        columns, rows = -(-self.width // width), -(-self.height // height)
        wanted = rows * columns * (self.samples if self.separate else 1)
        if not len(starts) == len(counts) >= wanted:
            raise unreadable(f"damaged, it needs {wanted} strips and lists {min(len(starts), len(counts))}")
        if wanted > _MOST_BLOCKS:
            raise unreadable(f"it has {wanted} strips: save it with larger ones")
        for i, (start, count) in enumerate(zip(starts[:wanted], counts[:wanted], strict=True)):
            row = i // columns % rows
            high = height if self.tiled else min(height, self.height - row * height)
            yield strips.Block(start, count, width, high, self._bytes(width, high))

    def _bytes(self, width: int, height: int) -> int:
        samples = 1 if self.separate else self.samples
        if self.photometric == _YCBCR and self.compression != _JPEG:
            across, down = (self.tags.get(Tag.SUBSAMPLING) or (2, 2))[:2]
            if across not in (1, 2, 4) or down not in (1, 2, 4):
                raise unreadable("damaged, its subsampling is not valid in TIFF")
            return -(-width // across) * -(-height // down) * (across * down + 2)
        return -(-width * samples * self.bits // 8) * height


def read(data: bytes, bits: int | None, on_damage: OnDamage) -> np.ndarray:
    """Decode the first page to uint8 RGB (H, W, 3), upright and without transparency.

    bits: as in `depth.to_eight_bits`.
    """
    page = Page(data, on_damage)
    blocks = list(page.blocks())
    total = sum(min(block.count, max(len(data) - block.at, 0)) for block in blocks)
    if total > len(data):
        # Otherwise any number of strips could share their bytes.
        raise unreadable("damaged, its strips overlap")
    checker = strips.Checker(page.compression, total, bytes(page.tags.get(Tag.JPEG_TABLES, ())))
    for block in blocks:
        if damage := checker.damage(data, block):
            on_damage(damage)
            break
    if page.bits in _DEEP:
        return _deep(data, page, bits)
    extra = page.one(Tag.EXTRA_SAMPLES, 0)
    if extra == _ASSOCIATED and _decoded(data, cv2.IMREAD_UNCHANGED)[..., -1].min() < 255:
        raise unreadable("its colours are multiplied by their transparency: save it without")
    if extra == _UNASSOCIATED:
        # libtiff would multiply the colours by it; declared as a sample of unknown use, it is ignored.
        place = page.places[Tag.EXTRA_SAMPLES]
        data = data[:place] + b"\0\0" + data[place + 2 :]
    return _decoded(data, cv2.IMREAD_COLOR_RGB)


def _deep(data: bytes, page: Page, bits: int | None) -> np.ndarray:
    if page.one(Tag.EXTRA_SAMPLES, 0) == _ASSOCIATED:
        raise unreadable("its colours are multiplied by their transparency: save it without")
    # With its RGB flags, OpenCV 5 mixes up the values of images with three deep channels.
    deep = _decoded(data, cv2.IMREAD_UNCHANGED)
    deep = deep[..., 2::-1] if deep.ndim == 3 else np.dstack([deep] * 3)
    if page.bits < 16:
        # OpenCV aligns packed values to the left.
        bits = 16
    most = 2**16 - 1
    declared = page.one(Tag.MAX_SAMPLE, most)
    image = to_eight_bits(deep, declared if 0 < declared < most else None, bits)
    if page.photometric == _WHITE_IS_ZERO:
        image = 255 - image
    return orientation.upright(image, orientation.of_tag(page.tags.get(Tag.ORIENTATION, ())))


def _decoded(data: bytes, flags: int) -> np.ndarray:
    return imdecode(data, flags, "libtiff cannot decode it")
