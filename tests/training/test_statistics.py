import numpy as np
import pytest

from allkit.training.backend import prepare

prepare()

import keras  # noqa: E402

from allkit.training import architecture, statistics  # noqa: E402
from allkit.training.fit import predict  # noqa: E402
from allkit.training.recipe import SCRATCH  # noqa: E402

# Small kernels and wide images, so that no layer sees a batch without spread.
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3)).astype(np.uint8)
RECIPE = SCRATCH.override(batch_size=8, dropout=0.0, channel_offset=0.5)


def network(recipe):
    keras.utils.set_random_seed(0)
    return architecture.build(64, 3, 0.0625, recipe)


def test_on_the_images_of_its_statistics_a_network_answers_as_in_training():
    recipe = RECIPE.override(plain_statistics=1.0)
    model = network(recipe)
    in_training = keras.ops.convert_to_numpy(model(PIXELS, training=True))
    statistics.retake_statistics(model, recipe, PIXELS, seed=0)
    np.testing.assert_allclose(predict(model, PIXELS), in_training, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_mean_is_that_of_plain_and_augmented_images(share):
    # All images are dark and their augmentation is bright; the first convolution is linear, so its means mix linearly.
    recipe = SCRATCH.override(batch_size=4, plain_statistics=share)
    model = network(recipe)
    first = model.get_layer("block1_conv1_bn")
    before = keras.Model(model.inputs, first.input)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "augmented_batch", lambda pixels, rows, *_: np.full_like(pixels[rows], 200))
        statistics.retake_statistics(model, recipe, np.full_like(PIXELS, 100), seed=0)
    dark, bright = (predict(before, np.full_like(PIXELS, level)).mean((0, 1, 2)) for level in (100, 200))
    np.testing.assert_allclose(first.moving_mean.numpy(), share * dark + (1 - share) * bright, rtol=1e-3)
    assert first.momentum == pytest.approx(0.9)
