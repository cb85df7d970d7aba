"""A heat map as a picture: the evidence for the label, laid over the image at the image's own resolution."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from allkit.imaging.pixel_path import central_square, decode, read_bytes
from allkit.model.contract import Contract
from allkit.support.text import visible

# Opacity of the colour where the evidence is strongest.
_OPACITY = 0.6
# Larger images are reduced: more pixels show no more of a map of a few places.
_MOST_PX = 1024
_BACKGROUND = 200
_LEGEND_WIDTH_PX, _LEGEND_HEIGHT_PX = 400, 50


def load_square(source: Path | bytes, contract: Contract, bits: int | None = None) -> np.ndarray:
    """The part of an image that the model sees, at the resolution of the file: RGB uint8 (side, side, 3).

    source: a file, or its content. The side is at most 1024 pixels, and at least that of the model's input. bits: as
    for the classifier. Damage is passed over. Raises AllkitError when the file cannot be read.
    """
    data = source if isinstance(source, bytes) else read_bytes(source)
    square = central_square(decode(data, 1, bits, lambda words: None))
    side = min(max(len(square), contract.pixels.size_px), _MOST_PX)
    kernel = cv2.INTER_AREA if len(square) > side else cv2.INTER_CUBIC
    return square if len(square) == side else cv2.resize(square, (side, side), interpolation=kernel)


def overlay(image: np.ndarray, heatmap: np.ndarray, covered: float) -> np.ndarray:
    """Draw the evidence for the label over an RGB uint8 image (side, side, 3); same shape and dtype.

    heatmap: float32 (h, w), whose cells divide the upper left of the image. covered: the share of the side that h or w
    cells cover, which `share_covered` tells; what lies beyond shows the nearest value. Brighter and more opaque means
    more evidence, relative to the strongest of this image; evidence against the label is not drawn.
    """
    side = len(image)
    evidence = np.maximum(np.nan_to_num(heatmap), 0).astype(np.float32)
    evidence /= max(float(evidence.max()), np.finfo(np.float32).tiny)
    whole = min(side, round(covered * side))
    smooth = np.clip(cv2.resize(evidence, (whole, whole), interpolation=cv2.INTER_CUBIC), 0, 1)
    smooth = cv2.copyMakeBorder(smooth, 0, side - whole, 0, side - whole, cv2.BORDER_REPLICATE)
    return _coloured(image, smooth)


def share_covered(contract: Contract) -> float:
    """The share of the side of the input that the cells of the heat map cover: pools drop what does not fill a cell."""
    return contract.heatmap["height"] * contract.heatmap["stride_px"] / contract.pixels.size_px


def with_legend(picture: np.ndarray, label: str) -> np.ndarray:
    """A picture (side, side, 3) above a colour bar that says what the colours mean."""
    width = _LEGEND_WIDTH_PX
    legend = np.full((_LEGEND_HEIGHT_PX, width, 3), 255, np.uint8)
    ramp = np.tile(np.linspace(0, 1, width - 20, dtype=np.float32), (12, 1))
    legend[6:18, 10:-10] = _coloured(np.full((*ramp.shape, 3), _BACKGROUND, np.uint8), ramp)
    put_text(legend, "less", 10, 40)
    put_text(legend, f"evidence for {label}", (width - text_width(f"evidence for {label}")) // 2, 40)
    put_text(legend, "more", width - 10 - text_width("more"), 40)
    side = picture.shape[1]
    height = max(1, round(_LEGEND_HEIGHT_PX * side / width))
    kernel = cv2.INTER_AREA if side < width else cv2.INTER_CUBIC
    return np.concatenate([picture, cv2.resize(legend, (side, height), interpolation=kernel)])


def put_text(picture: np.ndarray, text: str, left: int, baseline: int) -> None:
    """Write text onto a picture (h, w, 3) in place, in black."""
    cv2.putText(picture, _printable(text), (left, baseline), *_FONT[:2], (0, 0, 0), _FONT[2], cv2.LINE_AA)


def text_width(text: str) -> int:
    """How many pixels wide `put_text` writes it."""
    return cv2.getTextSize(_printable(text), *_FONT)[0][0]


# Typeface, scale and thickness.
_FONT = (cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)


def _printable(text: str) -> str:
    # The font has only printable ASCII and draws question marks for the rest; a lone surrogate would crash OpenCV.
    return visible(text).encode("ascii", "backslashreplace").decode()


def _coloured(image: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """An image (h, w, 3) under colours of evidence from 0 to 1, float32 (h, w)."""
    colours = cv2.applyColorMap((255 * evidence).round().astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    opacity = _OPACITY * evidence[..., None]
    return (image * (1 - opacity) + colours * opacity).round().astype(np.uint8)
