from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from allkit.training.backend import prepare

prepare()

import keras  # noqa: E402

from allkit.data.index import read, scan  # noqa: E402
from allkit.data.protocol import random_split  # noqa: E402
from allkit.errors import AllkitError  # noqa: E402
from allkit.model.architecture import ARCHITECTURES, VGG16  # noqa: E402
from allkit.runs.recipe import PAPER, SCRATCH  # noqa: E402
from allkit.runs.run import Run  # noqa: E402
from allkit.support.files import write_json  # noqa: E402
from allkit.training import architecture, weights  # noqa: E402
from allkit.training.train import build_model  # noqa: E402
from networks import each  # noqa: E402

NETWORK = ARCHITECTURES[VGG16]


@pytest.fixture(scope="module")
def stand_in() -> keras.Model:
    """VGG16 as Keras publishes it, with random weights in place of ImageNet's."""
    keras.utils.set_random_seed(3)
    return keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))


@pytest.fixture(scope="module")
def ours() -> keras.Model:
    return architecture.build(NETWORK, 32, 4, 1.0, PAPER)


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_features_equal_those_of_keras_with_its_own_preprocessing(stand_in, ours, tmp_path, suffix):
    path = tmp_path / f"vgg16{suffix}"
    stand_in.save_weights(path) if suffix == ".weights.h5" else stand_in.save(path)
    weights.load_imagenet(ours, NETWORK, PAPER.override(weights=str(path)))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    expected = stand_in.predict_on_batch(keras.applications.vgg16.preprocess_input(images.astype(np.float32)))
    features = keras.Model(ours.inputs, ours.get_layer("block5_pool").output)
    got = np.asarray(features.predict_on_batch(images))
    assert np.allclose(got, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("name", each(["mobilenetv2", "resnet50", "densenet121"]))
def test_published_bodies_take_a_weights_file_of_keras_and_its_preprocessing(name, tmp_path):
    network = ARCHITECTURES[name]
    keras.utils.set_random_seed(0)
    base = getattr(keras.applications, network.name)(include_top=False, weights=None, input_shape=(64, 64, 3))
    base.save_weights(tmp_path / "its.weights.h5")
    normalisation = {"tf": "centre", "caffe": "imagenet", "torch": "torch"}[network.preprocessing]
    recipe = SCRATCH.override(weights=str(tmp_path / "its.weights.h5"), normalisation=normalisation)
    model = architecture.build(network, 64, 4, 1.0, recipe)
    weights.load_imagenet(model, network, recipe)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    # As each module of Keras prepares its images: Keras says which in `preprocess_input` there.
    modules = {"mobilenetv2": "mobilenet_v2", "resnet50": "resnet", "densenet121": "densenet"}
    prepared = getattr(keras.applications, modules[name]).preprocess_input(images.astype(np.float32))
    expected = base.predict_on_batch(prepared)
    features = keras.Model(model.inputs, model.get_layer(network.last_map).output)
    assert np.allclose(features.predict_on_batch(images), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    with pytest.raises(AllkitError, match=f"need --normalisation {normalisation}, not unit"):
        weights.load_imagenet(model, network, recipe.override(normalisation="unit"))


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_missing_file_and_a_file_of_another_network_are_named(ours, tmp_path):
    with pytest.raises(AllkitError, match="no weights file nowhere"):
        weights.load_imagenet(ours, NETWORK, PAPER.override(weights="nowhere.h5"))
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(AllkitError, match="does not hold the weights of VGG16"):
        weights.load_imagenet(ours, NETWORK, PAPER.override(weights=str(tmp_path / "other.weights.h5")))


def onnx_file(base: keras.Model, path) -> str:
    """The convolutions of VGG16 as an ONNX file has them: a graph of Conv nodes with kernels (out, in, 3, 3)."""
    nodes, constants, value = [], [], "image"
    for name in NETWORK.conv_names:
        kernel, bias = base.get_layer(name).get_weights()
        constants += [
            numpy_helper.from_array(np.moveaxis(kernel, (3, 2), (0, 1)).copy(), f"{name}_w"),
            numpy_helper.from_array(bias, f"{name}_b"),
        ]
        nodes.append(helper.make_node("Conv", [value, f"{name}_w", f"{name}_b"], [name], pads=[1] * 4))
        value = name
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("image", value)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "vgg16", ends[:1], ends[1:], constants)), path)
    return str(path)


