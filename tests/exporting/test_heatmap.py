import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from allkit.exporting.gradient import gradient_maps
from allkit.exporting.half import halved
from allkit.exporting.heatmap import add_heatmap
from allkit.exporting.measure import open_session, outputs
from allkit.exporting.quantise import calibrate, quantise
from allkit.imaging.pixel_path import PixelPath
from allkit.metrics import log_probabilities, softmax
from allkit.model.architecture import ARCHITECTURES
from allkit.runs.recipe import PAPER, SCRATCH
from networks import TEMPERATURE, each, random_network


def with_map(proto, network):
    twin = onnx.ModelProto.FromString(proto.SerializeToString())
    add_heatmap(twin, network.architecture, network.feature_shape)
    onnx.checker.check_model(twin, full_check=True)
    return twin


def maps(proto, pixels):
    return outputs(open_session(proto), ["heatmap"], pixels)[0]


def relative(got, expected):
    return (np.abs(got - expected).max((1, 2)) / np.abs(expected).max((1, 2))).max()


@pytest.fixture(scope="module")
def int8(network, noise):
    return quantise(
        network.proto, network.architecture, calibrate(network.proto, network.architecture, noise)["min-max"]
    )


def test_the_map_is_that_of_automatic_differentiation(either, noise):
    got = maps(with_map(either.proto, either), noise)
    assert got.shape == (12, *either.feature_shape[1:])
    assert relative(got, gradient_maps(either.model, either.architecture.last_map, noise, either.temperature)) < 1e-4


@pytest.mark.parametrize("name", each(ARCHITECTURES))
def test_so_it_is_for_every_architecture_and_its_graph_says_what_the_network_says(name):
    # With and without batch normalisation.
    recipe = SCRATCH if "block" in name else PAPER.override(weights="random", normalisation="torch")
    network = random_network(recipe, size_px=64, architecture=name)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3)).astype(np.uint8)
    got, probabilities = outputs(open_session(with_map(network.proto, network)), ["heatmap", "probabilities"], pixels)
    assert relative(got, gradient_maps(network.model, network.architecture.last_map, pixels, TEMPERATURE)) < 1e-4
    expected = softmax(log_probabilities(network.model.predict_on_batch(pixels)), TEMPERATURE)
    assert np.allclose(probabilities, expected, atol=1e-4)


def test_so_it_is_on_real_images(network, shared_data):
    paths = [path for folder in sorted((shared_data / "all").iterdir()) for path in sorted(folder.glob("*.jpg"))[:4]]
    pixels = np.stack([PixelPath(96).load(path) for path in paths])
    assert len(pixels) == 16
    got = maps(with_map(network.proto, network), pixels)
    assert (
        relative(got, gradient_maps(network.model, network.architecture.last_map, pixels, network.temperature)) < 1e-4
    )


def test_hirescam_adds_up_to_the_logit_less_the_biases(network, noise):
    proto = with_map(network.proto, network)
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in ("logits", "fc_relu"))
    heatmap, logits, hidden = outputs(open_session(proto), ["heatmap", "logits", "fc_relu"], noise)
    constants = {item.name: numpy_helper.to_array(item) for item in proto.graph.initializer}
    best = logits.argmax(1)
    active = (hidden > 0) * constants["logits.weight"].T[best]
    biases = active @ constants["fc.bias"] + constants["logits.bias"][best]
    assert np.allclose(heatmap.sum((1, 2)), logits.max(1) - biases, atol=1e-4)


def test_the_map_of_a_pooled_head_adds_up_to_the_logit_less_the_bias(patched, noise):
    # Euler's theorem: mean, deviation and maximum are homogeneous of degree one.
    proto = with_map(patched.proto, patched)
    proto.graph.output.append(onnx.ValueInfoProto(name="logits"))
    heatmap, logits = outputs(open_session(proto), ["heatmap", "logits"], noise)
    bias = next(numpy_helper.to_array(item) for item in proto.graph.initializer if item.name == "logits.bias")
    # But for the floor under the variance of a channel that is 0 everywhere.
    assert np.allclose(heatmap.sum((1, 2)), logits.max(1) - bias[logits.argmax(1)], atol=1e-3)


