import numpy as np
import pytest

from allkit.training.backend import prepare

prepare()

import keras  # noqa: E402

from allkit.errors import AllkitError  # noqa: E402
from allkit.training import architecture, weights  # noqa: E402
from allkit.training.recipe import PAPER  # noqa: E402


@pytest.fixture(scope="module")
def stand_in() -> keras.Model:
    """VGG16 as Keras publishes it, with random weights in place of ImageNet's."""
    keras.utils.set_random_seed(3)
    return keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))


@pytest.fixture(scope="module")
def ours() -> keras.Model:
    return architecture.build(32, 4, 1.0, PAPER)


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_features_equal_those_of_keras_with_its_own_preprocessing(stand_in, ours, tmp_path, suffix):
    path = tmp_path / f"vgg16{suffix}"
    stand_in.save_weights(path) if suffix == ".weights.h5" else stand_in.save(path)
    weights.load_imagenet(ours, str(path))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    expected = stand_in.predict_on_batch(keras.applications.vgg16.preprocess_input(images.astype(np.float32)))
    features = keras.Model(ours.inputs, ours.get_layer("block5_pool").output)
    got = np.asarray(features.predict_on_batch(images))
    assert np.allclose(got, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_missing_file_and_a_file_of_another_network_are_named(ours, tmp_path):
    with pytest.raises(AllkitError, match="no weights file nowhere"):
        weights.load_imagenet(ours, "nowhere.h5")
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(AllkitError, match="does not hold the weights of VGG16"):
        weights.load_imagenet(ours, str(tmp_path / "other.weights.h5"))


def test_weights_that_cannot_be_fetched_tell_how_to_go_on(ours, monkeypatch):
    def refuse(**arguments):
        if arguments["weights"] == "imagenet":
            raise Exception("URL fetch failure on https://example.org: None -- no route to host")
        return keras.Sequential()

    monkeypatch.setattr(keras.applications, "VGG16", refuse)
    with pytest.raises(AllkitError, match=r"--weights vgg16\.weights\.h5; or train without it: --recipe scratch"):
        weights.load_imagenet(ours, "imagenet")
