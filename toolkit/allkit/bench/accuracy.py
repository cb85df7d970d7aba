"""The accuracy of models through the code that measures their speed, on images that they were not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from allkit.dataset.index import Images, fingerprint
from allkit.dataset.protocol import split_again
from allkit.dataset.split import Split
from allkit.evaluation.evaluate import Evaluation, Subject, evaluate, subject
from allkit.runtime.classifier import Classifier
from allkit.stats import mcnemar_exact


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
        """The record of a model: part, n, metrics, baseline, and the places of the images that it got wrong.

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
        }

    def _subject(self, classifier: Classifier) -> Subject:
        contract = classifier.contract
        trained_here = contract.data_fingerprint == self._fingerprint
        key = "given" if self._given else contract.split.get("hash") if trained_here else "all"
        if key not in self._subjects:
            split = self._given or (split_again(self._images, contract.split) if trained_here else None)
            self._subjects[key] = subject(self._images, split)
        return self._subjects[key]


def paired(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any] | None:
    """Two records of `Labelled.evaluate` on the same images: difference and exact McNemar p; None on other images."""
    a, b = (
        (found["metrics"]["n"], found["data_fingerprint"], (found["split"] or {}).get("hash"))
        for found in (first, second)
    )
    if a != b:
        return None
    n = first["metrics"]["n"]
    wrong, other = set(first["wrong"]), set(second["wrong"])
    return {
        "difference": (len(other) - len(wrong)) / n,
        "p_value": mcnemar_exact(len(other - wrong), len(wrong - other)),
    }
