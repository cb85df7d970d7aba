"""A classifier under every imaging shift, on the same images.

Each image is decoded once and all its shifted variants are classified together, so memory holds the variants of a
single image and every row of the record is about the same images. Images are decoded as the model decodes them, so a
row differs from the unshifted one by the shift alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import read_bytes
from allkit.imaging.shifts import SHIFTS, Picture
from allkit.metrics import Interval, compare_accuracies
from allkit.runtime.classifier import Classifier

SCHEMA_VERSION = 1
UNSHIFTED = "none"


@dataclass(frozen=True)
class ShiftRow:
    """n images under one shift.

    accuracy: with its 95 % Wilson interval. drop: the accuracy of the unshifted images minus this one. p_value: exact
    paired test of the two, not adjusted for the number of rows. Interval and test account for groups if known.
    """

    name: str
    n: int
    accuracy: Interval
    drop: float
    p_value: float


@dataclass(frozen=True)
class ShiftRecord:
    """One model under the suite of shifts.

    rows: the unshifted images first, named "none", then one row per shift. failed: path to reason, for images that are
    in no row. seed: of the choice of reference images for the colour transfer.
    """

    seed: int
    rows: tuple[ShiftRow, ...]
    failed: Mapping[str, str]

    @property
    def mean_accuracy(self) -> float:
        """Mean over the shifts, without the unshifted images."""
        return fmean(row.accuracy.value for row in self.rows[1:])

    @property
    def worst(self) -> ShiftRow:
        """The first shift with the lowest accuracy."""
        return min(self.rows[1:], key=lambda row: row.accuracy.value)

    def to_dict(self) -> dict[str, Any]:
        """A record of plain types, ready for JSON; `worst` is the name of the row."""
        return {
            "schema_version": SCHEMA_VERSION,
            "seed": self.seed,
            "rows": [asdict(row) for row in self.rows],
            "mean_accuracy": self.mean_accuracy,
            "worst": self.worst.name,
            "failed": dict(self.failed),
        }


def evaluate_shifts(
    classifier: Classifier,
    root: Path,
    paths: Sequence[str],
    labels: np.ndarray,
    seed: int = 0,
    on_image: Callable[[], None] = lambda: None,
    groups: np.ndarray | None = None,
) -> ShiftRecord:
    """Classify every image as it is and under each of `SHIFTS`.

    paths: n files relative to `root`. labels: int64 (n,), indices of the contract's classes. groups (n,): which images
    belong together, None if unknown. seed: the colour transfer of an image takes the statistics of another readable
    image, drawn uniformly from (seed, row). An image that cannot be read, or for which the model returns no
    probabilities under some shift, is left out of every row and listed in `failed`. on_image is called once per image.
    Raises AllkitError when fewer than two images can be read, or when no image is left.
    """
    classes = classifier.contract.classes
    scale = classifier.contract.pixels.jpeg_scale
    kept: list[int] = []
    predicted: list[list[int]] = []
    failed: dict[str, str] = {}
    for row, path in enumerate(paths):
        try:
            data = read_bytes(root / path)
            picture = Picture.read(data, scale)
        except AllkitError as error:
            failed[path] = str(error)
        else:
            reference = _another(root, paths, row, seed, scale)
            variants = (data, *(shift.apply(picture, reference) for shift in SHIFTS))
            predictions = list(classifier(variants))
            error = next((prediction.error for prediction in predictions if prediction.error is not None), None)
            if error is None:
                kept.append(row)
                predicted.append([classes.index(prediction.label) for prediction in predictions])
            else:
                failed[path] = error
        on_image()
    if not kept:
        reason = next(iter(failed.values()), "the list is empty")
        raise AllkitError(f"no image in {root} could be evaluated: {reason}")
    names = (UNSHIFTED, *(shift.name for shift in SHIFTS))
    told = None if groups is None else groups[kept]
    return ShiftRecord(seed, tuple(_rows(names, np.asarray(labels)[kept], np.array(predicted), told)), failed)


def _another(root: Path, paths: Sequence[str], row: int, seed: int, scale: int) -> Picture:
    """A readable image other than that of `row`, drawn from (seed, row)."""
    for other in np.random.default_rng((seed, row)).permutation(len(paths)):
        if other != row:
            try:
                return Picture.read(read_bytes(root / paths[other]), scale)
            except AllkitError:
                # Reported when its own row is read; here the next one replaces it.
                continue
    raise AllkitError(f"the colour transfer needs at least two readable images, {root} has one: evaluate more")


def _rows(
    names: Sequence[str], labels: np.ndarray, predicted: np.ndarray, groups: np.ndarray | None
) -> Iterable[ShiftRow]:
    """One row per column of `predicted`, int (n, len(names)), each compared with the first column."""
    for name, column in zip(names, predicted.T, strict=True):
        pair = compare_accuracies(predicted[:, 0] == labels, column == labels, groups)
        yield ShiftRow(name, pair.n, pair.accuracy_b, pair.difference, pair.p_value)