@pytest.mark.parametrize("mode", ["caffe", "torch"])
def test_features_of_an_onnx_file_equal_those_of_keras_with_the_stated_preprocessing(stand_in, tmp_path, mode):
    normalisation = {"caffe": "imagenet", "torch": "torch"}[mode]
    recipe = PAPER.override(normalisation=normalisation, weights_preprocessing=mode)
    recipe = recipe.override(weights=onnx_file(stand_in, tmp_path / "vgg16.onnx"))
    model = architecture.build(NETWORK, 32, 4, 1.0, recipe)
    weights.load_imagenet(model, NETWORK, recipe)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    prepared = keras.applications.imagenet_utils.preprocess_input(images.astype(np.float32), mode=mode)
    expected = stand_in.predict_on_batch(prepared)
    features = keras.Model(model.inputs, model.get_layer("block5_pool").output)
    got = np.asarray(features.predict_on_batch(images))
    assert np.allclose(got, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_what_an_onnx_file_does_not_say_is_asked_for(stand_in, ours, tmp_path):
    recipe = PAPER.override(weights=onnx_file(stand_in, tmp_path / "vgg16.onnx"))
    with pytest.raises(AllkitError, match="give --weights-preprocessing torch"):
        weights.load_imagenet(ours, NETWORK, recipe)
    with pytest.raises(AllkitError, match="need --normalisation torch, not imagenet"):
        weights.load_imagenet(ours, NETWORK, recipe.override(weights_preprocessing="torch"))
    broken = onnx.load(recipe.weights)
    del broken.graph.node[4]
    onnx.save(broken, recipe.weights)
    with pytest.raises(AllkitError, match="is not VGG16: its 12 convolutions"):
        weights.load_imagenet(ours, NETWORK, recipe.override(weights_preprocessing="caffe"))
    (tmp_path / "vgg16.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(AllkitError, match="cannot be read as an ONNX file"):
        weights.load_imagenet(ours, NETWORK, recipe.override(weights_preprocessing="caffe"))


def test_weights_that_cannot_be_fetched_tell_how_to_go_on(ours, monkeypatch):
    def refuse(**arguments):
        if arguments["weights"] == "imagenet":
            raise Exception("URL fetch failure on https://example.org: None -- no route to host")
        return keras.Sequential()

    monkeypatch.setattr(keras.applications, "VGG16", refuse)
    with pytest.raises(AllkitError, match=r"--weights vgg16\.weights\.h5; or train without it: --recipe scratch"):
        weights.load_imagenet(ours, NETWORK, PAPER)


def going_on_from(run):
    return replace(run.settings, recipe=run.settings.recipe.override(weights=str(run.folder)))


def test_a_run_gives_all_its_weights(finished_run):
    trained = keras.models.load_model(finished_run.model_path, compile=False).get_weights()
    started = build_model(going_on_from(finished_run)).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(trained, started, strict=True))
    # A checkpoint that follows replaces them: they are not read.
    assert not np.array_equal(build_model(going_on_from(finished_run), pretrained=False).get_weights()[0], trained[0])


def test_a_run_of_another_network_and_an_unfinished_one_are_named(finished_run, tmp_path):
    with pytest.raises(AllkitError, match="of another --size, --width"):
        build_model(replace(going_on_from(finished_run), width=0.125))
    unfinished = Run.create(tmp_path / "new", finished_run.settings, finished_run.split)
    with pytest.raises(AllkitError, match="new is not finished"):
        build_model(going_on_from(unfinished))


def test_a_split_that_tests_what_an_earlier_run_was_trained_on_is_refused(finished_run, smears, tmp_path):
    second = Run.create(tmp_path / "second", going_on_from(finished_run), finished_run.split)
    other = random_split(read(scan(smears)), seed=4)
    for run in (finished_run, second):
        with pytest.raises(AllkitError, match="was trained on images that this split would test it with"):
            Run.create(tmp_path / "third", going_on_from(run), other)
        assert not (tmp_path / "third").exists()


def said_to_be_finished(run):
    run.write_metrics({})
    return run


def test_runs_that_name_each_other_are_walked_once(finished_run, tmp_path):
    run = said_to_be_finished(Run.create(tmp_path / "loop", finished_run.settings, finished_run.split))
    write_json(run.folder / "run.json", going_on_from(run).to_dict())
    assert Run.create(tmp_path / "next", going_on_from(run), finished_run.split).settings.recipe.weights


def test_a_run_whose_own_beginning_is_gone_is_not_gone_on_from(finished_run, tmp_path):
    settings = replace(finished_run.settings, recipe=finished_run.settings.recipe.override(weights="/nowhere/run"))
    second = Run.create(tmp_path / "second", settings, finished_run.split)
    with pytest.raises(AllkitError, match=r"learned from /nowhere/run, which is gone"):
        Run.create(tmp_path / "third", going_on_from(second), finished_run.split)


def test_a_run_that_is_not_there_is_named(finished_run):
    settings = replace(finished_run.settings, recipe=finished_run.settings.recipe.override(weights="runs/mien"))
    with pytest.raises(AllkitError, match="no weights file runs/mien"):
        build_model(settings)
