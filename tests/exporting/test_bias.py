import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from allkit.exporting import quantise as quantising
from allkit.exporting.bias import correct_biases
from allkit.exporting.measure import open_session, outputs
from allkit.exporting.quantise import calibrate, quantise

# Of the first convolution: an eighth of 64.
FILTERS = 8


def graph_of(*nodes, **constants):
    initializers = [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    return helper.make_graph(list(nodes), "g", [], [], initializers)


def in_int8(*, axis):
    """A layer `layer` of the weights `w`, as the quantizer writes it."""
    return [
        helper.make_node("DequantizeLinear", ["w_quantized", "w_scale", "w_zero"], ["w_out"], axis=axis),
        helper.make_node("DequantizeLinear", ["b_quantized", "b_scale", "b_zero"], ["b_out"], axis=0),
    ]


def biases(graph):
    return next(numpy_helper.to_array(item) for item in graph.initializer if item.name == "b_quantized").tolist()


def test_a_convolution_by_hand():
    # Two filters of one channel, 1 x 2. Scales 0.5 and 0.25: the errors are 0.1 and 0.1, and -0.05 and 0.
    exact = np.array([[[[0.9, 1.4]]], [[[0.3, 0.5]]]], np.float32)
    quantised = graph_of(
        *in_int8(axis=0),
        helper.make_node("Conv", ["x", "w_out", "b_out"], ["y"], "layer"),
        w_quantized=np.array([[[[2, 3]]], [[[1, 2]]]], np.int8),
        w_scale=np.float32([0.5, 0.25]),
        w_zero=np.int8([0, 0]),
        b_quantized=np.int32([100, -7]),
        b_scale=np.float32([0.01, 0.005]),
        b_zero=np.int32([0, 0]),
    )
    correct_biases(quantised, graph_of(w=exact), {"layer": np.array([4.0])})
    # Shifts 0.2 * 4 = 0.8, 80 steps of 0.01, and -0.05 * 4 = -0.2, 40 steps of 0.005.
    assert biases(quantised) == [20, 33]


@pytest.mark.parametrize("transposed", [False, True])
def test_a_dense_layer_by_hand(transposed):
    # Inputs 3 and 5, two outputs. Scales 1 and 2: the errors of the first are -0.5 and 0.25, of the second 0.5 and 0.
    exact, whole = np.float32([[1.5, 3.5], [0.75, 6.0]]), np.int8([[1, 2], [1, 3]])
    turned = (lambda table: table.T.copy()) if transposed else (lambda table: table)
    quantised = graph_of(
        *in_int8(axis=0 if transposed else 1),
        helper.make_node("Gemm", ["x", "w_out", "b_out"], ["y"], "layer", transB=int(transposed)),
        w_quantized=turned(whole),
        w_scale=np.float32([1, 2]),
        w_zero=np.int8([0, 0]),
        b_quantized=np.int32([0, 10]),
        b_scale=np.float32([0.25, 0.5]),
        b_zero=np.int32([0, 0]),
    )
    correct_biases(quantised, graph_of(w=turned(exact)), {"layer": np.array([3.0, 5.0])})
    # Shifts -0.5 * 3 + 0.25 * 5 = -0.25 and 0.5 * 3 = 1.5.
    assert biases(quantised) == [1, 7]


def test_layers_in_float_and_layers_without_biases_stay(network, noise):
    names = {node.name for node in network.proto.graph.node}
    twin = onnx.ModelProto.FromString(network.proto.SerializeToString())
    means = calibrate(network.proto, network.architecture, noise)["min-max"].means
    assert {"block1_conv1", "fc", "logits"} <= means.keys() <= names
    correct_biases(twin.graph, network.proto.graph, means)
    assert twin.SerializeToString() == network.proto.SerializeToString()


def test_means_are_those_of_the_inputs(network, noise):
    means = calibrate(network.proto, network.architecture, noise)["entropy"].means
    np.testing.assert_allclose(means["block1_conv1"], noise.mean((0, 1, 2)), rtol=1e-6)


def mean_output(proto, pixels):
    """The mean of each filter of the first convolution, (O,), over images and places."""
    tapped = onnx.ModelProto.FromString(proto.SerializeToString())
    tapped.graph.output.append(onnx.ValueInfoProto(name="block1_conv1_relu"))
    (values,) = outputs(open_session(tapped), ["block1_conv1_relu"], pixels)
    # In blocks of pixels, the filters of each place in a block are side by side.
    return np.maximum(values, 0).mean((0, 2, 3)).reshape(-1, FILTERS).mean(0)


@pytest.mark.parametrize("name", ["network", "patched"])
def test_a_quantised_network_has_the_mean_of_the_float_network(name, request, monkeypatch):
    network = request.getfixturevalue(name)
    # Bright, as smears are.
    bright = np.random.default_rng(0).integers(180, 256, (16, 96, 96, 3)).astype(np.uint8)
    calibration = calibrate(network.proto, network.architecture, bright)["min-max"]
    corrected = quantise(network.proto, network.architecture, calibration)
    monkeypatch.setattr(quantising, "correct_biases", lambda *_: None)
    plain = quantise(network.proto, network.architecture, calibration)
    expected, *found = (mean_output(proto, bright) for proto in (network.proto, corrected, plain))
    errors = [np.abs(values - expected).max() for values in found]
    assert errors[0] < 0.2 * errors[1]
