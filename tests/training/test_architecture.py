import numpy as np
import pytest

from allkit.training.backend import prepare

prepare()

import keras  # noqa: E402

from allkit.model.architecture import ARCHITECTURES, VGG16  # noqa: E402
from allkit.runs.recipe import PAPER, SCRATCH  # noqa: E402
from allkit.training import architecture  # noqa: E402

NETWORK = ARCHITECTURES[VGG16]


def parameters(size_px: int, width: float) -> int:
    """Counted from the published layer table: 3x3 kernels with bias, then two Dense layers."""
    channels, total, before = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512), 0, 3
    for count in (round(c * width) for c in channels):
        total += 9 * before * count + count
        before = count
    features = (size_px // 32) ** 2 * before
    dense = round(1024 * width)
    return total + features * dense + dense + dense * 4 + 4


def test_the_convolutions_at_full_width_are_those_of_keras_vgg16():
    ours = architecture.build(NETWORK, 64, 4, 1.0, PAPER)
    theirs = keras.applications.VGG16(include_top=False, weights=None, input_shape=(64, 64, 3))
    assert NETWORK.conv_names == [layer.name for layer in theirs.layers if "conv" in layer.name]
    for name in NETWORK.conv_names:
        assert ours.get_layer(name).kernel.shape == theirs.get_layer(name).kernel.shape


@pytest.mark.parametrize(("size_px", "width"), [(150, 0.25), (64, 0.125), (96, 0.5)])
def test_the_parameter_count_follows_the_layer_table(size_px, width):
    assert architecture.build(NETWORK, size_px, 4, width, PAPER).count_params() == parameters(size_px, width)


def test_the_network_takes_uint8_and_gives_probabilities():
    model = architecture.build(NETWORK, 32, 3, 0.0625, SCRATCH)
    assert model.inputs[0].dtype == "uint8"
    probabilities = model.predict_on_batch(np.zeros((2, 32, 32, 3), np.uint8))
    assert probabilities.shape == (2, 3)
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(1), 1)


def test_patches_hold_the_pixels_of_a_square_row_by_row():
    model = architecture.build(ARCHITECTURES["patchvgg"], 32, 2, 0.0625, SCRATCH.override(normalisation="none"))
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    first = keras.Model(model.input, model.get_layer("block1_conv1").input)
    patches = np.asarray(first(image))
    assert patches.shape == (1, 16, 16, 12)
    assert patches[0, 3, 5].tolist() == image[0, 6:8, 10:12].ravel().tolist()


def test_the_mean_of_imagenet_is_subtracted_from_every_pixel_of_a_patch():
    recipe = SCRATCH.override(normalisation="imagenet")
    model = architecture.build(ARCHITECTURES["patchvgg"], 32, 2, 0.0625, recipe)
    first = keras.Model(model.input, model.get_layer("block1_conv1").input)
    patches = np.asarray(first(np.full((1, 32, 32, 3), (10, 20, 30), np.uint8)))[0, 2, 2]
    assert np.allclose(patches.reshape(4, 3), [10 - 123.68, 20 - 116.779, 30 - 103.939], atol=1e-4)


def test_a_pooled_head_reads_mean_deviation_and_maximum_of_each_channel_wherever_they_lie():
    maps = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    found = np.asarray(architecture.Statistics()(maps))
    assert np.allclose(found, np.concatenate([f(maps, axis=(1, 2)) for f in (np.mean, np.std, np.max)], 1), atol=1e-5)
    moved = maps.reshape(2, 20, 3)[:, np.random.default_rng(1).permutation(20)].reshape(2, 5, 4, 3)
    assert np.allclose(architecture.Statistics()(moved), found, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "size_px", "last", "stride_px"),
    [("vgg16", 96, 3, 32), ("vgg16-block3", 96, 24, 4), ("patchvgg", 96, 12, 8)],
)
def test_the_last_map_has_a_place_for_every_stride(name, size_px, last, stride_px):
    network = ARCHITECTURES[name]
    model = architecture.build(network, size_px, 2, 0.0625, SCRATCH)
    assert model.get_layer(network.last_map).output.shape[1:3] == (last, last)
    assert network.stride_px == stride_px == size_px // last


def test_normalisation_divides_by_255_or_subtracts_the_imagenet_mean_of_each_channel():
    image = np.full((1, 32, 32, 3), (10, 20, 30), np.uint8)

    def normalised(recipe):
        model = architecture.build(NETWORK, 32, 2, 0.0625, recipe)
        first = keras.Model(model.input, model.get_layer("block1_conv1").input)
        return np.asarray(first(image))[0, 0, 0]

    assert np.allclose(normalised(SCRATCH), np.array([10, 20, 30]) / 255)
    assert np.allclose(normalised(PAPER), np.array([10 - 123.68, 20 - 116.779, 30 - 103.939]), atol=1e-4)
    assert np.allclose(normalised(SCRATCH.override(normalisation="none")), [10, 20, 30])


@pytest.mark.parametrize(
    ("name", "parameters"),
    # Without top, as Keras' page of models has them with it.
    [
        ("mobilenetv2", 2_257_984),
        ("resnet50", 23_587_712),
        pytest.param("resnet101", 42_658_176, marks=pytest.mark.deep),
        pytest.param("densenet121", 7_037_504, marks=pytest.mark.deep),
    ],
)
def test_published_bodies_have_the_parameters_that_are_published(name, parameters):
    network = ARCHITECTURES[name]
    model = architecture.build(network, 64, 4, 1.0, SCRATCH)
    features = model.get_layer("average").output.shape[-1]
    assert model.count_params() == parameters + 4 * features + 4
    assert model.get_layer(network.last_map).output.shape[1:3] == (2, 2)


def test_darknet_has_the_layers_of_its_table():
    model = architecture.build(ARCHITECTURES["darknet19"], 224, 1000, 1.0, SCRATCH.override(batch_norm=False))
    table = [(3, 32), (3, 64), (3, 128), (1, 64), (3, 128), (3, 256), (1, 128), (3, 256)]
    table += [(3, 512), (1, 256), (3, 512), (1, 256), (3, 512), (3, 1024), (1, 512), (3, 1024), (1, 512), (3, 1024)]
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(layer.kernel_size[0], layer.filters) for layer in found] == table
    assert [layer.output.shape[1] for layer in found] == [224, 112, *[56] * 3, *[28] * 3, *[14] * 5, *[7] * 5]
    assert {layer.negative_slope for layer in model.layers if isinstance(layer, keras.layers.ReLU)} == {0.1}
    # The mean of the 19th convolution, 1 x 1 without an activation, is a Dense layer of the means.
    maps = np.random.default_rng(0).normal(size=(2, 7, 7, 5))
    kernel = np.random.default_rng(1).normal(size=(5, 3))
    assert np.allclose((maps @ kernel).mean((1, 2)), maps.mean((1, 2)) @ kernel)


@pytest.mark.parametrize("name", ["vgg16", "mobilenetv2"])
def test_without_trainable_blocks_the_head_alone_trains(name):
    network = ARCHITECTURES[name]
    model = architecture.build(network, 64, 4, 0.35, SCRATCH)
    architecture.freeze(model, network, 0)
    trained = {variable.path.partition("/")[0] for variable in model.trainable_variables}
    assert trained == {"fc", "probabilities"} - ({"fc"} if network.head == "average" else set())
