"""`allkit.bench`: what exported models cost and how accurate they are on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allkit.benchmark.measure.accuracy import AccuracyMeasurement
from allkit.benchmark.record.record import Figures, figures
from allkit.data.index import Images, load, scan
from allkit.data.split import Split
from allkit.data.synth import synthesize
from allkit.runtime.default_model import models_at_hand
from allkit.support.extras import require
from allkit.support.progress import Progress
from allkit.support.text import visible

_SYNTHETIC_PER_CLASS = 32


@dataclass(frozen=True)
class BenchOptions:
    """What `bench` measures.

    models: ONNX files that allkit exported; none for all in exported/. data: folder with one sub-folder of images per
    class, for queries and accuracy; None for synthetic smears and no accuracy. split: a split.json on whose test part
    accuracy is measured, in place of that of each model. device: as for `Classifier`. batches: batch sizes of the
    throughput, empty for that of the plan, 1 and 32. seconds and queries: the least of each scenario, over all rounds.
    rounds: how often all models take turns.
    """

    models: Sequence[Path | str] = ()
    data: Path | str | None = None
    split: Path | str | None = None
    device: str = "auto"
    batches: Sequence[int] = ()
    seconds: float = 5.0
    queries: int = 662
    rounds: int = 7


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
    from allkit.benchmark.measure.run import Settings, run

    progress = progress or Progress()
    models = [Path(model) for model in options.models] or models_at_hand()
    settings = Settings(options.device, tuple(options.batches), options.seconds, options.queries, options.rounds)
    with _queries(options.data, progress) as (files, described, images):
        accuracy = images and AccuracyMeasurement(images, Split.load(options.split) if options.split else None)

        def say(phase: str, model: str, done: float) -> None:
            progress.update(f"{phase} {model}", done)

        if warning := busy():
            progress.note(warning)
        return BenchResult(run(models, files, described, settings, accuracy, say))


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
