"""Small class-per-folder trees of random images, for tests."""

import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def shallow_stack() -> Iterator[None]:
    """Leave 100 levels of calls, so that what calls itself once a folder fails in a tree that is soon made."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def make_chain(folder: Path, name: str, levels: int, file: str) -> None:
    """Folders of that name in one another, and a file in the last; the path may be longer than the system takes."""
    place = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=place)
        place, above = os.open(name, os.O_RDONLY, dir_fd=place), place
        os.close(above)
    os.close(os.open(file, os.O_CREAT, dir_fd=place))
    os.close(place)
