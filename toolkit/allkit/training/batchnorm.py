"""The statistics of batch normalisation, recomputed when the weights are final.

During training each normalisation keeps a running mean over some ten batches, all of them augmented. At inference a
model sees images as they are: strong colour augmentation shifts and widens every channel, and a network that
normalises by those statistics is less accurate on unchanged images. Wu and Johnson 2021, "Rethinking 'Batch' in
BatchNorm", arXiv:2105.07576, describe both effects.
"""

from __future__ import annotations

import keras
import numpy as np

from allkit.runs.recipe import Recipe
from allkit.training.augment import augmented_batch
from allkit.training.fit import chunks


def recompute_batchnorm_statistics(model: keras.Model, recipe: Recipe, pixels: np.ndarray, seed: int) -> None:
    """Set mean and variance of every normalisation that trains to those over batches of `pixels`, uint8 (n, S, S, 3).

    Of each batch the share `recipe.plain_statistics` is as it is, the rest augmented; None leaves the statistics alone.
    """
    normalisations = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not normalisations or recipe.plain_statistics is None:
        return
    momenta = [layer.momentum for layer in normalisations]
    # Sums of the means, and of the second moments.
    sums = [np.zeros((2, layer.moving_mean.shape[0])) for layer in normalisations]
    batches = chunks(len(pixels), recipe.batch_size, seed, recipe.epochs)
    for layer in normalisations:
        # The variables then hold the statistics of the last batch alone.
        layer.momentum = 0.0
    for rows in batches:
        plain = round(recipe.plain_statistics * len(rows))
        batch = pixels[rows]
        if plain < len(rows):
            batch[plain:] = augmented_batch(pixels, rows[plain:], recipe, seed, recipe.epochs)
        model(batch, training=True)
        for total, layer in zip(sums, normalisations, strict=True):
            mean, variance = map(keras.ops.convert_to_numpy, (layer.moving_mean, layer.moving_variance))
            total += [mean, variance + mean.astype(np.float64) ** 2]
    for total, layer, momentum in zip(sums, normalisations, momenta, strict=True):
        mean, moment = total / len(batches)
        layer.momentum = momentum
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(moment - mean**2)
