"""The images a model was trained on, so that results on them are not mistaken for results on new images.

Besides its contract, a model has a metadata entry with a few bytes per image of its split: the beginning of the file's
SHA-256, which finds it under any name, and for training and validation images a perceptual hash, which finds it in
another format or size.

The perceptual hash is a difference hash of 64 bits: the grey picture is shrunk to 8 rows of 9 pixels, and a bit is set
where a pixel is brighter than its left neighbour. Copies are searched in all eight orientations, because training
rotates and reflects. `benchmarks/training_images.py` measures hits and false alarms.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import central_square

Copy = Literal["exact", "near"]

METADATA_KEY = "allkit.images"
PARTS = ("train", "validation", "test", "left_out")

# With n known and m other images, n * m / 2^40 match by chance: 0.0000082 for 2,770 and 3,256.
HASH_BYTES = 5

# Copies of smears differ in at most 6 of 64 bits, other smears in 9 or more, those of other slides in 12 or more.
NEAR_BITS = 6

# A picture with fewer set or unset bits has hardly any contrast and resembles any other such picture.
_LEAST_BITS = 8

_HASH_BITS = 64
_COUNTS = struct.Struct("<4I")
# 100,000 images need a twentieth of this.
_MOST_CHARACTERS = 2**26
_FIX = "export the model again"


@dataclass(frozen=True)
class Found:
    """What a model knows of n images.

    parts: text (n,), the part of its split with the same file, empty if none. groups: int64 (n,), group number in the
    split, -1 if in no part. copies: text (n,), "exact" for a file of training or validation, "near" for an image that
    looks like one, else "none".
    """

    parts: np.ndarray
    groups: np.ndarray
    copies: np.ndarray

    @property
    def trained_on(self) -> np.ndarray:
        """Whether the model was trained on each image, bool (n,).

        An image held out by its split was not trained on, even if it looks like one that was.
        """
        return (self.copies == "exact") | ((self.copies == "near") & (self.parts == ""))


@dataclass(frozen=True)
class TrainingImages:
    """The images of a model's split, part by part in the order of `PARTS`, with each group contiguous.

    counts: images per part. hashes: uint8 (n, 5), the first bytes of each file's SHA-256. first: bool (n,), whether an
    image is the first of its group. pictures: uint8 (k, 8), the perceptual hash of each image of the first two parts.
    """

    counts: tuple[int, ...]
    hashes: np.ndarray
    first: np.ndarray
    pictures: np.ndarray

    @classmethod
    def of(
        cls,
        parts: Mapping[str, Sequence[str]],
        hashes: Mapping[str, str],
        groups: Mapping[str, int],
        pictures: Mapping[str, np.ndarray],
    ) -> TrainingImages:
        """From the paths of all parts but the last, which has the rest; and, by path, the SHA-256 of each file, its
        group, and the perceptual hash uint8 (8,) of training and validation images."""
        dealt = {path for paths in parts.values() for path in paths}
        whole = {**parts, PARTS[-1]: [path for path in hashes if path not in dealt]}
        ordered = [sorted(whole[part], key=groups.__getitem__) for part in PARTS]
        paths = [path for part in ordered for path in part]
        numbers = np.array([groups[path] for path in paths], np.int64)
        return cls(
            tuple(map(len, ordered)),
            np.array([_beginning(hashes[path]) for path in paths]).reshape(-1, HASH_BYTES),
            np.concatenate([[True], numbers[1:] != numbers[:-1]])[: len(paths)],
            np.array([pictures[path] for path in (*ordered[0], *ordered[1])], np.uint8).reshape(-1, _HASH_BITS // 8),
        )

    def to_text(self) -> str:
        """The metadata entry: base64 of the counts, the hashes, one bit per image for `first`, and the pictures."""
        data = _COUNTS.pack(*self.counts) + self.hashes.tobytes()
        data += np.packbits(self.first).tobytes() + self.pictures.tobytes()
        return base64.b64encode(data).decode()

    @classmethod
    def from_text(cls, text: str | bytes) -> TrainingImages:
        """Read the metadata entry; AllkitError when it is not one."""
        try:
            if len(text) > _MOST_CHARACTERS:
                raise ValueError("too long")
            data = base64.b64decode(text, validate=True)
            counts = _COUNTS.unpack_from(data)
            n, known = sum(counts), sum(counts[:2])
            ends = np.cumsum([_COUNTS.size, n * HASH_BYTES, (n + 7) // 8, known * _HASH_BITS // 8]).tolist()
            if ends[-1] != len(data):
                raise ValueError("its length does not fit its counts")
        except (binascii.Error, struct.error, ValueError) as error:
            raise AllkitError(f"the list of the model's training images cannot be read ({error}): {_FIX}") from error
        hashes, first, pictures = (np.frombuffer(data[a:b], np.uint8) for a, b in pairwise(ends))
        return cls(
            counts,
            hashes.reshape(-1, HASH_BYTES),
            np.unpackbits(first, count=n).astype(bool),
            pictures.reshape(-1, _HASH_BITS // 8),
        )

    def find(self, hashes: Sequence[str | None], pictures: np.ndarray) -> Found:
        """Look up n images.

        hashes: SHA-256 of each file in hexadecimal, None for an image without a file. pictures: uint8 (n, 8, 8), the
        `perceptual_hashes` of each.
        """
        places = [-1 if digest is None else self._places.get(_beginning(digest).tobytes(), -1) for digest in hashes]
        rows = np.array(places, np.int64)
        # The last entry, at index -1, is for unknown images.
        parts, groups = self._parts[rows], self._groups[rows]
        copies = np.where(self._resembled(pictures), "near", "none").astype("<U5")
        copies[np.isin(parts, PARTS[:2])] = "exact"
        return Found(parts, groups, copies)

    def copy_of(self, digest: str | None, image: np.ndarray) -> Copy | None:
        """Whether an RGB image, uint8 (H, W, 3), is a copy of a training or validation image; None if it is not.

        digest: SHA-256 of its file, None without a file. An image held out by the split is not a copy.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            return None
        found = self.find([digest], perceptual_hashes(image)[None])
        return found.copies.item() if found.trained_on.item() else None

    def count(self, part: str) -> int:
        """Number of images in a part."""
        return self.counts[PARTS.index(part)]

    def multiplicity(self, digest: str) -> int:
        """Number of images of the split with this content."""
        return self._times[_beginning(digest).tobytes()]

    @cached_property
    def _times(self) -> Counter[bytes]:
        return Counter(digest.tobytes() for digest in self.hashes)

    @cached_property
    def _parts(self) -> np.ndarray:
        return np.array([*np.repeat(PARTS, self.counts), ""])

    @cached_property
    def _groups(self) -> np.ndarray:
        return np.append(np.cumsum(self.first) - 1, -1)

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {digest.tobytes(): place for place, digest in enumerate(self.hashes)}

    def _resembled(self, pictures: np.ndarray) -> np.ndarray:
        """Whether each of n images looks like a training or validation image in some orientation, bool (n,)."""
        known, asked = _words(self.pictures), _words(pictures)
        ones = np.bitwise_count(asked)
        contrast = (ones >= _LEAST_BITS) & (ones <= _HASH_BITS - _LEAST_BITS)
        # One at a time, because a table of all pairs would be large.
        nearest = [
            np.bitwise_count(row[:, None] ^ known).min(axis=1, initial=_HASH_BITS) for row in asked.reshape(-1, 8)
        ]
        return ((np.reshape(nearest, contrast.shape) <= NEAR_BITS) & contrast).any(axis=-1)


def perceptual_hashes(image: np.ndarray) -> np.ndarray:
    """Perceptual hash of the central square of an RGB image, uint8 (H, W, 3), in its eight orientations.

    Returns uint8 (8, 8), one row per orientation, starting with the image as it is.
    """
    grey = cv2.cvtColor(central_square(image), cv2.COLOR_RGB2GRAY)
    upright = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    turned = cv2.resize(grey, (8, 9), interpolation=cv2.INTER_AREA).T
    seen = np.stack([one[::down, ::right] for one in (upright, turned) for down in (1, -1) for right in (1, -1)])
    return np.packbits(seen[:, :, 1:] > seen[:, :, :-1], axis=None).reshape(len(seen), _HASH_BITS // 8)


def entry_digest(text: str | bytes) -> str:
    """SHA-256 of the metadata entry, in hexadecimal, for the contract."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def _beginning(digest: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(digest[: 2 * HASH_BYTES]), np.uint8)


def _words(hashes: np.ndarray) -> np.ndarray:
    """Packed hashes uint8 (..., 8) as one number each, uint64 (...)."""
    return np.ascontiguousarray(hashes).view(np.uint64)[..., 0]
