"""Heat maps laid over their images, one PNG per image, and a contact sheet."""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from allkit.errors import AllkitError
from allkit.model.contract import Contract
from allkit.runtime.classifier import Prediction
from allkit.runtime.evidence import load_square, overlay, put_text, share_covered, text_width, with_legend
from allkit.support.files import replacing
from allkit.support.text import shortened

# What ends so is a picture of a heat map, and is not classified when its folder is.
SUFFIX = ".heatmap.png"
CONTACT_SHEET = f"contact-sheet{SUFFIX}"

# In bytes, on common file systems.
_LONGEST_NAME = 255

_STRONGEST, _TILE_PX, _MARGIN_PX, _TEXT_PX = 6, 240, 8, 22


class OverlayFolder:
    """A folder of overlays that mirrors the folders of the images, with a contact sheet of the best of each class.

    paths: all images to come, whose common folder is removed. An overlay is named after its image with `SUFFIX`
    appended; a name too long for a file is cut and ends with a digest. bits: as for the classifier. Raises AllkitError
    if an overlay would replace an image.
    """

    def __init__(self, folder: Path, paths: Sequence[Path], contract: Contract, bits: int | None = None):
        self._folder, self._contract, self._bits = folder, contract, bits
        self._root = Path(os.path.commonpath([_absolute(path).parent for path in paths]))
        self._strongest: dict[str, list] = {name: [] for name in contract.classes}
        # The later of two equally confident images counts, even if some were classified in an earlier run.
        self._rank = {path: rank for rank, path in enumerate(paths)}
        self._tidied: set[Path] = set()
        self._refuse_images(paths)

    def add(self, path: Path, prediction: Prediction) -> None:
        """Write the overlay of an image, unless the image could not be read."""
        if prediction.heatmap is None:
            return
        try:
            image = load_square(path, self._contract, self._bits)
        except AllkitError:
            # Deleted since it was classified: its row stays, and there is nothing to draw on.
            return
        drawn = overlay(image, prediction.heatmap, share_covered(self._contract))
        target = self._target(path)
        _write(target, with_legend(drawn, prediction.label), tidy=target.parent not in self._tidied)
        self._tidied.add(target.parent)
        strongest = self._strongest[prediction.label]
        strength = prediction.confidence, self._rank[path]
        if len(strongest) == _STRONGEST and strength < strongest[0][:2]:
            return
        tiles = tuple(cv2.resize(one, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA) for one in (image, drawn))
        entry = (*strength, path.name, tiles)
        (heapq.heappush if len(strongest) < _STRONGEST else heapq.heappushpop)(strongest, entry)

    def write_contact_sheet(self) -> Path:
        """Write one band per class: its most confident images, each above its overlay."""
        bands = [self._band(name, sorted(entries, reverse=True)) for name, entries in self._strongest.items()]
        path = self._folder / CONTACT_SHEET
        _write(path, np.concatenate(bands))
        return path

    def _target(self, path: Path) -> Path:
        relative = _absolute(path).relative_to(self._root)
        return self._folder / relative.with_name(_png_name(relative.name))

    def _refuse_images(self, paths: Sequence[Path]) -> None:
        images = {identity: path for path in paths if (identity := _identity(path))}
        for target in [self._folder / CONTACT_SHEET, *map(self._target, paths)]:
            if image := images.get(_identity(target)):
                raise AllkitError(
                    f"heat maps would overwrite {image}, which is an input: give them a folder of their own"
                )

    def _band(self, name: str, entries: list) -> np.ndarray:
        step = _TILE_PX + _MARGIN_PX
        top = 3 * _TEXT_PX
        height = top + 2 * step + _MARGIN_PX if entries else 2 * _TEXT_PX
        band = np.full((height, _STRONGEST * step + _MARGIN_PX, 3), 255, np.uint8)
        heading = f"{name}: the most confident images, and below them where the evidence for {name} lies"
        put_text(band, heading if entries else f"{name}: no image", _MARGIN_PX, _TEXT_PX - 7)
        for column, (confidence, _, file_name, tiles) in enumerate(entries):
            left = _MARGIN_PX + column * step
            put_text(band, f"{confidence:.3f}", left, 2 * _TEXT_PX - 7)
            put_text(band, _fitting(file_name), left, 3 * _TEXT_PX - 7)
            for row, tile in enumerate(tiles):
                upper = top + row * step
                band[upper : upper + _TILE_PX, left : left + _TILE_PX] = tile
        return band


def _fitting(name: str) -> str:
    """A file name cut in the middle where it is wider than a tile."""
    kept = len(name)
    while text_width(shown := shortened(name, kept)) > _TILE_PX:
        kept -= 1
    return shown


def _png_name(name: str) -> str:
    if len(os.fsencode(name)) + len(SUFFIX) <= _LONGEST_NAME:
        return f"{name}{SUFFIX}"
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return f"{name[:50]}-{digest}{SUFFIX}"


def _absolute(path: Path) -> Path:
    # Unlike `Path.absolute`, without `..`, which would lead out of the overlay folder.
    return Path(os.path.abspath(path))


def _identity(path: Path) -> tuple[int, int] | None:
    """What identifies a file however its path is spelled; None if it does not exist."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    return facts.st_dev, facts.st_ino


def _write(path: Path, image: np.ndarray, tidy: bool = True) -> None:
    _, data = cv2.imencode(".png", image[..., ::-1])
    with replacing(path, tidy) as temporary:
        temporary.write_bytes(data)
