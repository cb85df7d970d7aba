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
from allkit.support.files import replacing
from allkit.support.text import visible

CONTACT_SHEET = "contact-sheet.png"

# In bytes, on common file systems.
_LONGEST_NAME = 255

# Opacity of the colour where the evidence is strongest.
_OPACITY = 0.6
_STRONGEST, _TILE_PX, _MARGIN_PX, _TEXT_PX = 6, 160, 6, 22


def overlay(image: np.ndarray, heatmap: np.ndarray, stride_px: int) -> np.ndarray:
    """Draw the evidence for the label over an RGB uint8 image (S, S, 3); same shape and dtype.

    heatmap: float32 (h, w), value [i, j] covers the stride_px pixels from i * stride_px down and j * stride_px right.
    Brighter and more opaque means more evidence, relative to the strongest of this image; evidence against the label
    is not drawn. Pixels at the lower and right edge that no value covers show the nearest value.
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
    """A folder of overlays that mirrors the folders of the images, with a contact sheet of the best of each class.

    paths: all images to come, whose common folder is removed. An overlay is named after its image with `.png` appended;
    a name too long for a file is cut and ends with a digest. bits: as for the classifier. Raises AllkitError if an
    overlay would replace an image.
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
            # Damage was reported with the prediction.
            image = self._contract.pixels.load(path, bits=self._bits, on_damage=lambda words: None)
        except AllkitError:
            # Deleted since it was classified: its row stays, and there is nothing to draw on.
            return
        drawn = overlay(image, prediction.heatmap, self._contract.heatmap["stride_px"])
        target = self._target(path)
        _write(target, drawn, tidy=target.parent not in self._tidied)
        self._tidied.add(target.parent)
        entry = (prediction.confidence, self._rank[path], image, drawn)
        strongest = self._strongest[prediction.label]
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
    # Unlike `Path.absolute`, without `..`, which would lead out of the overlay folder.
    return Path(os.path.abspath(path))


def _identity(path: Path) -> tuple[int, int] | None:
    """What identifies a file however its path is spelled; None if it does not exist."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    return facts.st_dev, facts.st_ino


def _text(band: np.ndarray, text: str, left: int, bottom: int) -> None:
    # The font has only printable ASCII and draws question marks for the rest; a lone surrogate would crash OpenCV.
    drawn = visible(text).encode("ascii", "backslashreplace").decode()
    cv2.putText(band, drawn, (left, bottom - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)


def _write(path: Path, image: np.ndarray, tidy: bool = True) -> None:
    _, data = cv2.imencode(".png", image[..., ::-1])
    with replacing(path, tidy) as temporary:
        temporary.write_bytes(data)
