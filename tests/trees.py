"""Small class-per-folder trees of random images, for tests."""

from pathlib import Path

import cv2
import numpy as np


def write_image(path: Path, seed: int, size_px: int = 32) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (size_px, size_px, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not `imwrite`: a name that is not UTF-8 ends the process there.
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())


def make_tree(root: Path, counts: dict[str, int], size_px: int = 32) -> Path:
    """`counts` maps a class to how many different images its folder gets."""
    seed = 0
    for name, count in counts.items():
        for i in range(1, count + 1):
            write_image(root / name / f"{name}-{i}.png", seed, size_px)
            seed += 1
    return root
