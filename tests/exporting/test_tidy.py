import numpy as np
import onnx
import pytest

from allkit.exporting.measure import open_session, outputs
from allkit.runs.recipe import PAPER
from networks import random_network


def kinds(proto):
    return [node.op_type for node in proto.graph.node]


def test_the_graph_holds_the_layers_and_nothing_else(network):
    found = kinds(network.proto)
    assert found[:3] == ["Cast", "Transpose", "Conv"]
    expected = {"Cast": 1, "Transpose": 1, "Conv": 13, "MaxPool": 5, "Gemm": 2, "Reshape": 1, "Softmax": 1}
    assert {kind: found.count(kind) for kind in expected} == expected
    assert not {"Identity", "Shape", "Gather", "Concat", "BatchNormalization", "Dropout"} & set(found)


def test_nodes_and_constants_are_named_after_their_layers(network):
    names = [node.name for node in network.proto.graph.node]
    assert len(set(names)) == len(names)
    assert {"block1_conv1", "block5_conv3_relu", "block5_pool", "flatten", "fc", "fc_relu", "logits"} <= set(names)
    constants = {item.name: list(item.dims) for item in network.proto.graph.initializer}
    assert constants["block1_conv1.weight"] == [8, 3, 3, 3]
    # 3 x 3 positions of 64 channels to 128 units.
    assert constants["fc.weight"] == [576, 128]
    assert constants["logits.bias"] == [3]


def test_the_graph_gives_what_the_network_gives(network, noise):
    probabilities, distance = outputs(open_session(network.proto), ["probabilities", "distance"], noise)
    logits = np.log(network.model.predict_on_batch(noise).astype(np.float64)) / network.temperature
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.ptp(expected) > 0.05
    assert np.allclose(probabilities, expected, atol=1e-5)
    assert distance.shape == (12,)


@pytest.mark.parametrize("batch", [1, 5])
def test_the_batch_is_dynamic_and_named(network, noise, batch):
    for value in (*network.proto.graph.input, *network.proto.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    (probabilities,) = open_session(network.proto).run(["probabilities"], {"image": noise[:batch]})
    assert probabilities.shape == (batch, 3)


def test_imagenet_normalisation_is_one_subtraction():
    proto = random_network(PAPER.override(weights="random")).proto
    assert kinds(proto)[:4] == ["Cast", "Sub", "Transpose", "Conv"]
    assert not {"Mul"} & set(kinds(proto)[:4])
    onnx.checker.check_model(proto, full_check=True)


@pytest.mark.parametrize("width", [1 / 64, 1 / 32])
def test_maps_of_one_position_and_layers_of_one_channel_keep_their_names(width):
    # Their transpositions are reshapes, and may be written so.
    names = [node.name for node in random_network(size_px=32, width=width).proto.graph.node]
    assert names.count("flatten") == 1
    assert {"block1_conv1", "block5_conv3_relu", "fc", "logits"} <= set(names)
