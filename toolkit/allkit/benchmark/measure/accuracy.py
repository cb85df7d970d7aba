"""The accuracy of models, by the code that measures their speed, on images that they were not trained on."""

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
    """Measures the accuracy of models on labelled images that their training did not see.

    split: its test part is measured for every model. Without it a model whose whole test part is among the images is
    measured on that part, any other on all images. Images that a model lists as its training images are left out.
    """

    def __init__(self, images: Images, split: Split | None = None):
        self._images, self._given = images, split
        # Models of one training list the same images.
        self._subjects: dict[str | None, Subject] = {}

    def evaluate(self, classifier: Classifier, on_image: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """The record of a model: part, n, metrics, baseline, the indices of wrong predictions, and the groups of all
        images, None where they are not known.

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
