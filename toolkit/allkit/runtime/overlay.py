"""Heat maps for a person: the evidence laid over the image it comes from, one PNG an image, and a contact sheet."""

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
from allkit.support.files import replacing
from allkit.support.text import visible

CONTACT_SHEET = "contact-sheet.png"

# In bytes, on the usual file systems.
_LONGEST_NAME = 255

# How much of the colour covers the image where the evidence is strongest.
_OPACITY = 0.6
_STRONGEST, _TILE_PX, _MARGIN_PX, _TEXT_PX = 6, 160, 6, 22


def overlay(image: np.ndarray, heatmap: np.ndarray, stride_px: int) -> np.ndarray:
    """Evidence for the label over an RGB uint8 image (S, S, 3), same shape and dtype.

    heatmap: float32 (h, w), value [i, j] over the stride_px pixels from i * stride_px down and j * stride_px right. The
    brighter and more opaque, the more evidence, relative to the strongest of this image; evidence against the label
    is not drawn. The pools drop what is left over of S at the lower and right edge; there the nearest value is shown.
    """
    size = image.shape[0]
    height, width = (side * stride_px for side in heatmap.shape)
    evidence = np.maximum(np.nan_to_num(heatmap), 0).astype(np.float32)
    evidence /= max(float(evidence.max()), np.finfo(np.float32).tiny)
    covered = cv2.resize(evidence, (width, height), interpolation=cv2.INTER_LINEAR)
    whole = cv2.copyMakeBorder(covered, 0, max(size - height, 0), 0, max(size - width, 0), cv2.BORDER_REPLICATE)[
        :size, :size
    ]
    colours = cv2.applyColorMap((255 * whole).round().astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    opacity = _OPACITY * whole[..., None]
    return (image * (1 - opacity) + colours * opacity).round().astype(np.uint8)


class OverlayFolder:
    """Overlays in a folder that mirrors where the images lie, and at the end a sheet of the strongest of each class.

    paths: all images to come, for their common folder. Each overlay is named after its image, `.png` appended; a name
    that would be too long for a file is cut, and ends with a digest of the whole. bits: as the classifier reads 16-bit
    images. Raises AllkitError where an overlay would replace an image.
    """

    def __init__(self, folder: Path, paths: Sequence[Path], contract: Contract, bits: int | None = None):
        self._folder, self._contract, self._bits = folder, contract, bits
        self._root = Path(os.path.commonpath([_absolute(path).parent for path in paths]))
        self._strongest: dict[str, list] = {name: [] for name in contract.classes}
        # Of two that are as strong the later one counts, also where some were classified before the others.
        self._rank = {path: rank for rank, path in enumerate(paths)}
        self._tidied: set[Path] = set()
        self._refuse_images(paths)

    def add(self, path: Path, prediction: Prediction) -> None:
        """Write the overlay of an image; one that could not be read has none."""
        if prediction.heatmap is None:
            return
        try:
            # Damage was told with the prediction.
            image = self._contract.pixels.load(path, bits=self._bits, on_damage=lambda words: None)
        except AllkitError:
            # Gone since it was classified: its row stands, and there is nothing to draw on.
            return
        drawn = overlay(image, prediction.heatmap, self._contract.heatmap["stride_px"])
        target = self._target(path)
        _write(target, drawn, tidy=target.parent not in self._tidied)
        self._tidied.add(target.parent)
        entry = (prediction.confidence, self._rank[path], image, drawn)
        strongest = self._strongest[prediction.label]
        (heapq.heappush if len(strongest) < _STRONGEST else heapq.heappushpop)(strongest, entry)

    def write_contact_sheet(self) -> Path:
        """One band a class: its most confident images, each above its overlay."""
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
        top = 2 * _TEXT_PX
        band = np.full((top + 2 * step + _MARGIN_PX, _STRONGEST * step + _MARGIN_PX, 3), 255, np.uint8)
        _text(band, name if entries else f"{name}: no image", _MARGIN_PX, _TEXT_PX)
        for column, (confidence, _, image, drawn) in enumerate(entries):
            left = _MARGIN_PX + column * step
            _text(band, f"{confidence:.3f}", left, top)
            for row, picture in enumerate((image, drawn)):
                upper = top + row * step
                band[upper : upper + _TILE_PX, left : left + _TILE_PX] = cv2.resize(
                    picture, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA
                )
        return band


def _png_name(name: str) -> str:
    if len(os.fsencode(name)) + len(".png") <= _LONGEST_NAME:
        return f"{name}.png"
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return f"{name[:50]}-{digest}.png"


def _absolute(path: Path) -> Path:
    # Unlike `Path.absolute` without `..`, which would lead out of the folder of overlays.
    return Path(os.path.abspath(path))


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file whatever its spelling; None where there is none."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    return facts.st_dev, facts.st_ino


def _text(band: np.ndarray, text: str, left: int, bottom: int) -> None:
    # The font has printable ASCII alone, draws question marks for others, and a lone surrogate ends the process.
    drawn = visible(text).encode("ascii", "backslashreplace").decode()
    cv2.putText(band, drawn, (left, bottom - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)


def _write(path: Path, image: np.ndarray, tidy: bool = True) -> None:
    _, data = cv2.imencode(".png", image[..., ::-1])
    with replacing(path, tidy) as temporary:
        temporary.write_bytes(data)
