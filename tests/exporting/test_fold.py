import numpy as np
import pytest

from allkit.training.backend import prepare

prepare()

import keras  # noqa: E402

from allkit.exporting.fold import folded  # noqa: E402
from allkit.model.architecture import ARCHITECTURES, VGG16  # noqa: E402
from allkit.runs.recipe import PAPER, SCRATCH  # noqa: E402
from allkit.training import architecture  # noqa: E402
from networks import each  # noqa: E402

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)


@pytest.mark.parametrize("recipe", [SCRATCH, PAPER.override(weights="random")], ids=["scratch", "paper"])
def test_the_folded_network_has_the_same_function_and_no_batch_normalisation(recipe):
    keras.utils.set_random_seed(0)
    model = architecture.build(ARCHITECTURES[VGG16], 32, 3, 0.0625, recipe)
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # Values far from the initial ones, so that a part left out of the fold would show.
            layer.set_weights(
                [rng.uniform(low, high, layer.gamma.shape) for low, high in ((0.5, 2), (-1, 1), (-1, 1), (0.2, 3))]
            )
    twin = folded(model, ARCHITECTURES["vgg16"])
    assert not [layer for layer in twin.layers if isinstance(layer, keras.layers.BatchNormalization)]
    expected, got = model.predict_on_batch(IMAGES), twin.predict_on_batch(IMAGES)
    assert np.ptp(expected) > 1e-3
    assert np.allclose(expected, got, atol=1e-5)


@pytest.mark.parametrize("name", ["patchvgg", "vgg16-block3"])
def test_the_normalisation_of_a_pooled_head_joins_its_last_layer(name):
    keras.utils.set_random_seed(0)
    model = architecture.build(ARCHITECTURES[name], 32, 3, 0.125, SCRATCH)
    rng = np.random.default_rng(1)
    layer = model.get_layer("statistics_bn")
    layer.set_weights(
        [rng.uniform(low, high, layer.gamma.shape) for low, high in ((0.5, 2), (-1, 1), (-1, 1), (0.2, 3))]
    )
    twin = folded(model, ARCHITECTURES[name])
    assert not [layer for layer in twin.layers if isinstance(layer, keras.layers.BatchNormalization)]
    expected, got = model.predict_on_batch(IMAGES), twin.predict_on_batch(IMAGES)
    assert np.ptp(expected) > 1e-3
    assert np.allclose(expected, got, atol=1e-5)


def test_a_recipe_that_divides_by_255_leaves_no_normalisation_in_the_graph():
    model = architecture.build(ARCHITECTURES[VGG16], 32, 3, 0.0625, SCRATCH)
    twin = folded(model, ARCHITECTURES["vgg16"])
    assert not [layer for layer in twin.layers if isinstance(layer, keras.layers.Rescaling)]


@pytest.mark.parametrize("name", each(["mobilenetv2", "resnet50", "densenet121", "darknet19"]))
def test_every_convolution_takes_the_normalisation_that_it_alone_reads(name):
    keras.utils.set_random_seed(0)
    network = ARCHITECTURES[name]
    model = architecture.build(network, 64, 3, 0.35 if network.has_width else 1.0, SCRATCH)
    rng = np.random.default_rng(1)
    count = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            count += 1
            layer.set_weights(
                [
                    rng.uniform(low, high, layer.gamma.shape)
                    for low, high in ((0.5, 1.5), (-0.5, 0.5), (-0.3, 0.3), (0.5, 2))
                ]
            )
    twin = folded(model, network)
    left = [layer for layer in twin.layers if isinstance(layer, keras.layers.BatchNormalization)]
    # In DenseNet most of them come before an activation, as of what several layers have made.
    assert len(left) == {"densenet121": 62}.get(name, 0)
    assert count > 17
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    expected, got = model.predict_on_batch(images), twin.predict_on_batch(images)
    assert np.ptp(expected) > 1e-4
    assert np.allclose(expected, got, atol=1e-5)
