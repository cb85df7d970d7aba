import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from allkit.exporting.measure import open_session, outputs
from allkit.exporting.quantise import METHODS, calibrate, layers, quantise
from allkit.model.graph import summarise
from allkit.runs.recipe import PAPER
from networks import each, random_network


@pytest.fixture(scope="module")
def calibrations(network, noise):
    return calibrate(network.proto, network.architecture, noise)


# How an activation comes to stand in blocks of pixels.
IN_BLOCKS = ["Transpose", "Reshape", "Transpose"]


def probabilities(proto, pixels):
    return outputs(open_session(proto), ["probabilities"], pixels)[0]


def way_to_the_first_convolution(proto):
    """The operators between the input and the first convolution."""
    makers = {node.output[0]: node for node in proto.graph.node}
    node, way = next(node for node in proto.graph.node if node.name == "block1_conv1"), []
    while node.input[0] != "image":
        node = makers[node.input[0]]
        way.append(node.op_type)
    return way[::-1]


def test_min_max_is_the_smallest_and_the_largest_activation(network, noise, calibrations):
    tapped = onnx.ModelProto.FromString(network.proto.SerializeToString())
    tapped.graph.output.extend(onnx.ValueInfoProto(name=name) for name in ("block3_conv2_relu", "transpose"))
    session = open_session(tapped)
    for name in ("block3_conv2_relu", "transpose"):
        (values,) = session.run([name], {"image": noise})
        found = calibrations["min-max"].ranges.data[name]
        assert float(found.range_value[0]) == pytest.approx(values.min())
        assert float(found.range_value[1]) == pytest.approx(values.max(), rel=1e-6)


def test_the_other_methods_cut_off_outliers(calibrations):
    names = [name for name in calibrations["min-max"].ranges.data if name.endswith("_relu")]
    assert len(names) == 14
    for method in ("entropy", "percentile"):
        found, whole = (
            {name: [float(end) for end in calibrations[kind].ranges.data[name].range_value] for name in names}
            for kind in (method, "min-max")
        )
        assert all(found[name][1] <= whole[name][1] * (1 + 1e-6) for name in names)
        assert any(found[name][1] < whole[name][1] * 0.9999 for name in names)
        # A range that begins below zero would let a ReLU pass what it stops.
        assert all(low >= 0 for low, _ in found.values())


@pytest.mark.parametrize("method", METHODS)
def test_the_quantised_network_says_nearly_the_same(network, noise, calibrations, method):
    plain = probabilities(network.proto, noise)
    got = probabilities(quantise(network.proto, network.architecture, calibrations[method]), noise)
    assert np.abs(got - plain).max() < 0.1 * np.ptp(plain) + 0.05


def test_weights_are_int8_with_a_scale_for_each_output_channel(network, calibrations):
    constants = {
        item.name: item
        for item in quantise(network.proto, network.architecture, calibrations["min-max"]).graph.initializer
    }
    weights, scale = constants["block3_conv1.weight_quantized"], constants["block3_conv1.weight_scale"]
    assert weights.data_type == TensorProto.INT8
    assert list(scale.dims) == [32]
    assert numpy_helper.to_array(constants["block3_conv1.weight_zero_point"]).tolist() == [0] * 32
    original = {item.name: numpy_helper.to_array(item) for item in network.proto.graph.initializer}
    error = numpy_helper.to_array(weights) * numpy_helper.to_array(scale)[:, None, None, None]
    # A rounded value is off by half a step at most.
    assert (np.abs(error - original["block3_conv1.weight"]).max((1, 2, 3)) <= 0.51 * numpy_helper.to_array(scale)).all()


def test_pixels_enter_as_they_are(network, noise, calibrations):
    proto = quantise(network.proto, network.architecture, calibrations["min-max"])
    assert way_to_the_first_convolution(proto) == ["Transpose", *IN_BLOCKS, "DequantizeLinear"]
    assert "Cast" not in {node.op_type for node in proto.graph.node}
    constants = {item.name: numpy_helper.to_array(item) for item in proto.graph.initializer}
    assert (constants["transpose_scale"], constants["transpose_zero_point"]) == (1, 0)


def test_patches_of_pixels_are_read_where_they_lie(patched, noise):
    proto = quantise(
        patched.proto, patched.architecture, calibrate(patched.proto, patched.architecture, noise)["min-max"]
    )
    assert way_to_the_first_convolution(proto) == ["Reshape", "Transpose", "DequantizeLinear"]
    assert not {"Cast", "Pad"} & {node.op_type for node in proto.graph.node}
    # onnxruntime warns of constants that nothing reads.
    read = {name for node in proto.graph.node for name in node.input}
    assert {item.name for item in proto.graph.initializer} <= read
    assert summarise(proto).macs == summarise(patched.proto).macs
    assert summarise(proto).parameters == summarise(patched.proto).parameters


def test_a_first_layer_in_float_reads_patches_in_float(patched, noise):
    calibration = calibrate(patched.proto, patched.architecture, noise)["min-max"]
    proto = quantise(patched.proto, patched.architecture, calibration, ["block1_conv1"])
    plain = probabilities(patched.proto, noise)
    assert np.abs(probabilities(proto, noise) - plain).max() < 0.1 * np.ptp(plain) + 0.05


def test_layers_left_in_float_stay_in_float(network, calibrations):
    names = layers(network.proto, network.architecture)[:3]
    summary = summarise(quantise(network.proto, network.architecture, calibrations["min-max"], names))
    found = {layer.name: layer.precision for layer in summary.layers}
    assert {name for name, precision in found.items() if precision == "fp32"} == {*names, "logits", "matmul"}
    assert found["block2_conv2"] == found["fc"] == "int8"


def test_a_pool_after_float_layers_is_in_float(network, calibrations):
    nodes = {
        node.name: node
        for node in quantise(
            network.proto,
            network.architecture,
            calibrations["min-max"],
            layers(network.proto, network.architecture)[:2],
        ).graph.node
    }
    assert nodes["block1_pool"].input[0] == "block1_conv2_relu"


def test_a_network_that_subtracts_a_mean_is_quantised_too(noise):
    network = random_network(PAPER.override(weights="random"))
    calibrations = calibrate(network.proto, network.architecture, noise)
    proto = quantise(network.proto, network.architecture, calibrations["min-max"])
    assert way_to_the_first_convolution(proto) == [
        "Cast",
        "Sub",
        "Transpose",
        "QuantizeLinear",
        *IN_BLOCKS,
        "DequantizeLinear",
    ]
    plain = probabilities(network.proto, noise)
    assert (probabilities(proto, noise).argmax(1) == plain.argmax(1)).mean() > 0.8


@pytest.mark.parametrize("name", each(["mobilenetv2", "darknet19", "resnet50", "densenet121"]))
def test_other_networks_compute_in_int8_what_they_do_in_float(name):
    images = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3)).astype(np.uint8)
    # Flat ones as well, so that features differ from image to image.
    images[::2] = images[::2, :1, :1]
    network = random_network(architecture=name, size_px=64, width=0.35, normalised=images)
    calibration = calibrate(network.proto, network.architecture, images)["min-max"]
    proto = quantise(network.proto, network.architecture, calibration)
    assert {layer.precision for layer in summarise(proto).layers if layer.operator == "Conv"} == {"int8"}
    (expected,), (got,) = (outputs(open_session(one), ["distance"], images) for one in (network.proto, proto))
    assert np.ptp(expected) > 0.1 * expected.mean()
    assert np.abs(got - expected).max() < 0.1 * np.ptp(expected)
