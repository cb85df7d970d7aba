"""Run an exported model over labelled images through the same code that `classify` uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allkit.dataset.index import Dataset, hash_files
from allkit.dataset.split import Split
from allkit.errors import AllkitError
from allkit.metrics import Metrics, score
from allkit.runtime.classifier import Classifier

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one model on the readable images of a dataset or of one part of it.

    paths, labels int64 (n,) and probabilities float32 (n, classes) are the rows behind the metrics, classes in the
    contract's order; failed maps a path to the reason why it could not be read.
    """

    model: Path
    provider: str
    part: str
    split: Mapping[str, Any] | None
    metrics: Metrics
    paths: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    failed: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model.name,
            "provider": self.provider,
            "part": self.part,
            "split": self.split,
            "metrics": self.metrics.to_dict(),
            "failed": dict(self.failed),
        }


def evaluate(
    classifier: Classifier,
    dataset: Dataset,
    split: Split | None = None,
    part: str = "test",
    on_image: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Classify every image of `dataset`, or only those in one part of `split`, and score the result.

    Raises AllkitError when the dataset has a class that the model does not know, when its images are not those of
    the split, or when no image can be read.
    """
    classes = classifier.contract.classes
    unknown = [name for name in dataset.classes if name not in classes]
    if unknown:
        raise AllkitError(
            f"the model does not know the class {unknown[0]!r} of {dataset.root}: its classes are {', '.join(classes)}"
        )
    rows = np.arange(len(dataset))
    if split is not None:
        split.check(hash_files(dataset))
        rows = dataset.select(split.parts[part])
    paths = [dataset.paths[row] for row in rows]
    order = np.array([classes.index(name) for name in dataset.classes])
    good: list[int] = []
    probabilities: list[list[float]] = []
    failed: dict[str, str] = {}
    predictions = classifier(dataset.root / path for path in paths)
    for i, (path, prediction) in enumerate(zip(paths, predictions, strict=True)):
        if prediction.error is None:
            good.append(i)
            probabilities.append([prediction.probabilities[name] for name in classes])
        else:
            failed[path] = prediction.error
        on_image()
    if not good:
        raise AllkitError(f"no image in {dataset.root} could be read: {next(iter(failed.values()))}")
    labels = order[dataset.labels[rows[good]]]
    matrix = np.array(probabilities, np.float32)
    return Evaluation(
        model=classifier.model_path,
        provider=classifier.provider,
        part="all" if split is None else part,
        split=None if split is None else split.summary(),
        metrics=score(labels, matrix, classes),
        paths=tuple(paths[i] for i in good),
        labels=labels,
        probabilities=matrix,
        failed=failed,
    )
