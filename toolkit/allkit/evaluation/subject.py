"""The images that models are measured on: all images or a part of a split, without those they were trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from allkit.data.index import BASELINE, Images
from allkit.data.split import Split
from allkit.errors import AllkitError
from allkit.metrics import Interval
from allkit.model.trained_on import TrainedOn
from allkit.model.training_images import Found, TrainingImages
from allkit.runtime.classifier import Classifier

_LEAVING_ONE_OUT = f"{BASELINE}, leaving one out"


@dataclass(frozen=True)
class Subject:
    """The images that models are measured on, and the baseline for them.

    rows: of `images`, int64 (n,). asked: the rows before training images were left out. split: record of the split,
    None if all images are measured. groups: int64 (n,), for intervals and tests, None if unknown. reference: rows of
    the training images that the baseline compares with; None to compare with the other measured images.
    baseline_method: the name of the baseline.
    """

    images: Images
    rows: np.ndarray
    asked: np.ndarray
    part: str
    split: Mapping[str, Any] | None
    groups: np.ndarray | None
    reference: np.ndarray | None
    baseline_method: str

    @property
    def paths(self) -> list[str]:
        return self._paths(self.rows)

    @cached_property
    def baseline(self) -> Interval:
        """Accuracy of the nearest colour histogram on the same images."""
        if self.reference is None:
            return self.images.baseline_within(self.paths, self.groups)
        return self.images.baseline(self._paths(self.reference), self.paths, self.groups)

    @property
    def title(self) -> str:
        where = "all images" if self.split is None else f"{self.part} part of the {self.split['protocol']} split"
        less = " without training images" if len(self.rows) < len(self.asked) else ""
        return f"{where}{less} of {self.images.dataset.root}"

    def _paths(self, rows: np.ndarray) -> list[str]:
        return [self.images.dataset.paths[row] for row in rows]


def subject(images: Images, split: Split | None = None, part: str = "test") -> Subject:
    """All images, or one part of a split; AllkitError when the images are not the ones that were split."""
    if split is None:
        rows = np.arange(len(images.dataset))
        return Subject(images, rows, rows, "all", None, None, None, _LEAVING_ONE_OUT)
    split.check(images.hashes_by_path)
    rows = images.dataset.select(split.parts[part])
    groups = np.array([split.groups[path] for path in split.parts[part]])
    # The training part is compared with its own other images, as any other part is with the training part.
    reference = None if part == "train" else images.dataset.select(split.parts["train"])
    method = _LEAVING_ONE_OUT if part == "train" else BASELINE
    return Subject(images, rows, rows, part, split.summary(), groups, reference, method)


def part_of(images: Images, classifier: Classifier, part: str = "test") -> tuple[Subject, int]:
    """The images of one part of the model's own split, found by content, and the number of images in that part.

    No more copies of a file are taken than the split has. The baseline compares with the training images found in the
    folder, or leaves one out if a class has none. Raises AllkitError when none of the part is found, or the model does
    not list its images.
    """
    found = known(images, classifier)
    if found is None:
        raise AllkitError(
            f"{classifier.model_path.name} does not list the images of its split: give --split RUN/split.json, or "
            "export it again"
        )
    listed, taken, rows = classifier.training_images, Counter(), []
    for row in np.flatnonzero(found.parts == part).tolist():
        digest = images.hashes[row]
        taken[digest] += 1
        if taken[digest] <= listed.multiplicity(digest):
            rows.append(row)
    count = listed.count(part)
    if not rows:
        raise AllkitError(
            f"none of the {count} images of the {part} part of {classifier.model_path.name} is in "
            f"{images.dataset.root}: give images of its training, or leave out --part"
        )
    rows = np.array(rows)
    reference, method = None, _LEAVING_ONE_OUT
    if part != "train":
        reference, method = _reference(images, found, listed, rows)
    split = {**classifier.contract.split, "groups": int(listed.first.sum())}
    return Subject(images, rows, rows, part, split, found.groups[rows], reference, method), count


def without_trained(on: Subject, classifiers: Sequence[Classifier]) -> Subject:
    """The subject without the images that a model lists as its training images; AllkitError if none is left.

    If the subject has no groups, images take the groups of the model's split.
    """
    keep = np.ones(len(on.rows), bool)
    groups, baseline = on.groups, (on.reference, on.baseline_method)
    for classifier in classifiers:
        if (found := known(on.images, classifier, on.rows)) is None:
            continue
        keep &= ~found.trained_on
        groups = _groups(found) if groups is None else groups
        if on.part == "all" and baseline[0] is None:
            baseline = _reference(on.images, found, classifier.training_images, on.rows[~found.trained_on])
    if not keep.any():
        names = " or ".join(dict.fromkeys(classifier.model_path.name for classifier in classifiers))
        raise AllkitError(
            f"{names} was trained on all {len(on.rows)} images, on which accuracy says nothing about new images: "
            "give images that it was not trained on"
        )
    return replace(
        on,
        rows=on.rows[keep],
        groups=None if groups is None else groups[keep],
        reference=baseline[0],
        baseline_method=baseline[1],
    )


def _reference(
    images: Images, found: Found, listed: TrainingImages, measured: np.ndarray
) -> tuple[np.ndarray | None, str]:
    """Rows of the model's training images among `images`, and the name of the baseline that uses them.

    None if a measured class has no training images.
    """
    rows, labels = np.flatnonzero(found.parts == "train"), images.dataset.labels
    if not np.isin(labels[measured], labels[rows]).all():
        return None, _LEAVING_ONE_OUT
    whole = len(rows) >= listed.count("train")
    return rows, BASELINE if whole else f"{BASELINE} of {len(rows)} training images"


def _groups(found: Found) -> np.ndarray | None:
    """The groups of a model's split, with every unlisted image as a group of its own; None if none is listed."""
    known = found.groups >= 0
    if not known.any():
        return None
    alone = found.groups.max() + 1 + np.arange(len(known))
    return np.where(known, found.groups, alone)


def known(images: Images, classifier: Classifier, rows: np.ndarray | None = None) -> Found | None:
    """What a model knows of the images, or of some rows; None if it lists no images."""
    if classifier.training_images is None:
        return None
    rows = np.arange(len(images.hashes)) if rows is None else rows
    return classifier.training_images.find([images.hashes[row] for row in rows], images.pictures[rows])


def trained_on(on: Subject, classifier: Classifier) -> tuple[str, TrainedOn | None]:
    """Whether a model was trained on images of the subject ("yes", "no" or "unknown"), and the counts by kind."""
    found = known(on.images, classifier, on.asked)
    if found is None:
        return "unknown", None
    measured = np.isin(on.asked, on.rows)
    counts = Counter(found.copies.tolist())
    held_aside = int(((found.copies == "near") & ~found.trained_on).sum())
    left_out = len(on.asked) - len(on.rows)
    seen = "yes" if found.trained_on[measured].any() else "no"
    return seen, TrainedOn(counts["exact"], counts["near"], counts["none"], held_aside, left_out)
