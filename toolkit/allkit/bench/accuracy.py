"""The accuracy of models through the code that measures their speed, on images that they were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from allkit.dataset.index import Images, fingerprint
from allkit.dataset.protocol import split_again
from allkit.dataset.split import Split
from allkit.evaluation.evaluate import Evaluation, Subject, evaluate, subject
from allkit.runtime.classifier import Classifier
from allkit.stats import NonInferiority, by_group, non_inferiority, sign_flip_exact


class Labelled:
    """A labelled dataset, and for each model the part of it that its training did not see.

    split: takes the place of what the models say of themselves. A model trained on these images under protocol random
    or grouped is measured on the test part of that split, which its contract tells how to make again; one that was
    trained on other images, on all of them.
    """

    def __init__(self, images: Images, split: Split | None = None):
        self._images, self._given = images, split
        self._fingerprint = fingerprint(images.hashes_by_path)
        self._subjects: dict[str, Subject] = {}

    def evaluate(self, classifier: Classifier, on_image: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """The record of a model: part, n, metrics, baseline, the places of the images that it got wrong, and the groups
        of all images, None where they are not known.

        Raises AllkitError when its test part cannot be made again.
        """
        found: Evaluation = evaluate(classifier, self._subject(classifier), on_image)
        return {
            "part": found.subject.part,
            "data_fingerprint": self._fingerprint,
            "split": found.subject.split,
            "seen_in_training": found.seen_in_training,
            "metrics": found.metrics.to_dict(),
            "baseline": {"method": found.subject.baseline_method, **asdict(found.subject.baseline)},
            "wrong": np.flatnonzero(found.predicted != found.labels).tolist(),
            "groups": None if found.subject.groups is None else found.subject.groups.tolist(),
        }

    def _subject(self, classifier: Classifier) -> Subject:
        contract = classifier.contract
        trained_here = contract.data_fingerprint == self._fingerprint
        key = "given" if self._given else contract.split.get("hash") if trained_here else "all"
        if key not in self._subjects:
            split = self._given or (split_again(self._images, contract.split) if trained_here else None)
            self._subjects[key] = subject(self._images, split)
        return self._subjects[key]


def paired(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any] | None:
    """Two records of `Labelled.evaluate`: difference and exact p by group; None where they cannot be compared."""
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
    groups = first.get("groups") or second.get("groups")
    # Older records have no groups. Under the random protocol they are single images but for identical files.
    grouped = (first["split"] or {}).get("protocol", "").startswith("grouped")
    if a != b or (grouped and groups is None):
        return None
    right = np.ones((2, a[0]), bool)
    for row, found in zip(right, (first, second), strict=True):
        row[found["wrong"]] = False
    return right[0], right[1], groups
