"""The training loop: backend-neutral Keras 3, numpy in, one checkpoint per epoch.

It is our own loop over `train_on_batch` rather than `Model.fit` because a resumed training must
reach the very weights of an uninterrupted one. All that is random in an epoch (order,
augmentation, dropout) is drawn from (seed, epoch), so the state to keep is the variables alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from allkit.errors import AllkitError
from allkit.runs.history import Epoch
from allkit.runs.recipe import Recipe
from allkit.support.ahead import ahead
from allkit.support.cpus import cores
from allkit.training import checkpoint
from allkit.training.augment import augmented_batch
from allkit.training.callback import TrainingCallback

_PREDICT_BATCH = 64
# Batches that are augmented ahead of the model, one thread each: a GPU takes more than one core can augment.
_MOST_AHEAD = 8

_OUTPUT = "probabilities"

# The layers with weights behind the last map of features.
_HEAD = {"fc", "statistics_bn", _OUTPUT}


@dataclass(frozen=True)
class LabeledImages:
    """Pixels uint8 (n, S, S, 3) with labels int64 (n,)."""

    pixels: np.ndarray
    labels: np.ndarray


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The rate of optimiser step `step`, counted from 0: linear warm-up, then cosine to 0 or constant."""
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step < warmup:
        return recipe.learning_rate * (step + 1) / math.ceil(warmup)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    progress = (step - warmup) / max(1.0, recipe.epochs * steps_per_epoch - warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """The weight of an image of each class, float32 (classes,): n / (classes * images of the class).

    The mean weight of the images is 1. The same as `class_weight="balanced"` of scikit-learn, after King and Zeng
    2001, "Logistic Regression in Rare Events Data".
    """
    return (len(labels) / (classes * np.bincount(labels, minlength=classes))).astype(np.float32)


class _DepthRates(keras.optimizers.AdamW):
    """AdamW whose rate for the body of a network is a multiple of that of the head."""

    def __init__(self, blocks_rate: float, *args: Any, **options: Any):
        super().__init__(*args, name="adamw", **options)
        self._blocks_rate = blocks_rate

    def build(self, variables):
        super().build(variables)
        self._shares = [1.0 if one.path.partition("/")[0] in _HEAD else self._blocks_rate for one in variables]

    def update_step(self, gradient, variable, learning_rate):
        share = self._shares[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * share)


def compiled(model: keras.Model, recipe: Recipe) -> keras.Model:
    """What trains `model`: its layers under the recipe's optimiser (AdamW; Adam when the decay is 0) and cross-entropy.

    The targets are float32 (n, classes). The optimiser is not part of `model`, nor of a file that it is saved to.
    """
    trainer = keras.Model(model.inputs, model.output)
    optimizer = _DepthRates(recipe.blocks_rate, recipe.learning_rate, weight_decay=recipe.weight_decay)
    # Decay is for kernels: shrinking a scale or an offset only shifts what the network must relearn.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(trainer.trainable_variables)
    # XLA was a third slower than oneDNN's kernels on CPUs; other backends take Keras' choice.
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    trainer.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"], jit_compile=jit)
    # Keras would make the variables of loss and metric in the first step, and TensorFlow then trace it twice.
    nothing = np.zeros((1, trainer.output_shape[1]), np.float32)
    trainer.compute_loss(y=nothing, y_pred=nothing)
    trainer.compute_metrics(None, nothing, nothing)
    trainer.reset_metrics()
    return trainer


def fit(
    trainer: keras.Model,
    recipe: Recipe,
    train: LabeledImages,
    validation: LabeledImages,
    seed: int,
    checkpoint_path: Path,
    callback: TrainingCallback,
) -> list[Epoch]:
    """Train what `compiled` returned for the recipe's epochs; returns the history, one row per epoch.

    After each epoch all variables and the history go to `checkpoint_path`; where that file exists already, training
    goes on after its last epoch. AllkitError when it is damaged.
    """
    history = _restore(trainer, checkpoint_path, recipe.epochs) if checkpoint_path.exists() else []
    # A checkpoint is written while the next epoch computes: at full width it holds gigabytes.
    with ThreadPoolExecutor(1) as writer:
        written = None
        for epoch in range(len(history) + 1, recipe.epochs + 1):
            start = time.perf_counter()
            loss, accuracy, rate = _train_epoch(trainer, recipe, train, seed, epoch, callback)
            probabilities = predict(trainer, validation.pixels)
            if not (math.isfinite(loss) and np.isfinite(probabilities).all()):
                raise AllkitError(f"the training diverged in epoch {epoch}: start again with a lower --learning-rate")
            of_truth = probabilities[np.arange(len(validation.labels)), validation.labels]
            row = Epoch(
                epoch,
                loss,
                accuracy,
                validation_loss=float(-np.log(np.maximum(of_truth, keras.config.epsilon())).mean()),
                validation_accuracy=float((probabilities.argmax(1) == validation.labels).mean()),
                learning_rate=rate,
                seconds=time.perf_counter() - start,
            )
            history.append(row)
            if written:
                written.result()
            arrays = [keras.ops.convert_to_numpy(variable).copy() for variable in _variables(trainer)]
            written = writer.submit(checkpoint.save, checkpoint_path, arrays, list(history))
            callback.on_epoch(history)
        if written:
            written.result()
    return history


def chunks(count: int, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The rows of each step: a new order every epoch, all of one size.

    The rest that does not fill a batch waits for another epoch: a second batch size would be compiled once more.
    """
    order = np.random.default_rng((seed, epoch)).permutation(count)
    batch_size = min(batch_size, count)
    return np.split(order[: count - count % batch_size], count // batch_size)


def predict(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    """Probabilities float32 (n, classes) of uint8 images (n, S, S, 3)."""
    count = len(pixels)
    padding = -count % _PREDICT_BATCH
    # One batch size for all: a second one would be compiled once more.
    rows = np.concatenate([np.arange(count), np.zeros(padding, np.int64)]).reshape(-1, _PREDICT_BATCH)
    return np.concatenate([model.predict_on_batch(pixels[batch]) for batch in rows])[:count]


def _train_epoch(
    model: keras.Model,
    recipe: Recipe,
    train: LabeledImages,
    seed: int,
    epoch: int,
    callback: TrainingCallback,
) -> tuple[float, float, float]:
    batches = chunks(len(train.labels), recipe.batch_size, seed, epoch)
    steps = len(batches)
    classes = model.output_shape[1]
    weights = class_weights(train.labels, classes) if recipe.class_weights else None
    _seed_dropout(model, seed, epoch)
    totals = np.zeros(2)
    rate = 0.0
    for step, (rows, pixels) in enumerate(_batches(batches, recipe, train, seed, epoch), 1):
        rate = learning_rate(recipe, (epoch - 1) * steps + step - 1, steps)
        model.optimizer.learning_rate = rate
        labels = train.labels[rows]
        targets = np.eye(classes, dtype=np.float32)[labels]
        weight = None if weights is None else weights[labels]
        result = model.train_on_batch(pixels, targets, weight, return_dict=True)
        totals += result["loss"], result["accuracy"]
        loss, accuracy = (totals / step).tolist()
        callback.on_step(epoch, step, steps, loss, accuracy)
    return loss, accuracy, rate


def _batches(
    steps: list[np.ndarray], recipe: Recipe, train: LabeledImages, seed: int, epoch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows and augmented images of each step; those that follow are made in threads while the model computes."""
    threads = min(_MOST_AHEAD, cores())

    def augmented(rows: np.ndarray) -> np.ndarray:
        return augmented_batch(train.pixels, rows, recipe, seed, epoch)

    yield from zip(steps, ahead(augmented, steps, threads, threads), strict=True)


def _seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout) and layer.rate:
            layer.seed_generator.state.assign(np.array([seed, epoch], np.uint32))


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.weights, *model.optimizer.variables]


def _restore(model: keras.Model, path: Path, epochs: int) -> list[Epoch]:
    variables = _variables(model)
    arrays, history = checkpoint.load(path, [keras.ops.convert_to_numpy(one) for one in variables], epochs)
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return history
