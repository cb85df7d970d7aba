import numpy as np
import pytest

from allkit.training.backend import prepare

prepare()

import keras  # noqa: E402

from allkit.runs.recipe import PAPER, SCRATCH  # noqa: E402
from allkit.training import architecture  # noqa: E402


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
    ours = architecture.build(64, 4, 1.0, PAPER)
    theirs = keras.applications.VGG16(include_top=False, weights=None, input_shape=(64, 64, 3))
    assert architecture.conv_names() == [layer.name for layer in theirs.layers if "conv" in layer.name]
    for name in architecture.conv_names():
        assert ours.get_layer(name).kernel.shape == theirs.get_layer(name).kernel.shape


@pytest.mark.parametrize(("size_px", "width"), [(150, 0.25), (64, 0.125), (96, 0.5)])
def test_the_parameter_count_follows_the_layer_table(size_px, width):
    assert architecture.build(size_px, 4, width, PAPER).count_params() == parameters(size_px, width)


def test_the_network_takes_uint8_and_gives_probabilities():
    model = architecture.build(32, 3, 0.0625, SCRATCH)
    assert model.inputs[0].dtype == "uint8"
    probabilities = model.predict_on_batch(np.zeros((2, 32, 32, 3), np.uint8))
    assert probabilities.shape == (2, 3)
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(1), 1)


def test_normalisation_divides_by_255_or_subtracts_the_imagenet_mean_of_each_channel():
    image = np.full((1, 32, 32, 3), (10, 20, 30), np.uint8)

    def normalised(recipe):
        model = architecture.build(32, 2, 0.0625, recipe)
        first = keras.Model(model.input, model.get_layer("block1_conv1").input)
        return np.asarray(first(image))[0, 0, 0]

    assert np.allclose(normalised(SCRATCH), np.array([10, 20, 30]) / 255)
    assert np.allclose(normalised(PAPER), np.array([10 - 123.68, 20 - 116.779, 30 - 103.939]), atol=1e-4)
    assert np.allclose(normalised(SCRATCH.override(normalisation="none")), [10, 20, 30])
