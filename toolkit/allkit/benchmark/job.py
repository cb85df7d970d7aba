"""`allkit.bench`: what exported models cost and how accurate they are on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allkit.benchmark.measure.accuracy import AccuracyMeasurement
from allkit.benchmark.measure.run import run
from allkit.benchmark.options import BenchOptions
from allkit.benchmark.record.record import Figures, figures
from allkit.data.index import Images, load, scan
from allkit.data.split import Split
from allkit.data.synth import synthesize
from allkit.runtime.default_model import models_at_hand
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

    A model that fails has its error in its row. Raises AllkitError where there is no model, for a folder that is no
    dataset, and for two models of the same file name.
    """
    progress = progress or Progress()
    models = [Path(model) for model in options.models] or models_at_hand()
    with _queries(options.data, progress) as (files, described, images):
        accuracy = images and AccuracyMeasurement(images, Split.load(options.split) if options.split else None)

        def say(phase: str, model: str, done: float) -> None:
            progress.update(f"{phase} {model}", done)

        return BenchResult(run(models, files, described, options, accuracy, say))


@contextmanager
def _queries(data: Path | str | None, progress: Progress) -> Iterator[tuple[list[Path], dict[str, Any], Images | None]]:
    """The images of the queries, what they are, and the labelled dataset where there is one."""
    if data is None:
        with tempfile.TemporaryDirectory(prefix="allkit-bench-") as folder:
            files = sorted(synthesize(Path(folder, "smears"), _SYNTHETIC_PER_CLASS).rglob("*.jpg"))
            yield files, {"kind": "synthetic smears"}, None
        return
    # Read here, so that what cannot be read is left out of the queries too.
    images = load(scan(data), None, progress)
    files = [images.dataset.root / path for path in images.dataset.paths]
    yield files, {"kind": "labelled images", "root": visible(Path(data).name)}, images
