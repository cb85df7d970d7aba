"""Run an exported model on labelled images, with the same code that `classify` uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allkit.errors import AllkitError
from allkit.evaluation.subject import Subject, trained_on
from allkit.metrics import Interval, expected_calibration_error, proportion
from allkit.metrics.classification import Metrics, score
from allkit.model.contract import INTENDED_USE
from allkit.model.trained_on import TrainedOn
from allkit.runtime.classifier import Classifier, Prediction
from allkit.support.files import content_hash
from allkit.support.text import visible

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class UncertaintyFigures:
    """How well a model's uncertainty estimates hold on n images.

    calibration_error: expected calibration error of the probabilities. coverage: share of prediction sets that contain
    the truth. uncertain: share of images whose set is not a single class. n_certain, accuracy_of_certain: number of the
    other images and accuracy on them, None if there are none. unfamiliar: share of images marked unfamiliar.
    """

    calibration_error: float
    promised_coverage: float
    coverage: Interval
    uncertain: Interval
    n_certain: int
    accuracy_of_certain: Interval | None
    unfamiliar: Interval


@dataclass(frozen=True)
class Mistake:
    """A misclassified image. path: below the folder of the images. confidence: the probability of the wrong label."""

    path: str
    truth: str
    label: str
    confidence: float


@dataclass(frozen=True)
class Evaluation:
    """One model on a subject. labels, predicted: int64 (n,), indices of the contract's classes.

    mistakes: the misclassified images, the most confident first.

    sha256: of the model file, which identifies it in a record. seen_in_training: "yes" (the model was trained on some
    of the images, or on near copies), "no", or "unknown" (it does not list its training images); earlier records also
    have "maybe". trained_on: the counts behind it, None if unknown.
    """

    model: Path
    sha256: str
    provider: str
    metrics: Metrics
    uncertainty: UncertaintyFigures
    labels: np.ndarray
    predicted: np.ndarray
    mistakes: tuple[Mistake, ...]
    subject: Subject
    seen_in_training: str
    trained_on: TrainedOn | None

    @property
    def right(self) -> np.ndarray:
        """Whether each image was classified correctly, bool (n,)."""
        return self.predicted == self.labels

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            # Records are UTF-8; file names need not be.
            "model": visible(self.model.name),
            "sha256": self.sha256,
            "provider": self.provider,
            "part": self.subject.part,
            "split": self.subject.split or {"protocol": "none: all images"},
            "seen_in_training": self.seen_in_training,
            "trained_on": self.trained_on and asdict(self.trained_on),
            "metrics": self.metrics.to_dict(),
            "baseline": {"method": self.subject.baseline_method, **asdict(self.subject.baseline)},
            "doubt": asdict(self.uncertainty),
            "misclassified": [{**asdict(mistake), "path": visible(mistake.path)} for mistake in self.mistakes],
            "not_read": {visible(path): visible(why) for path, why in self.subject.images.dataset.skipped.items()},
            "intended_use": INTENDED_USE,
        }


def class_labels(classifier: Classifier, on: Subject) -> np.ndarray:
    """Labels of the subject's images in the order of the model's classes, int64 (n,).

    Raises AllkitError when the dataset has a class that the model does not have.
    """
    classes, dataset = classifier.contract.classes, on.images.dataset
    unknown = [name for name in dataset.classes if name not in classes]
    if unknown:
        raise AllkitError(
            f"{classifier.model_path.name} does not know the class {unknown[0]!r} of {dataset.root}: "
            f"its classes are {', '.join(classes)}"
        )
    return np.array([classes.index(name) for name in dataset.classes])[dataset.labels[on.rows]]


def evaluate_model(
    classifier: Classifier,
    on: Subject,
    on_image: Callable[[], None] = lambda: None,
    positive: Sequence[str] = (),
) -> Evaluation:
    """Classify every image of the subject and score the result. positive: classes to tell from the rest.

    Raises AllkitError when the dataset has a class that the model does not have, or a file has become unreadable.
    """
    labels = class_labels(classifier, on)
    classes = classifier.contract.classes
    predictions: list[Prediction] = []
    root = on.images.dataset.root
    for path, prediction in zip(on.paths, classifier(root / path for path in on.paths), strict=True):
        if prediction.error is not None:
            raise AllkitError(f"{path} can no longer be read: {prediction.error}")
        predictions.append(prediction)
        on_image()
    probabilities = np.array([list(prediction.probabilities.values()) for prediction in predictions], np.float32)
    error = expected_calibration_error(probabilities, labels)
    truths = [classes[label] for label in labels]
    seen, counts = trained_on(on, classifier)
    return Evaluation(
        model=classifier.model_path,
        sha256=content_hash(classifier.model_path),
        provider=classifier.provider,
        metrics=score(labels, probabilities, classes, on.groups, positive=positive),
        uncertainty=_uncertainty(classifier, predictions, truths, error, on.groups),
        labels=labels,
        predicted=probabilities.argmax(1),
        mistakes=_mistakes(on.paths, truths, predictions),
        subject=on,
        seen_in_training=seen,
        trained_on=counts,
    )


def _mistakes(paths: Sequence[str], truths: Sequence[str], predictions: Sequence[Prediction]) -> tuple[Mistake, ...]:
    found = [
        Mistake(path, truth, prediction.label, prediction.confidence)
        for path, truth, prediction in zip(paths, truths, predictions, strict=True)
        if prediction.label != truth
    ]
    return tuple(sorted(found, key=lambda mistake: -mistake.confidence))


def _uncertainty(
    classifier: Classifier,
    predictions: list[Prediction],
    truths: list[str],
    error: float,
    groups: np.ndarray | None,
) -> UncertaintyFigures:
    certain = np.array([not p.uncertain for p in predictions])
    right = np.array([p.label == truth for p, truth in zip(predictions, truths, strict=True)])
    covered = [truth in p.prediction_set for p, truth in zip(predictions, truths, strict=True)]
    rest = None if groups is None else groups[certain]
    return UncertaintyFigures(
        calibration_error=error,
        promised_coverage=classifier.contract.abstention["coverage"],
        coverage=proportion(covered, groups),
        uncertain=proportion(~certain, groups),
        n_certain=int(certain.sum()),
        accuracy_of_certain=proportion(right[certain], rest) if certain.any() else None,
        unfamiliar=proportion([bool(p.unfamiliar) for p in predictions], groups),
    )
