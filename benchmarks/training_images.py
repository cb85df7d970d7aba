"""How many copies of training images a model recognises, and how many other images it mistakes for copies.

    python benchmarks/training_images.py DATA [FOREIGN] > benchmarks/results/training-images.json

DATA is split at random as for a training, seed 0. Every second training or validation image is changed in each way and
looked up; the test part and the images below FOREIGN serve as other images. Distances are in bits of the perceptual
hash, to the nearest known image in any orientation. A test image within reach may be a second photograph of the same
place: `twins` counts those that the larger hash of `allkit data audit` also calls near duplicates.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from allkit.data.duplicates import NEAR_THRESHOLD
from allkit.data.index import Images, read, scan
from allkit.data.protocol import random_split
from allkit.data.split import Split
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import decode, read_bytes
from allkit.model.training_images import HASH_BYTES, NEAR_BITS, TrainingImages, perceptual_hashes
from allkit.runtime.inputs import expand

STEP = 2


def written(suffix: str, *options: int) -> Callable[[np.ndarray], bytes]:
    return lambda image: cv2.imencode(suffix, image[:, :, ::-1], options)[1].tobytes()


def sized(size_px: int, kernel: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
    def resize(image: np.ndarray) -> np.ndarray:
        usual = cv2.INTER_AREA if size_px < len(image) else cv2.INTER_LINEAR
        return cv2.resize(image, (size_px, size_px), interpolation=usual if kernel is None else kernel)

    return resize


def jpeg(quality: int) -> Callable[[np.ndarray], bytes]:
    return written(".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)


# Ways to change an image: functions of the bytes of its file and its pixels.
CHANGES: dict[str, Callable[[bytes, np.ndarray], np.ndarray]] = {
    "the same file, decoded at half scale": lambda data, image: decode(data, 2),
    "PNG": lambda data, image: decode(written(".png")(image)),
    **{f"JPEG {q}": lambda data, image, q=q: decode(jpeg(q)(image)) for q in (95, 75, 50)},
    "JPEG 75, decoded at half scale": lambda data, image: decode(jpeg(75)(image), 2),
    "WebP 80": lambda data, image: decode(written(".webp", cv2.IMWRITE_WEBP_QUALITY, 80)(image)),
    **{f"{size} px": lambda data, image, size=size: sized(size)(image) for size in (112, 150, 200, 300, 448)},
    "112 px, linear": lambda data, image: sized(112, cv2.INTER_LINEAR)(image),
    "112 px, nearest pixel": lambda data, image: sized(112, cv2.INTER_NEAREST)(image),
    "112 px, JPEG 75": lambda data, image: decode(jpeg(75)(sized(112)(image))),
    "turned by 90 degrees, JPEG 75": lambda data, image: decode(jpeg(75)(np.rot90(image))),
    "reflected, JPEG 75": lambda data, image: decode(jpeg(75)(image[:, ::-1])),
    "brightness x1.2": lambda data, image: cv2.convertScaleAbs(image, alpha=1.2),
    "a tenth of the width cut off": lambda data, image: image[:, len(image) // 10 :],
}


def looked_for(listed: TrainingImages, images: list[np.ndarray]) -> dict[str, object]:
    pictures = np.array([perceptual_hashes(image) for image in images])
    found = listed.find([None] * len(images), pictures).copies == "near"
    known, asked = (hashes.view(np.uint64)[..., 0] for hashes in (listed.pictures, pictures))
    nearest = np.array([np.bitwise_count(row[:, None] ^ known).min() for row in asked])
    return {
        "n": len(images),
        "found": int(found.sum()),
        "share": round(float(found.mean()), 4),
        "nearest_bits": {f"p{p}": int(np.percentile(nearest, p, method="nearest")) for p in (0, 1, 50, 99, 100)},
    }


def twins(images: Images, split: Split) -> int:
    """Test images that are near duplicates of a known image by the hash of 256 bits."""
    known = images.dataset.select(split.parts["train"] + split.parts["validation"])
    tested = images.dataset.select(split.parts["test"])
    bits = np.packbits(images.difference_hashes, axis=1).view(np.uint64)
    apart = [np.bitwise_count(bits[row] ^ bits[known]).sum(axis=1).min() for row in tested]
    return int((np.array(apart) <= NEAR_THRESHOLD).sum())


def main(data: str, foreign: str | None = None) -> None:
    images = read(scan(data))
    split = random_split(images, 0)
    root, paths = images.dataset.root, images.dataset.paths
    pictures = dict(zip(paths, images.pictures[:, 0], strict=True))
    listed = TrainingImages.of(split.parts, split.hashes, split.groups, pictures)
    known = (split.parts["train"] + split.parts["validation"])[::STEP]
    files = [read_bytes(root / path) for path in known]
    copies = {
        name: looked_for(listed, [change(file, decode(file)) for file in files]) for name, change in CHANGES.items()
    }
    others = {"test part of the split": [decode(read_bytes(root / path)) for path in split.parts["test"]]}
    if foreign:
        others[Path(foreign).name] = []
        for path in expand([Path(foreign)]):
            try:
                others[Path(foreign).name].append(decode(read_bytes(path)))
            except AllkitError:
                continue
    text = listed.to_text()
    n = sum(listed.counts)
    record = {
        "images": dict(zip(("train", "validation", "test", "left_out"), listed.counts, strict=True)),
        "bytes": {"entry": len(text), "an_image": round(len(text) / n, 2)},
        "exact": {
            "hash_bytes": HASH_BYTES,
            "found": int((listed.find(list(images.hashes), images.pictures).copies == "exact").sum()),
            "false_alarms_expected_for_as_many_others": n * n / 2 ** (8 * HASH_BYTES),
        },
        "near_bits": NEAR_BITS,
        "copies": copies,
        "others": {name: looked_for(listed, ones) for name, ones in others.items()},
        "twins_in_the_test_part": twins(images, split),
    }
    json.dump(record, sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
