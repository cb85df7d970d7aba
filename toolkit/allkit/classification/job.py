"""Many images into rows: straight into a stream, or into a file that a stopped job goes on with.

>>> classifier, paths, output = Classifier(), expand([Path("smears")]), Path("labels.csv")
>>> def write(rows):
...     with row_file(output) as stream:
...         write_csv(rows, classifier.contract.classes, stream)
>>> with journal_of(output, classifier, resume=True) as journal:
...     job = Classification(classifier, paths, journal)
...     job.run(write)
>>> job.tally.labels
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from allkit.archive.shards import Packed, opened
from allkit.classification.journal import Journal
from allkit.classification.rows import Rows
from allkit.runtime.classifier import Classifier, Prediction
from allkit.runtime.overlay import OverlayFolder


@dataclass
class Tally:
    """How many rows have what. labels: images of each class, and of None those that could not be read."""

    labels: Counter[str | None] = field(default_factory=Counter)
    uncertain: int = 0
    unfamiliar: int = 0
    trained_on: int = 0
    damaged: int = 0

    def counted(self, rows: Rows) -> Iterator[tuple[Path | Packed, Prediction]]:
        """The rows, each counted as it is taken."""
        for path, prediction in rows:
            self.labels[prediction.label] += 1
            self.uncertain += bool(prediction.uncertain)
            self.unfamiliar += bool(prediction.unfamiliar)
            self.trained_on += prediction.trained_on is not None
            self.damaged += prediction.warning is not None
            yield path, prediction


def journal_of(output: Path, classifier: Classifier, resume: bool = False) -> Journal:
    """The journal of an output file with the rows of a classifier; AllkitError as `Journal` raises it."""
    reading = f"--bits {classifier.bits}" + " --mark-trained" * classifier.mark_trained
    made_with = f"{classifier.model_identity} {classifier.provider} {reading}"
    return Journal(output, made_with, resume, classifier.heatmaps)


class Classification:
    """The classification of images, once.

    paths: of images, and of those in Parquet files, see `unpacked`. journal: that of the output file; None where rows
    are written as they come. heatmaps: a folder for overlays and a contact sheet, with a classifier that gives heat
    maps; AllkitError where an overlay would replace an image.

    todo: the images that are not in the journal. classified: those that were taken, in their order. tally: of the rows
    that were written. seconds: what classifying took. stopped: whether it was ended early. sheet: the contact sheet.
    """

    def __init__(
        self,
        classifier: Classifier,
        paths: Sequence[Path | Packed],
        journal: Journal | None = None,
        heatmaps: Path | None = None,
    ):
        self._classifier, self._paths, self._journal = classifier, paths, journal
        self._overlays = OverlayFolder(heatmaps, paths, classifier.contract, classifier.bits) if heatmaps else None
        self.todo = journal.left(paths) if journal else paths
        self.classified: list[Path | Packed] = []
        self.tally = Tally()
        self.seconds = 0.0
        self.stopped = False
        self.sheet: Path | None = None

    def run(self, write: Callable[[Rows], None], watch: Callable[[Rows, int], Rows] = lambda rows, count: rows) -> None:
        """Classify what is left, and hand the rows to `write`: with a journal those of all images, at the end.

        A KeyboardInterrupt ends the classification early, and the rows so far are written. One that comes while they
        are written is passed on, and the journal keeps them. watch: sees the rows go by, and is told their number.
        """
        start = time.perf_counter()
        try:
            if self._journal:
                self._note(watch)
            else:
                write(self.tally.counted(self._rows(watch)))
        except KeyboardInterrupt:
            self.stopped = True
        self.seconds = time.perf_counter() - start
        if self._journal:
            write(self.tally.counted(self._journal.rows(self._paths)))
        if self._overlays:
            self.sheet = self._overlays.write_contact_sheet()
        if self._journal:
            self._journal.finished = not self.stopped

    def _note(self, watch: Callable[[Rows, int], Rows]) -> None:
        if self._overlays:
            for path, prediction in self._journal.rows(self._paths):
                self._overlays.add(path, prediction)
        for path, prediction in self._rows(watch):
            self._journal.add(path, prediction)

    def _rows(self, watch: Callable[[Rows, int], Rows]) -> Iterator[tuple[Path | Packed, Prediction]]:
        for path, prediction in watch(zip(self.todo, self._classifier(opened(self.todo)), strict=True), len(self.todo)):
            if self._overlays:
                self._overlays.add(path, prediction)
            self.classified.append(path)
            yield path, prediction
