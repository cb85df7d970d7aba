"""One training from settings to a finished run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import keras

from allkit.charts.training import confusion, learning_curves
from allkit.data.index import BASELINE, Images
from allkit.errors import AllkitError
from allkit.metrics import Interval, proportion
from allkit.metrics.classification import Metrics, score
from allkit.model.architecture import ARCHITECTURES, VGG16, Published
from allkit.runs.history import Epoch
from allkit.runs.run import Run, earlier_run
from allkit.runs.settings import SCHEMA_VERSION, Settings
from allkit.support.files import replacing
from allkit.training import architecture
from allkit.training.backend import device, versions
from allkit.training.batchnorm import recompute_batchnorm_statistics
from allkit.training.callback import TrainingCallback
from allkit.training.fit import LabeledImages, compiled, fit, predict
from allkit.training.tensorboard import TensorBoard
from allkit.training.weights import load_imagenet, load_run


def build_model(settings: Settings, pretrained: bool = True) -> keras.Model:
    """The network of the settings with its initial weights; the same for the same seed.

    pretrained: whether to load the weights that the recipe names; a checkpoint that follows replaces them all.
    """
    recipe = settings.recipe
    keras.utils.clear_session()
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if recipe.precision == "bf16" else "float32")
    network = settings.network
    model = architecture.build(network, settings.pixels.size_px, len(settings.classes), settings.width, recipe)
    if pretrained and (earlier := earlier_run(recipe)):
        load_run(model, earlier)
    elif pretrained and recipe.weights != "random":
        if recipe.weights == "imagenet" or Path(recipe.weights).is_file():
            _check_imagenet_fits(settings)
        load_imagenet(model, network, recipe)
    architecture.freeze(model, network, recipe.trainable_blocks)
    return model


def _check_imagenet_fits(settings: Settings) -> None:
    network, weights = settings.network, settings.recipe.weights
    if isinstance(network, Published):
        if settings.width != 1:
            raise AllkitError(f"weights {weights} are for full width: give --width 1, or --weights random")
    elif not network.begins_like(ARCHITECTURES[VGG16]) or settings.width != 1 or settings.recipe.batch_norm:
        raise AllkitError(
            f"weights {weights} are for VGG16, or its first blocks, at full width without batch normalisation: give "
            "--architecture vgg16, --width 1 and --recipe paper, or --weights random"
        )


def train(
    run: Run,
    images: Images,
    callback: TrainingCallback,
    tensorboard: Path | None = None,
) -> tuple[Metrics, Interval]:
    """Train, or go on training, the run's network; fill its folder; return metrics and baseline of the test part.

    `images` must be those that the run's split was made from (AllkitError otherwise). tensorboard: folder below which
    the curves are written for TensorBoard.
    """
    settings, split = run.settings, run.split
    split.check(images.hashes_by_path)
    part = {name: _labelled(images, paths) for name, paths in split.parts.items()}
    model = build_model(settings, pretrained=not run.checkpoint.exists())
    board = TensorBoard(tensorboard / run.folder.name) if tensorboard else None
    recorder = _Recorder(run, callback, board)
    history = fit(
        compiled(model, settings.recipe),
        settings.recipe,
        part["train"],
        part["validation"],
        settings.seed,
        run.checkpoint,
        recorder,
    )
    began = time.perf_counter()
    recompute_batchnorm_statistics(model, settings.recipe, part["train"].pixels, settings.seed)
    seconds = sum(row.seconds for row in history) + time.perf_counter() - began
    probabilities = predict(model, part["test"].pixels)
    groups = [split.groups[path] for path in split.parts["test"]]
    metrics = score(part["test"].labels, probabilities, settings.classes, groups)
    told = images.baseline_right(split.parts["train"], split.parts["test"])
    baseline = proportion(told, groups)
    run.write_predictions(split.parts["test"], part["test"].labels, probabilities)
    learning_curves([asdict(row) for row in history]).save(run.folder / "curves.png")
    title = f"{settings.name}, {split.label} split, test n = {metrics.n}"
    confusion(metrics.confusion, settings.classes, title).save(run.folder / "confusion.png")
    save_model(model, run)
    run.write_metrics(
        {
            "schema_version": SCHEMA_VERSION,
            "part": "test",
            "metrics": metrics.to_dict(),
            "baseline": {"method": BASELINE, **asdict(baseline)},
            "predictions": {
                "path": list(split.parts["test"]),
                "group": groups,
                "truth": part["test"].labels.tolist(),
                "predicted": probabilities.argmax(1).tolist(),
                "baseline_right": told.tolist(),
            },
            "training_seconds": seconds,
            "device": device(),
            "settings": settings.public(),
            "split": split.summary(),
            "data_fingerprint": split.fingerprint,
            "parameters": model.count_params(),
            "versions": versions(),
        }
    )
    run.checkpoint.unlink(missing_ok=True)
    return metrics, baseline


def save_model(model: keras.Model, run: Run) -> None:
    """Write the network without its optimiser; the file loads in Keras' safe mode."""
    with replacing(run.model_path) as temporary:
        model.save(temporary)


def _labelled(images: Images, paths: Sequence[str]) -> LabeledImages:
    rows = images.dataset.select(paths)
    return LabeledImages(images.pixels[rows], images.dataset.labels[rows])


class _Recorder(TrainingCallback):
    """Writes the history after each epoch, then passes the event on."""

    def __init__(self, run: Run, callback: TrainingCallback, board: TensorBoard | None):
        self._run = run
        self._board = board
        self._callback = callback
        self.on_step = callback.on_step

    def on_epoch(self, history: Sequence[Epoch]) -> None:
        self._run.write_history(history)
        if self._board:
            self._board.add(history[-1])
        self._callback.on_epoch(history)
