import numpy as np
import pytest

from allkit.training.backend import prepare

prepare()

import keras  # noqa: E402

from allkit.model.architecture import ARCHITECTURES, VGG16  # noqa: E402
from allkit.runs.recipe import SCRATCH, Recipe  # noqa: E402
from allkit.training import architecture, batchnorm  # noqa: E402
from allkit.training.fit import predict  # noqa: E402

# Small kernels and wide images, so that no layer sees a batch without spread.
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3)).astype(np.uint8)
RECIPE = SCRATCH.override(batch_size=8, dropout=0.0, channel_offset=0.5)


def network(recipe):
    keras.utils.set_random_seed(0)
    return architecture.build(ARCHITECTURES[VGG16], 64, 3, 0.0625, recipe)


def test_on_the_images_of_its_statistics_a_network_answers_as_in_training():
    recipe = RECIPE.override(plain_statistics=1.0)
    model = network(recipe)
    in_training = keras.ops.convert_to_numpy(model(PIXELS, training=True))
    batchnorm.recompute_batchnorm_statistics(model, recipe, PIXELS, seed=0)
    np.testing.assert_allclose(predict(model, PIXELS), in_training, atol=1e-4)


def test_mean_and_variance_are_those_of_all_images_however_they_are_batched():
    # Images of different brightness, so that batches have different means.
    pixels = (PIXELS * np.linspace(0.2, 1, len(PIXELS))[:, None, None, None]).astype(np.uint8)
    recipe = RECIPE.override(plain_statistics=1.0, batch_size=2)
    model = network(recipe)
    first = model.get_layer("block1_conv1_bn")
    values = predict(keras.Model(model.inputs, first.input), pixels).astype(np.float64)
    batchnorm.recompute_batchnorm_statistics(model, recipe, pixels, seed=0)
    np.testing.assert_allclose(first.moving_mean.numpy(), values.mean((0, 1, 2)), rtol=1e-3)
    np.testing.assert_allclose(first.moving_variance.numpy(), values.var((0, 1, 2)), rtol=1e-3)


def test_what_does_not_train_and_what_asks_for_none_keep_their_statistics():
    recipe = RECIPE.override(plain_statistics=1.0)
    model = network(recipe)
    before = [weight.numpy().copy() for weight in model.weights]
    batchnorm.recompute_batchnorm_statistics(model, Recipe.from_dict({}), PIXELS, seed=0)
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, model.weights, strict=True))
    model.get_layer("block1_conv1_bn").trainable = False
    batchnorm.recompute_batchnorm_statistics(model, recipe, PIXELS, seed=0)
    assert not model.get_layer("block1_conv1_bn").moving_mean.numpy().any()
    assert model.get_layer("block1_conv2_bn").moving_mean.numpy().any()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_mean_is_that_of_plain_and_augmented_images(share):
    # All images are dark and their augmentation is bright; the first convolution is linear, so its means mix linearly.
    recipe = SCRATCH.override(batch_size=4, plain_statistics=share)
    model = network(recipe)
    first = model.get_layer("block1_conv1_bn")
    before = keras.Model(model.inputs, first.input)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batchnorm, "augmented_batch", lambda pixels, rows, *_: np.full_like(pixels[rows], 200))
        batchnorm.recompute_batchnorm_statistics(model, recipe, np.full_like(PIXELS, 100), seed=0)
    dark, bright = (predict(before, np.full_like(PIXELS, level)).mean((0, 1, 2)) for level in (100, 200))
    np.testing.assert_allclose(first.moving_mean.numpy(), share * dark + (1 - share) * bright, rtol=1e-3)
    assert first.momentum == pytest.approx(0.9)
