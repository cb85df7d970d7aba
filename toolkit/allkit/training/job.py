"""`allkit.train` and `allkit.cross_validate`: from options to finished run folders."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allkit.data.index import Images, load, scan
from allkit.data.protocol import FOLDS, PROTOCOLS, remarks
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.runs.folds import check_next_fold, earlier_fold
from allkit.runs.recipe import Recipe
from allkit.runs.run import Run, begun, fold_folder
from allkit.support.extras import require
from allkit.support.files import check_folder, content_hash
from allkit.training.callback import TrainingCallback
from allkit.training.options import TrainOptions
from allkit.training.resume import refuse_changes

if TYPE_CHECKING:
    from allkit.metrics import Interval
    from allkit.metrics.classification import Metrics

RUNS = Path("runs")
# Given where nothing is said: every option counts when a run is resumed.
_ALL = frozenset(field.name for of in (TrainOptions, Recipe) for field in fields(of)) - {"name"}


@dataclass(frozen=True)
class TrainResult:
    """A finished run, or the folds of a cross-validation pooled.

    folder: where the run is, or the cross-validation with one sub-folder per fold. name: architecture, width and size.
    split: the protocol in words. metrics: of the test part, or of the out-of-fold predictions. baseline: the accuracy
    of the nearest colour histogram on the same images.
    """

    folder: Path
    name: str
    split: str
    metrics: Metrics
    baseline: Interval

    def to_dict(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "name": self.name,
            "split": self.split,
            "metrics": self.metrics.to_dict(),
            "baseline": asdict(self.baseline),
        }


def train(
    options: TrainOptions,
    *,
    resume: bool = False,
    callback: TrainingCallback | None = None,
    given: Collection[str] = _ALL,
) -> TrainResult:
    """Train one network and fill its run folder.

    resume: continue the run in `options.out` if there is one, after its last finished epoch; a finished one is returned
    as it is. callback: told of progress. given: the names of the options that a resumed run must agree with; the others
    are those of the run. Raises AllkitError without the extra `train`, and for images, splits, weights or folders that
    do not fit.
    """
    job = _Job(options, resume, callback or TrainingCallback(), given)
    folder = options.out or new_folder(options)
    check_folder(folder)
    return job.train(folder, 0, None, None)


def cross_validate(
    options: TrainOptions,
    folds: int = 5,
    *,
    resume: bool = False,
    callback: TrainingCallback | None = None,
    given: Collection[str] = _ALL,
) -> TrainResult:
    """Train one network per fold, each below `options.out`, and pool their out-of-fold predictions.

    Raises AllkitError, besides what `train` raises, without `options.out`, with a split from a file, and for weights
    of an earlier run: it would have seen the images of most test parts.
    """
    from allkit.training.backend import prepare

    if options.out is None:
        raise AllkitError("a cross-validation needs a folder: give out")
    if options.split not in PROTOCOLS:
        raise AllkitError("a cross-validation makes its own splits: give the split grouped or random, not a file")
    earlier = options.recipe.weights
    if Path(earlier).is_dir():
        raise AllkitError(
            f"all folds but one would be tested on images that {earlier} was trained on: train the folds one by one, "
            "with the split.json of an earlier run each"
        )
    folder = options.out
    check_folder(folder)
    if (folder / "run.json").exists():
        raise AllkitError(f"{folder} is a run and no cross-validation: leave out the folds, or give another --out")
    job = _Job(options, resume, callback or TrainingCallback(), given)
    first = earlier_fold(folder, folds) if resume else None
    results = [job.train(fold_folder(folder, fold), fold, folds, first) for fold in range(folds)]
    prepare()
    from allkit.training.cross_validation import pool

    metrics, baseline = pool([Run.open(result.folder) for result in results], folder)
    split = f"{folds} folds of the {results[0].split}"
    return TrainResult(folder, results[0].name, split, metrics, baseline)


def new_folder(options: TrainOptions) -> Path:
    """A folder below runs/ that is named by network, recipe and time."""
    return RUNS / f"{options.name}-{options.recipe.name}-{datetime.now():%Y%m%d-%H%M%S}"


class _Job:
    """Trains runs of the same options, reading the images once."""

    def __init__(self, options: TrainOptions, resume: bool, callback: TrainingCallback, given: Collection[str]):
        require("train")
        self._options = _resolved(options)
        self._resume = resume
        self._callback = callback
        self._given = given
        self._images = lru_cache(maxsize=1)(self._read)

    def train(self, folder: Path, fold: int, folds: int | None, first: Run | None) -> TrainResult:
        """Start or resume the run in `folder`. first: another fold of the same cross-validation, if there is one."""
        run = self._opened(folder, fold, folds) if self._resume and begun(folder) else None
        root = Path(run.settings.data) if run and "data" not in self._given else self._options.data
        run = run or self._created(folder, fold, folds, first)
        if run.finished:
            self._callback.note(f"{run.folder} is finished already")
            return _finished(run)
        images = self._images(root, run.settings.pixels)
        from allkit.training.backend import device, prepare

        self._callback.update("loading Keras", 0.0)
        prepare()
        from allkit.training.train import train as train_run

        self._callback.on_begin(run, device())
        try:
            metrics, baseline = train_run(run, images, self._callback, self._options.tensorboard)
        except AllkitError:
            run.discard_if_empty()
            raise
        result = TrainResult(folder, run.settings.name, f"{run.split.label} split", metrics, baseline)
        self._callback.on_end(result)
        return result

    def _opened(self, folder: Path, fold: int, folds: int | None) -> Run:
        run = Run.open(folder)
        refuse_changes(run, self._options, self._given, fold, folds)
        return run

    def _created(self, folder: Path, fold: int, folds: int | None, first: Run | None) -> Run:
        images = self._images(self._options.data, self._options.pixels)
        settings, split = self._options.settings(images), self._options.make_split(images, fold, folds or FOLDS)
        if first:
            check_next_fold(folder, settings, split, fold, folds, first)
        if not fold:
            for remark in remarks(images, split):
                self._callback.note(remark)
        return Run.create(folder, settings, split)

    def _read(self, root: Path, pixels: PixelPath) -> Images:
        return load(scan(root), pixels, self._callback)


def _resolved(options: TrainOptions) -> TrainOptions:
    """The options with the hash of the weights; the path of an earlier run is absolute, to be resumed from anywhere."""
    recipe = options.recipe
    earlier = Path(recipe.weights).is_dir()
    weights = str(Path(recipe.weights).resolve()) if earlier else recipe.weights
    if options.out and earlier and str(options.out.resolve()) == weights:
        raise AllkitError(f"{options.out} cannot learn from itself: give another --out")
    digest = content_hash(Path(weights)) if Path(weights).is_file() else None
    if recipe.weights_sha256 not in (None, digest):
        raise AllkitError(f"{weights} has SHA-256 {digest}, not {recipe.weights_sha256}: get the right weights file")
    return replace(options, recipe=recipe.override(weights=weights, weights_sha256=digest))


def _finished(run: Run) -> TrainResult:
    from allkit.metrics import Interval
    from allkit.metrics.classification import score

    paths, labels, probabilities = run.read_predictions()
    groups = [run.split.groups[path] for path in paths]
    metrics = score(labels, probabilities, run.settings.classes, groups)
    baseline = run.metrics()["baseline"]
    return TrainResult(
        run.folder,
        run.settings.name,
        f"{run.split.label} split",
        metrics,
        Interval(*(baseline[end] for end in ("value", "low", "high"))),
    )
