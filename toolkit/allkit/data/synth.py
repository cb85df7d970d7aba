"""Synthetic blood smears of four classes, for trying and testing everything without the real set.

On the real images, colour alone almost determines the class, so an accurate model may have learnt the stain. Here it
cannot: classes differ only in the outline and size of the nuclei and the grain of their chromatin. Everything a colour
histogram sees is drawn from distributions independent of the class: tint, stain, brightness, number of red cells, the
total area of nuclei and of cytoplasm (small nuclei are more numerous), and the shades inside a nucleus (its texture is
rank-transformed, so that coarse and fine chromatin have the same shades in a different order). A faint trace remains:
more outline means more half-shaded pixels.

The pictures resemble smears; they have no medical meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from allkit.errors import AllkitError, reason

_MIN_SIZE_PX = 32
_MAX_SIZE_PX = 4096
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class _Morphology:
    """What distinguishes a class.

    radius: of a disc with the area of a typical nucleus; grain: blur of the noise that forms its chromatin; both as
    fractions of the picture's side. lobing: depth of 3 or 4 lobes; notch: depth of one indentation; both as fractions
    of the radius. nucleoli: number of pale spots.
    """

    file_prefix: str
    radius: float
    grain: float
    lobing: float = 0.0
    notch: float = 0.0
    nucleoli: int = 0


_CLASSES = {
    "Benign": _Morphology("WBC-Benign", radius=0.055, grain=0.05),
    "Early": _Morphology("WBC-Malignant-Early", radius=0.13, grain=0.007),
    "Pre": _Morphology("WBC-Malignant-Pre", radius=0.08, grain=0.03, notch=0.75, nucleoli=2),
    "Pro": _Morphology("WBC-Malignant-Pro", radius=0.105, grain=0.014, lobing=0.22),
}
CLASSES = tuple(_CLASSES)


def synthesize(
    root: Path | str,
    per_class: int = 60,
    size_px: int = 224,
    seed: int = 0,
    on_image: Callable[[], None] = lambda: None,
) -> Path:
    """Draw `per_class` smears of each of `CLASSES` as JPEG files below `root`, one folder per class; return `root`.

    Files are named as in the ALL set. The same seed and size give the same bytes, and image i of a class does not
    depend on `per_class`. `on_image` is called once per image. Raises AllkitError when a number is out of range, or
    `root` is not empty or cannot be written.
    """
    root = Path(root)
    if per_class < 1:
        raise AllkitError(f"cannot draw {per_class} images per class: give 1 or more")
    if not _MIN_SIZE_PX <= size_px <= _MAX_SIZE_PX:
        raise AllkitError(f"image size {size_px} is out of range: give {_MIN_SIZE_PX} to {_MAX_SIZE_PX} pixels")
    if seed < 0:
        raise AllkitError(f"seed {seed} is negative: give 0 or more")
    try:
        if root.exists() and any(not entry.name.startswith(".") for entry in root.iterdir()):
            raise AllkitError(f"{root} is not empty: name a new folder, or empty this one first")
        for name in CLASSES:
            (root / name).mkdir(parents=True, exist_ok=True)
        # One image of each class at a time, so that an interrupted run leaves balanced classes.
        for number in range(1, per_class + 1):
            for name in CLASSES:
                image = _draw(name, number, size_px, seed)
                path = root / name / f"{_CLASSES[name].file_prefix}-{number:03d}.jpg"
                path.write_bytes(_encode(image))
                on_image()
    except OSError as error:
        raise AllkitError(f"cannot write to {root}: {reason(error)}; name another folder") from error
    return root


def _draw(class_name: str, number: int, size_px: int, seed: int) -> np.ndarray:
    """Smear `number` of a class as RGB uint8 (size_px, size_px, 3)."""
    morphology = _CLASSES[class_name]
    rng = np.random.default_rng([seed, CLASSES.index(class_name), number])
    background = rng.uniform(0.92, 1.0) - rng.uniform([-0.02, -0.02, -0.03], [0.04, 0.09, 0.06])
    canvas = np.broadcast_to(background, (size_px, size_px, 3)).astype(np.float32)
    _red_cells(canvas, rng)
    _nucleated_cells(canvas, morphology, rng)
    return _photograph(canvas, rng)


def _red_cells(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Pale discs with paler centres; they absorb light, so overlaps are darker."""
    size = len(canvas)
    absorbance = rng.uniform(0.14, 0.30) * rng.uniform([0.7, 1.0, 0.6], [1.1, 1.4, 1.2])
    radius = size * rng.uniform(0.034, 0.044)
    pallor = rng.uniform(0.5, 0.9)
    for _ in range(rng.integers(45, 110)):
        patch, distance, angle = _polar(rng.uniform(0, size, 2), 1.2 * radius + 1, size)
        edge = radius * rng.uniform(0.85, 1.1) * (1 + 0.08 * np.cos(2 * angle - rng.uniform(0, 2 * np.pi)))
        centre = np.exp(-((distance / (0.45 * edge)) ** 2))
        depth = _inside(edge, distance) * (1 - pallor * centre)
        canvas[patch] *= 1 - depth[..., None] * absorbance