def test_in_an_int8_graph_places_that_share_the_maximum_share_its_gradient(patched, noise):
    int8 = quantise(
        patched.proto, patched.architecture, calibrate(patched.proto, patched.architecture, noise)["min-max"]
    )
    proto = with_map(int8, patched)
    names = ["heatmap", "probabilities", "block3_conv3_relu_DequantizeLinear_Output"]
    proto.graph.output.append(onnx.ValueInfoProto(name=names[2]))
    got, probabilities, features = outputs(open_session(proto), names, noise)
    kernel = next(numpy_helper.to_array(item) for item in proto.graph.initializer if item.name == "logits.weight")
    of_mean, of_deviation, of_maximum = kernel.T[probabilities.argmax(1)].reshape(12, 3, -1, 1, 1).swapaxes(0, 1)
    mean, deviation = features.mean((2, 3), keepdims=True), features.std((2, 3), keepdims=True) + 1e-12
    places = features == features.max((2, 3), keepdims=True)
    assert (places.sum((2, 3)) > 1).any()
    gradient = (of_mean + of_deviation * (features - mean) / deviation) / np.prod(features.shape[2:])
    gradient += of_maximum * places / places.sum((2, 3), keepdims=True)
    assert relative(got, (gradient * features).sum(1)) < 1e-3


def test_the_map_depends_on_the_weights_of_the_head(network, noise):
    # The randomisation check of Adebayo et al. 2018: a map that survives it shows the image, not the network.
    before = maps(with_map(network.proto, network), noise)
    randomised = onnx.ModelProto.FromString(network.proto.SerializeToString())
    rng = np.random.default_rng(1)
    for item in randomised.graph.initializer:
        if item.name in ("fc.weight", "logits.weight"):
            values = numpy_helper.to_array(item)
            item.CopyFrom(numpy_helper.from_array(rng.permutation(values.ravel()).reshape(values.shape), item.name))
    after = maps(with_map(randomised, network), noise)
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(before, after, strict=True)]
    assert np.mean(alike) < 0.5


def test_in_an_int8_graph_the_map_is_that_of_its_own_weights(network, noise, int8):
    proto = with_map(int8, network)
    names = ["heatmap", "probabilities", "flatten_DequantizeLinear_Output", "fc_relu_DequantizeLinear_Output"]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names[2:])
    got, probabilities, flat, hidden = outputs(open_session(proto), names, noise)
    constants = {item.name: numpy_helper.to_array(item) for item in proto.graph.initializer}
    kernel = constants["fc.weight_quantized"] * constants["fc.weight_scale"]
    seed = constants["logits.weight"].T[probabilities.argmax(1)] * (hidden > 0)
    expected = (seed @ kernel.T * flat).reshape(len(noise), *network.feature_shape).sum(1)
    # The seed is rounded to 8 bits.
    assert relative(got, expected) < 0.02


def test_in_an_int8_graph_the_map_of_an_image_does_not_depend_on_its_batch(network, noise, int8):
    session = open_session(with_map(int8, network))
    (together,) = session.run(["heatmap"], {"image": noise})
    alone = np.concatenate([session.run(["heatmap"], {"image": image[None]})[0] for image in noise])
    assert np.allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_a_float16_graph_has_the_map_in_float32(network, noise):
    half = halved(with_map(network.proto, network))
    assert half.graph.output[-1].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert relative(maps(half, noise), maps(with_map(network.proto, network), noise)) < 0.02


def test_the_probabilities_are_the_same_with_and_without_a_map(network, noise):
    plain = outputs(open_session(network.proto), ["probabilities"], noise)[0]
    assert np.array_equal(outputs(open_session(with_map(network.proto, network)), ["probabilities"], noise)[0], plain)


def test_another_network_has_another_map(network, noise):
    other = random_network(seed=5)
    assert relative(maps(with_map(other.proto, other), noise), maps(with_map(network.proto, network), noise)) > 0.1
