"""The accuracy of models through the code that measures their speed, on images that they were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from allkit.data.index import Images, fingerprint
from allkit.data.split import Split
from allkit.evaluation.evaluate import Evaluation, evaluate_model
from allkit.evaluation.subject import Subject, known, part_of, subject, without_trained
from allkit.metrics import NonInferiority, by_group, non_inferiority, sign_flip_exact
from allkit.runtime.classifier import Classifier


class AccuracyMeasurement:
    """A labelled dataset, and for each model the part of it that its training did not see.

    split: the test part of this one is measured, in place of what the models say of themselves. Without it a model
    whose whole test part is among the images is measured on that, any other on all images. In each case those that it
    was trained on are left out, as far as it tells.
    """

    def __init__(self, images: Images, split: Split | None = None):
        self._images, self._given = images, split
        # Models of one training tell the same images.
        self._subjects: dict[str | None, Subject] = {}

    def evaluate(self, classifier: Classifier, on_image: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """The record of a model: part, n, metrics, baseline, the places of the images that it got wrong, and the groups
        of all images, None where they are not known.

        Raises AllkitError when it was trained on all of them.
        """
        found: Evaluation = evaluate_model(classifier, self._subject(classifier), on_image)
        hashes = self._images.hashes_by_path
        return {
            "part": found.subject.part,
            "data_fingerprint": fingerprint(hashes),
            "measured": fingerprint({path: hashes[path] for path in found.subject.paths}),
            "split": found.subject.split,
            "seen_in_training": found.seen_in_training,
            "trained_on": found.trained_on and asdict(found.trained_on),
            "metrics": found.metrics.to_dict(),
            "baseline": {"method": found.subject.baseline_method, **asdict(found.subject.baseline)},
            "wrong": np.flatnonzero(found.predicted != found.labels).tolist(),
            "groups": None if found.subject.groups is None else found.subject.groups.tolist(),
        }

    def _subject(self, classifier: Classifier) -> Subject:
        key = classifier.contract.images_digest
        if key not in self._subjects:
            self._subjects[key] = without_trained(self._asked(classifier), [classifier])
        return self._subjects[key]

    def _asked(self, classifier: Classifier) -> Subject:
        if self._given:
            return subject(self._images, self._given)
        found = known(self._images, classifier)
        if found is None or np.count_nonzero(found.parts == "test") < classifier.training_images.count("test"):
            return subject(self._images)
        return part_of(self._images, classifier, "test")[0]


def paired(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any] | None:
    """Two records of `evaluate`: difference and exact p by group; None where they cannot be compared."""
    if (found := _same_images(first, second)) is None:
        return None
    a, b, groups = found
    return {
        "difference": (int(a.sum()) - int(b.sum())) / len(a),
        "p_value": sign_flip_exact(by_group(a & ~b, b & ~a, groups)),
    }


def shortfall(reference: Mapping[str, Any], candidate: Mapping[str, Any], margin: float) -> NonInferiority | None:
    """Whether the second of two records loses less than `margin` against the first; None as for `paired`."""
    found = _same_images(reference, candidate)
    return found and non_inferiority(found[0], found[1], margin, found[2])


def _same_images(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray, Sequence[int] | None] | None:
    """Which images each got right, bool (n,), and their groups; None for other images, and without needed groups."""
    a, b = (
        (found["metrics"]["n"], found["data_fingerprint"], (found["split"] or {}).get("hash"))
        for found in (first, second)
    )
    # Older records do not tell which images were measured, but by the split.
    if all("measured" in found for found in (first, second)):
        a, b = ((found["metrics"]["n"], found["measured"]) for found in (first, second))
    groups = first.get("groups") or second.get("groups")
    # Older records have no groups. Under the random protocol they are single images but for identical files.
    grouped = (first["split"] or {}).get("protocol", "").startswith("grouped")
    if a != b or (grouped and groups is None):
        return None
    right = np.ones((2, a[0]), bool)
    for row, found in zip(right, (first, second), strict=True):
        row[found["wrong"]] = False
    return right[0], right[1], groups