def _nucleated_cells(canvas: np.ndarray, morphology: _Morphology, rng: np.random.Generator) -> None:
    """As many cells of the class as the picture's total nucleus area allows, apart if there is room."""
    size = len(canvas)
    chromatin = rng.uniform([0.20, 0.08, 0.38], [0.36, 0.20, 0.54])
    shades = np.stack([chromatin, chromatin + rng.uniform(0.14, 0.22)])
    cytoplasm = rng.uniform([0.64, 0.60, 0.82], [0.82, 0.74, 0.95])
    cell_to_nucleus = rng.uniform(1.26, 1.40)  # ratio of radii
    total = rng.uniform(0.10, 0.18)  # nucleus area as a share of the picture
    count = round(total / (np.pi * morphology.radius**2))
    shares = rng.uniform(0.75, 1.25, count)
    radii = size * np.sqrt(total * shares / shares.sum() / np.pi)
    placed: list[tuple[np.ndarray, float]] = []
    for radius in radii:
        reach = cell_to_nucleus * radius
        centre = _free_place(placed, reach, size, rng)
        placed.append((centre, reach))
        patch, distance, angle = _polar(centre, 1.1 * reach + 1, size)
        body = _inside(reach * (1 + 0.03 * np.cos(3 * angle - rng.uniform(0, 2 * np.pi))), distance)[..., None]
        canvas[patch] += body * (cytoplasm - canvas[patch])
        nucleus = _inside(_outline(morphology, radius, angle, rng), distance)
        texture = _chromatin(morphology, nucleus > 0.5, distance, angle, radius, size, rng)[..., None]
        canvas[patch] += nucleus[..., None] * (shades[0] + texture * (shades[1] - shades[0]) - canvas[patch])


def _free_place(
    placed: list[tuple[np.ndarray, float]], reach: float, size: int, rng: np.random.Generator
) -> np.ndarray:
    """A centre (y, x) in pixels, entirely inside the picture: the first free place, or else the least crowded."""
    candidates = rng.uniform(reach, size - reach, (200, 2))
    clearance = np.full(len(candidates), np.inf)
    for centre, other in placed:
        clearance = np.minimum(clearance, np.linalg.norm(candidates - centre, axis=1) - other - reach)
    return candidates[np.argmax(np.minimum(clearance, 0))]


def _outline(morphology: _Morphology, radius: float, angle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distance of the nucleus edge from its centre, in pixels, in direction `angle`; encloses pi * radius**2."""
    lobes = rng.integers(3, 5)
    lobing, notch = rng.uniform(0.85, 1.15) * np.array([morphology.lobing, morphology.notch])
    oval, turn, skew = rng.uniform(0.02, 0.07), rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)

    def edge(direction: np.ndarray) -> np.ndarray:
        turned = (direction - turn) % (2 * np.pi)
        lobed = np.cos(lobes * turned) + 0.5 * np.cos((lobes - 1) * turned - skew)
        indented = np.exp(-(((turned - np.pi) / 0.5) ** 2))
        return 1 + oval * np.cos(2 * turned) + lobing * lobed - notch * indented

    # The area inside a polar curve r(t) is the integral of r(t)**2 / 2: pi times the mean of r**2.
    mean_square = np.mean(edge(np.linspace(0, 2 * np.pi, 360, endpoint=False)) ** 2)
    return radius * edge(angle) / np.sqrt(mean_square)


def _chromatin(
    morphology: _Morphology,
    inside: np.ndarray,
    distance: np.ndarray,
    angle: np.ndarray,
    radius: float,
    size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Texture of a nucleus, 0 (dark) to 1 (pale), with values spread evenly over the pixels of `inside`."""
    noise = rng.standard_normal(inside.shape)
    field = cv2.GaussianBlur(noise, (0, 0), morphology.grain * size)
    field /= field.std()
    for _ in range(morphology.nucleoli):
        at, towards = radius * rng.uniform(0.3, 0.6), rng.uniform(0, 2 * np.pi)
        square = distance**2 + at**2 - 2 * distance * at * np.cos(angle - towards)
        field += 5 * np.exp(-square / (0.2 * radius) ** 2)
    ordered = np.sort(field[inside])
    return np.interp(field, ordered, np.linspace(0, 1, len(ordered)))


def _photograph(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Uneven light, focus and sensor noise: float (S, S, 3) in 0..1 to uint8."""
    size = len(canvas)
    ramp = np.linspace(-1, 1, size)
    tilt = rng.uniform(-0.05, 0.05, 2)
    light = rng.uniform(0.90, 1.04) * (1 + tilt[0] * ramp[:, None] + tilt[1] * ramp)
    blurred = cv2.GaussianBlur(canvas * light[..., None], (0, 0), size / 224 * rng.uniform(0.4, 0.9))
    noisy = blurred + rng.normal(0, 0.006, canvas.shape)
    return np.rint(255 * np.clip(noisy, 0, 1)).astype(np.uint8)


def _polar(centre: np.ndarray, reach: float, size: int) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """The part of the picture within `reach` of `centre`: its slices, and each pixel's distance and angle."""
    low = np.clip(np.floor(centre - reach), 0, size).astype(int)
    high = np.clip(np.ceil(centre + reach) + 1, 0, size).astype(int)
    y, x = np.ogrid[low[0] : high[0], low[1] : high[1]]
    dy, dx = y - centre[0], x - centre[1]
    return (slice(low[0], high[0]), slice(low[1], high[1])), np.hypot(dy, dx), np.arctan2(dy, dx)


def _inside(edge: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """1 inside an edge and 0 outside, with a transition one pixel wide."""
    return np.clip(edge - distance + 0.5, 0, 1)


def _encode(image: np.ndarray) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes()
