"""Accuracy of models on images that they were not trained on, with the code whose speed is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from allkit.data.index import Images, fingerprint
from allkit.data.split import Split
from allkit.evaluation.evaluate import Evaluation, evaluate_model
from allkit.evaluation.subject import Subject, known, part_of, subject, without_trained
from allkit.runtime.classifier import Classifier


class AccuracyMeasurement:
    """Measures the accuracy of models on labelled images outside their training set.

    split: every model is measured on its test part. Without it, a model is measured on the test part of its own split
    if all of it is among the images, otherwise on all images. Training images that a model lists are left out.
    """

    def __init__(self, images: Images, split: Split | None = None):
        self._images, self._given = images, split
        # Models of one training share a subject.
        self._subjects: dict[str | None, Subject] = {}

    def evaluate(self, classifier: Classifier, on_image: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """The accuracy record of a model, with the indices of wrong predictions and the groups, None if unknown.

        Raises AllkitError when the model was trained on all images.
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
            "wrong": np.flatnonzero(~found.right).tolist(),
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
