"""`allkit.evaluate`: models on labelled images, from options to a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from allkit.data.index import load, scan
from allkit.data.protocol import remarks
from allkit.data.split import Split
from allkit.evaluation.evaluate import SCHEMA_VERSION, Evaluation, class_labels, evaluate_model
from allkit.evaluation.shift_suite import ShiftRecord, evaluate_shifts
from allkit.evaluation.subject import Subject, part_of, subject, without_trained
from allkit.metrics import PairedComparison, compare_accuracies
from allkit.model.contract import INTENDED_USE
from allkit.model.file import model_files
from allkit.runtime.classifier import Classifier
from allkit.support.extras import require
from allkit.support.progress import Progress, counted


@dataclass(frozen=True)
class EvaluateOptions:
    """What `evaluate` measures.

    models: ONNX files exported by allkit, or folders of them. data: folder with one sub-folder of images per class.
    split: a split.json. part: "train", "validation" or "test", of `split` or else of the first model's own split; None
    for the test part of `split`, or all images without one. include_trained: keep images that a model was trained on.
    shift: repeat the measurement under the suite of imaging shifts, drawn from `seed`. device, batch_size: as for
    `Classifier`. positive: the classes that sensitivity and specificity are of, against the rest; without it, every
    class but Benign.
    """

    models: Sequence[Path | str]
    data: Path | str
    split: Path | str | None = None
    part: str | None = None
    include_trained: bool = False
    shift: bool = False
    seed: int = 0
    device: str = "auto"
    batch_size: int | None = None
    positive: Sequence[str] = ()


@dataclass(frozen=True)
class EvaluateResult:
    """One evaluation per model, on the same images.

    shifts: one per model, empty unless requested. pairs: every two models with their exact paired test. unreadable:
    relative path to reason, for images that could not be read.
    """

    evaluations: tuple[Evaluation, ...]
    shifts: tuple[ShiftRecord, ...]
    pairs: tuple[tuple[Evaluation, Evaluation, PairedComparison], ...]
    unreadable: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The record of a single model, or of all models with their pairs."""
        records = [evaluation.to_dict() for evaluation in self.evaluations]
        for record, shifted in zip(records, self.shifts, strict=False):
            record["shifts"] = shifted.to_dict()
        if len(records) == 1:
            return records[0]
        return {
            "schema_version": SCHEMA_VERSION,
            "intended_use": INTENDED_USE,
            "evaluations": records,
            "pairs": [{"a": a.model.name, "b": b.model.name, **pair.to_dict()} for a, b, pair in self.pairs],
        }


def evaluate(options: EvaluateOptions, *, progress: Progress | None = None) -> EvaluateResult:
    """Classify labelled images and score the results, with intervals and tests that account for groups.

    Raises AllkitError without the extra `eval`, for a model, a folder or a split that cannot be used, for a class that
    a model does not know, and where no image is left that the models were not trained on.
    """
    require("eval")
    progress = progress or Progress()
    dataset = scan(options.data)
    split = Split.load(options.split) if options.split else None
    classifiers = [Classifier(model, options.device, options.batch_size) for model in model_files(options.models)]
    if classifiers[0].notice:
        progress.note(classifiers[0].notice)
    images = load(dataset, None, progress)
    on = _subject(options, split, images, classifiers, progress)
    evaluations, shifts = [], []
    for classifier in classifiers:
        name = classifier.model_path.name
        advance = counted(progress, f"evaluating {name}", len(on.rows))
        evaluations.append(evaluate_model(classifier, on, advance, options.positive))
        counts = evaluations[-1].trained_on
        if counts is None:
            progress.note(f"warning: {name} does not list its training images: whether these are among them is unknown")
        elif counts.trained or counts.held_aside:
            progress.note(f"{name}: {counts.text}")
        if options.shift:
            labels = class_labels(classifier, on)
            advance = counted(progress, f"evaluating {name} under shifts", len(on.rows))
            root = images.dataset.root
            shifts.append(evaluate_shifts(classifier, root, on.paths, labels, options.seed, advance, on.groups))
    pairs = tuple((a, b, compare_accuracies(a.right, b.right, on.groups)) for a, b in combinations(evaluations, 2))
    unreadable = {path: why for path, why in images.dataset.skipped.items() if path not in dataset.skipped}
    return EvaluateResult(tuple(evaluations), tuple(shifts), pairs, unreadable)


def _subject(
    options: EvaluateOptions, split: Split | None, images: Any, classifiers: Sequence[Classifier], progress: Progress
) -> Subject:
    """The images that all models are measured on."""
    if options.part and not split:
        on, count = part_of(images, classifiers[0], options.part)
        progress.note(
            f"{len(on.rows)} of {count} images of the {options.part} part of {classifiers[0].model_path.name} found; "
            f"its split has {on.split['groups']:,} groups"
        )
    else:
        on = subject(images, split, options.part or "test")
    if not options.include_trained and options.part in (None, "test"):
        on = without_trained(on, classifiers)
    for remark in remarks(images, split) if split else ():
        progress.note(remark)
    return on
