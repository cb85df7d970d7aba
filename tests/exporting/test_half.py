import numpy as np
from onnx import TensorProto

from allkit.exporting.half import halved
from allkit.exporting.measure import open_session, outputs


def test_the_network_is_float16_and_its_ends_are_not(network):
    graph = halved(network.proto).graph
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert {value.type.tensor_type.elem_type for value in graph.output} == {TensorProto.FLOAT}
    kinds = {item.name: item.data_type for item in graph.initializer}
    assert kinds["block1_conv1.weight"] == kinds["fc.weight"] == kinds["logits.bias"] == TensorProto.FLOAT16
    assert kinds["matmul.weight"] == TensorProto.FLOAT


def test_a_tensor_is_cast_once_where_it_leaves_the_network(network):
    nodes = halved(network.proto).graph.node
    # The pixels to float16; the logits and the features of the distance to float32.
    cast = [node.input[0] for node in nodes if node.op_type == "Cast"]
    assert sorted(cast) == ["block3_pool", "image", "logits"]


def test_the_values_are_those_of_float32_to_three_digits(network, noise):
    names = ["probabilities", "distance"]
    expected = outputs(open_session(network.proto), names, noise)
    got = outputs(open_session(halved(network.proto)), names, noise)
    assert np.abs(got[0] - expected[0]).max() < 5e-3
    assert np.allclose(got[1], expected[1], rtol=1e-2)
    assert not np.array_equal(got[0], expected[0])


def test_the_graph_that_it_was_made_from_is_left_alone(network):
    before = network.proto.SerializeToString()
    halved(network.proto)
    assert network.proto.SerializeToString() == before
