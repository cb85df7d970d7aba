"""What teachers say of the training images, asked once before a training imitates them.

A network learns from another by its probabilities (Hinton et al. 2015, arXiv:1503.02531), which for four classes say
little more than the label, and by its features (Romero et al. 2015, "FitNets", arXiv:1412.6550), which say more.
Teacher and student look at the same warp of an image (Beyer et al. 2022, arXiv:2106.05237); the student's is
recoloured, the teacher's is not, so that the student learns to give the answer of true colours under false ones.

The warps repeat after `recipe.teacher_views` epochs. So the teachers compute a few tens of passes over the images
instead of one an epoch, and a small network is trained for hundreds of epochs at its own speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from allkit.runs.recipe import Recipe
from allkit.support.progress import Progress
from allkit.training.augment import warped_batch

_BATCH = 64
_LEAST_DEVIATION = 1e-4


@dataclass(frozen=True)
class Teacher:
    """A trained network and the training images as it reads them, uint8 (n, S, S, 3)."""

    model: keras.Model
    pixels: np.ndarray


@dataclass(frozen=True)
class Lessons:
    """The teachers' answers. probabilities: float32 (views, n, k), their mean. features: float16 (views, n, d), what
    the last layer of each reads, side by side, each standardised; d is 0 where they are not imitated."""

    probabilities: np.ndarray
    features: np.ndarray


def ask(teachers: Sequence[Teacher], recipe: Recipe, seed: int, progress: Progress) -> Lessons:
    """Show every teacher `recipe.teacher_views` warps of its images, or as many as there are epochs."""
    views = min(recipe.teacher_views, recipe.epochs)
    probabilities, features = [], []
    for i, teacher in enumerate(teachers):
        told, seen = _answers(
            teacher,
            recipe,
            seed,
            views,
            lambda share, i=i: progress.update("asking the teachers", (i + share) / len(teachers)),
        )
        probabilities.append(told)
        features.append(seen)
    return Lessons(np.mean(probabilities, axis=0), np.concatenate(features, axis=2))


def _answers(
    teacher: Teacher, recipe: Recipe, seed: int, views: int, done: Callable[[float], None]
) -> tuple[np.ndarray, np.ndarray]:
    outputs = {"probabilities": teacher.model.output}
    if recipe.teacher_features:
        outputs["features"] = teacher.model.get_layer("dropout").input
    model = keras.Model(teacher.model.inputs, outputs)
    count = len(teacher.pixels)
    probabilities = np.empty((views, count, teacher.model.output_shape[1]), np.float32)
    features = np.empty((views, count, outputs["features"].shape[1] if "features" in outputs else 0), np.float32)
    for view in range(views):
        for start in range(0, count, _BATCH):
            # One batch size for all: a second one would be compiled once more.
            rows = np.arange(start, start + _BATCH) % count
            answer = model.predict_on_batch(warped_batch(teacher.pixels, rows, recipe, seed, view + 1))
            kept = slice(start, min(start + _BATCH, count))
            for name, whole in (("probabilities", probabilities), ("features", features)):
                if name in answer:
                    whole[view, kept] = answer[name][: kept.stop - start]
        done((view + 1) / views)
    if features.size:
        features -= features.mean((0, 1))
        features /= np.maximum(features.std((0, 1)), _LEAST_DEVIATION)
    return probabilities, features.astype(np.float16)
