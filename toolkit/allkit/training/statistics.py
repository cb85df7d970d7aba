"""The statistics of batch normalisation, taken anew when the weights are final.

While weights move, each normalisation keeps a running mean of some ten batches, all of them augmented. What a model
meets in use are images as they are: strong changes of colour shift and widen every channel, and a network that
normalises by their statistics errs on plain images. Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm",
arXiv:2105.07576, describe both effects.
"""

from __future__ import annotations

import keras
import numpy as np

from allkit.training.augment import augmented_batch
from allkit.training.recipe import Recipe


def retake_statistics(model: keras.Model, recipe: Recipe, pixels: np.ndarray, seed: int) -> None:
    """Set the mean and variance of every normalisation to the average over batches of `pixels`, uint8 (n, S, S, 3).

    Of each batch the share `recipe.plain_statistics` is as it is, the rest augmented.
    """
    normalisations = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not normalisations:
        return
    sums = [np.zeros((2, layer.moving_mean.shape[0])) for layer in normalisations]
    momenta = [layer.momentum for layer in normalisations]
    order = np.random.default_rng((seed, recipe.epochs)).permutation(len(pixels))
    size = min(recipe.batch_size, len(pixels))
    batches = order[: len(order) - len(order) % size].reshape(-1, size)
    plain = round(recipe.plain_statistics * size)
    for layer in normalisations:
        # The variables then hold the statistics of the last batch alone.
        layer.momentum = 0.0
    for rows in batches:
        changed = augmented_batch(pixels, rows[plain:], recipe, seed, recipe.epochs) if plain < size else pixels[:0]
        model(np.concatenate([pixels[rows[:plain]], changed]), training=True)
        for total, layer in zip(sums, normalisations, strict=True):
            total += [keras.ops.convert_to_numpy(value) for value in (layer.moving_mean, layer.moving_variance)]
    for total, layer, momentum in zip(sums, normalisations, momenta, strict=True):
        layer.momentum = momentum
        layer.moving_mean.assign(total[0] / len(batches))
        layer.moving_variance.assign(total[1] / len(batches))
