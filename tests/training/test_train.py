import io
import json
import zipfile
from dataclasses import replace

import h5py
import numpy as np
import pytest

from allkit.training.backend import prepare
from allkit.training.callback import TrainingCallback

prepare()

import keras  # noqa: E402

from allkit.data.index import read, scan  # noqa: E402
from allkit.imaging.pixel_path import PixelPath  # noqa: E402
from allkit.model.architecture import ARCHITECTURES, VGG16  # noqa: E402
from allkit.runs.recipe import PAPER  # noqa: E402
from allkit.runs.run import Run  # noqa: E402
from allkit.runs.settings import Settings  # noqa: E402
from allkit.training import train  # noqa: E402
from allkit.training.fit import predict  # noqa: E402

pytestmark = pytest.mark.slow


def test_weights_that_a_checkpoint_will_replace_are_not_fetched_again(monkeypatch):
    def fetch(model, network, source):
        raise ConnectionError(source)

    monkeypatch.setattr(train, "load_imagenet", fetch)
    settings = Settings("vgg16", PixelPath(32), 1.0, 0, PAPER, ("a", "b"), "")
    with pytest.raises(ConnectionError, match="imagenet"):
        train.build_model(settings)
    model = train.build_model(settings, pretrained=False)
    trained = {layer.name for layer in model.layers if layer.trainable_weights}
    # The paper: block1_conv1 ... block4_conv3 and the head train, block 5 stays frozen.
    assert trained == {name for name in ARCHITECTURES[VGG16].conv_names if name < "block5"} | {"fc", "probabilities"}


def test_the_statistics_of_a_finished_run_are_those_of_its_final_weights(finished_run, smears, tmp_path):
    # One batch of all images as they are: running averages of one step would still be near 0.
    recipe = finished_run.settings.recipe.override(plain_statistics=1.0, batch_size=64)
    settings = replace(finished_run.settings, recipe=recipe)
    images = read(scan(smears), settings.pixels)
    run = Run.create(tmp_path / "run", settings, finished_run.split)
    train.train(run, images, TrainingCallback())
    model = keras.models.load_model(run.model_path, compile=False)
    first = model.get_layer("block1_conv1_bn")
    pixels = images.pixels[images.dataset.select(run.split.parts["train"])]
    values = predict(keras.Model(model.inputs, first.input), pixels).astype(np.float64)
    np.testing.assert_allclose(first.moving_mean.numpy(), values.mean((0, 1, 2)), rtol=1e-3)


def test_a_saved_network_has_no_optimiser(finished_run):
    # Whatever loads it needs no class of allkit's training loop.
    with zipfile.ZipFile(finished_run.model_path) as archive:
        assert not json.loads(archive.read("config.json")).get("compile_config")
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
            assert "optimizer" not in weights
