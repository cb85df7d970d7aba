"""Imaging shifts: what another microscope, camera, stain or file format would do to a smear.

Accuracy on pictures from one laboratory says little about the next, and on the ALL set colour alone almost gives the
class away. A shift changes how a picture was taken and leaves the cells as they are, so a model that loses accuracy
under it had learnt the way pictures were taken.

Shifts are pure, deterministic functions of uint8 RGB arrays (H, W, 3); results are rounded and clipped to 0..255.
Lengths are in pixels of the file, before it is decoded smaller or resized. Hue, saturation and Lab are computed in
floats: OpenCV's 8-bit HSV alone changes a value by several levels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from allkit.imaging.pixel_path import decode

# The largest scale bar among 924 ALL images takes the last 31 of 224 pixels each way (13.8 %), and JPEG spreads its
# edge over the 8-pixel block around it, to 32.
CORNER_SHARE = 0.15

# OpenCV's hue ranges from 0 to 180 in 8-bit images and from 0 to 360 degrees in float images.
_DEGREES_PER_HUE_UNIT = 2

# Rounding to 8 bits spreads a Lab channel by about this much; less spread is only noise, which must not be amplified.
_LAB_ROUNDING = 0.25


@dataclass(frozen=True)
class Picture:
    """A file at full size and as a model decodes it, which may be half the size for JPEG.

    whole: at full size; image: as the model decodes it; both uint8 RGB (H, W, 3). jpeg_scale: of the model.
    """

    whole: np.ndarray
    image: np.ndarray
    jpeg_scale: int = 1

    @classmethod
    def read(cls, data: bytes, jpeg_scale: int = 1) -> Picture:
        """The picture in an encoded file; AllkitError if it cannot be decoded."""
        whole = decode(data)
        return cls(whole, whole if jpeg_scale == 1 else decode(data, jpeg_scale), jpeg_scale)


@dataclass(frozen=True)
class Shift:
    """A named change of imaging.

    apply: (picture, reference) to the shifted image, uint8 RGB, as the model decodes it. The reference is another
    picture of the same data, used only by the colour transfer.
    """

    name: str
    apply: Callable[[Picture, Picture], np.ndarray]


def hue(image: np.ndarray, units: float) -> np.ndarray:
    """Rotate the hue by `units` of 180 (OpenCV's 8-bit scale: one unit is two degrees)."""
    hsv = cv2.cvtColor(_unit(image), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + _DEGREES_PER_HUE_UNIT * units) % 360
    return _levels(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the HSV saturation, up to its maximum."""
    hsv = cv2.cvtColor(_unit(image), cv2.COLOR_RGB2HSV)
    hsv[..., 1] = np.minimum(hsv[..., 1] * factor, 1)
    return _levels(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def gamma(image: np.ndarray, exponent: float) -> np.ndarray:
    """255 (v / 255) ** exponent on every channel: below 1 brightens the midtones, above 1 darkens them."""
    return cv2.LUT(image, _levels(np.linspace(0, 1, 256) ** exponent))


def brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply every channel."""
    return cv2.LUT(image, _levels(np.linspace(0, 1, 256) * factor))


def grey(image: np.ndarray) -> np.ndarray:
    """Set all channels to the luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def transfer_colour(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Give each colour channel of `image` the mean and standard deviation of that channel in `reference`.

    Reinhard et al. 2001, "Color transfer between images", IEEE Computer Graphics and Applications 21(5):34, in CIELAB
    instead of their lαβ: both separate lightness from colour, unlike RGB. Colours outside RGB are clipped. A channel
    with no more spread than rounding causes is moved, not stretched.
    """
    lab, target = (cv2.cvtColor(_unit(picture), cv2.COLOR_RGB2Lab) for picture in (image, reference))
    (mean, spread), (target_mean, target_spread) = (
        (centre.ravel(), deviation.ravel()) for centre, deviation in map(cv2.meanStdDev, (lab, target))
    )
    scale = np.divide(target_spread, spread, out=np.ones(3), where=spread > _LAB_ROUNDING)
    moved = (lab - mean) * scale + target_mean
    return _levels(cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_Lab2RGB))


def jpeg(image: np.ndarray, quality: int, scale: int = 1) -> np.ndarray:
    """Encode as JPEG of the given quality (0 to 100, libjpeg's scale) and decode, at half the size with scale 2."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return decode(data.tobytes(), scale)


def blur(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian blur."""
    return cv2.GaussianBlur(image, (0, 0), sigma_px)


def paint_corner(image: np.ndarray, share: float = CORNER_SHARE) -> np.ndarray:
    """Cover the bottom right corner, `share` of the height and width, with the median colour of the picture."""
    height, width = image.shape[:2]
    painted = image.copy()
    painted[height - round(height * share) :, width - round(width * share) :] = np.rint(np.median(image, (0, 1)))
    return painted


def _unit(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) / 255


def _levels(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _alone(name: str, change: Callable[..., np.ndarray], *amount: float) -> Shift:
    return Shift(name, lambda picture, reference: change(picture.image, *amount))


def _blurred(picture: Picture, sigma_px: float) -> np.ndarray:
    return blur(picture.image, sigma_px * picture.image.shape[1] / picture.whole.shape[1])


SHIFTS = (
    _alone("hue -8", hue, -8),
    _alone("hue +8", hue, 8),
    _alone("saturation x0.7", saturation, 0.7),
    _alone("saturation x1.3", saturation, 1.3),
    _alone("gamma 0.8", gamma, 0.8),
    _alone("gamma 1.25", gamma, 1.25),
    _alone("brightness x0.8", brightness, 0.8),
    _alone("brightness x1.2", brightness, 1.2),
    _alone("grey", grey),
    Shift("colour transfer", lambda picture, reference: transfer_colour(picture.image, reference.image)),
    Shift("jpeg 40", lambda picture, reference: jpeg(picture.whole, 40, picture.jpeg_scale)),
    Shift("blur 1.2", lambda picture, reference: _blurred(picture, 1.2)),
    _alone("corner painted", paint_corner),
)
