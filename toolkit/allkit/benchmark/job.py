"""`allkit.bench`: speed, memory and accuracy of exported models on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allkit.benchmark.measure.accuracy import AccuracyMeasurement
from allkit.benchmark.options import BenchOptions
from allkit.benchmark.record.record import Figures, figures
from allkit.data.index import Images, load, scan
from allkit.data.split import Split
from allkit.data.synth import synthesize
from allkit.model.file import model_files
from allkit.runtime.default_model import models_at_hand
from allkit.support.extras import require
from allkit.support.progress import Progress
from allkit.support.text import visible

_SYNTHETIC_PER_CLASS = 32


@dataclass(frozen=True)
class BenchResult:
    """The record of a benchmark: raw samples, machine, settings and hashes (`benchmark.record.schema`)."""

    record: Mapping[str, Any]

    @property
    def figures(self) -> list[Figures]:
        """One row of figures per model."""
        return figures(self.record)

    def to_dict(self) -> dict[str, Any]:
        return dict(self.record)


def bench(options: BenchOptions, *, progress: Progress | None = None) -> BenchResult:
    """Measure latency, throughput, memory and accuracy of models that take turns.

    A model that fails has its error in its row. Raises AllkitError without the extra `bench`, where there is no model,
    for a folder that is no dataset, and for two models of the same file name.
    """
    require("bench")
    from allkit.benchmark.measure.machine import busy
    from allkit.benchmark.measure.run import run

    progress = progress or Progress()
    models = model_files(options.models) or models_at_hand()
    with _queries(options.data, progress) as (files, described, images):
        accuracy = images and AccuracyMeasurement(images, Split.load(options.split) if options.split else None)

        def say(phase: str, model: str, done: float) -> None:
            progress.update(f"{phase} {model}", done)

        if warning := busy():
            progress.note(warning)
        return BenchResult(run(models, files, described, options, accuracy, say))


@contextmanager
def _queries(data: Path | str | None, progress: Progress) -> Iterator[tuple[list[Path], dict[str, Any], Images | None]]:
    """The query images, their description for the record, and the labelled dataset if there is one."""
    if data is None:
        with tempfile.TemporaryDirectory(prefix="allkit-bench-") as folder:
            files = sorted(synthesize(Path(folder, "smears"), _SYNTHETIC_PER_CLASS).rglob("*.jpg"))
            yield files, {"kind": "synthetic smears"}, None
        return
    # Reading them here keeps unreadable files out of the queries.
    images = load(scan(data), None, progress)
    files = [images.dataset.root / path for path in images.dataset.paths]
    yield files, {"kind": "labelled images", "root": visible(Path(data).name)}, images
