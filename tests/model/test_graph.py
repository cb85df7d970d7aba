import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from allkit.errors import AllkitError
from allkit.model.contract import METADATA_KEY
from allkit.model.graph import read_graph, summarise
from models import resealed, tiny_contract, tiny_model

# VGG16 at width 1/8: channels of the thirteen convolutions, and pools after these.
CHANNELS = (8, 8, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64, 64)
POOLS = (2, 4, 7, 10, 13)


def expected_figures(size, classes, units):
    """Parameters and multiply-accumulates of the network by the sums that define them."""
    parameters = macs = 0
    inputs = 3
    for number, outputs in enumerate(CHANNELS, 1):
        parameters += 9 * inputs * outputs + outputs
        macs += 9 * inputs * outputs * size * size
        inputs = outputs
        if number in POOLS:
            size //= 2
    for rows, columns in ((size * size * inputs, units), (units, classes)):
        parameters += rows * columns + columns
        macs += rows * columns
    return parameters, macs


@pytest.fixture(scope="module")
def network():
    from networks import random_network

    return random_network()


def test_parameters_and_multiply_accumulates_are_those_of_the_definition(network):
    summary = summarise(network.proto)
    whitening = 32 * 32 + 32
    # The distance is a product too: 32 channel means through a matrix; its offset is an Add.
    parameters, macs = expected_figures(96, 3, 128)
    assert sum(layer.parameters for layer in summary.layers if layer.operator != "MatMul") == parameters
    assert summary.parameters == parameters + whitening - 32
    assert summary.macs == macs + 32 * 32


def test_layers_have_names_shapes_and_precisions(network):
    first, *_, last = (layer for layer in summarise(network.proto).layers if layer.operator != "MatMul")
    assert (first.name, first.operator, first.shape, first.precision) == ("block1_conv1", "Conv", (8, 96, 96), "fp32")
    assert (last.name, last.operator, last.shape, last.parameters) == ("logits", "Gemm", (3,), 128 * 3 + 3)


def test_int8_and_float16_have_the_same_figures_and_another_precision(network):
    from allkit.exporting.half import halved
    from allkit.exporting.heatmap import add_heatmap
    from allkit.exporting.quantise import calibrate, quantise

    noise = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3)).astype(np.uint8)
    int8 = quantise(
        network.proto, network.architecture, calibrate(network.proto, network.architecture, noise)["min-max"]
    )
    plain, quantised, half = (summarise(proto) for proto in (network.proto, int8, halved(network.proto)))
    assert plain.macs == quantised.macs == half.macs
    assert plain.parameters == quantised.parameters == half.parameters
    by_name = [{layer.name: (layer.shape, layer.parameters) for layer in one.layers} for one in (plain, quantised)]
    assert by_name[0] == by_name[1]
    assert {layer.precision for layer in half.layers if layer.operator != "MatMul"} == {"fp16"}
    assert {layer.precision for layer in quantised.layers if layer.operator == "Conv"} == {"int8"}
    # With a map the kernel of the first Dense layer is read twice and stored once.
    add_heatmap(int8, network.architecture, network.feature_shape)
    assert summarise(int8).parameters == plain.parameters
    assert summarise(int8).macs == plain.macs + 576 * 128


def test_inputs_and_outputs_are_described(tmp_path):
    proto, contract = read_graph(tiny_model(tmp_path / "m.onnx"))
    summary = summarise(proto)
    assert summary.inputs == ("image: uint8 [batch, 8, 8, 3]",)
    assert "probabilities: float32 [batch, 3]" in summary.outputs
    assert summary.opset == 18
    assert contract.architecture == "tiny"


def refused(path, reason):
    with pytest.raises(AllkitError, match=reason):
        read_graph(path)


def test_what_is_not_a_model_of_allkit_is_refused(tmp_path):
    refused(tmp_path / "none.onnx", "is not a file")
    refused(tmp_path, "is not a file")
    (tmp_path / "text.onnx").write_text("hello")
    refused(tmp_path / "text.onnx", "cannot be read as an ONNX model|has no entry")
    proto = onnx.load(tiny_model(tmp_path / "m.onnx"))
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "foreign.onnx")
    refused(tmp_path / "foreign.onnx", f"has no entry {METADATA_KEY}")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_short_is_refused(tmp_path, share):
    data = tiny_model(tmp_path / "m.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(data[: int(share * len(data))])
    refused(tmp_path / "cut.onnx", r"cut\.onnx")


def test_a_contract_of_a_newer_schema_is_refused(tmp_path):
    path = tiny_model(tmp_path / "m.onnx")
    proto = onnx.load(path)
    record = {**json.loads(tiny_contract().to_json()), "schema_version": 99}
    helper.set_model_props(proto, {METADATA_KEY: json.dumps(record)})
    onnx.save(proto, path)
    refused(path, "schema version 99.*upgrade allkit")


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "inside/../../secret.bin"])
def test_data_outside_the_folder_is_refused(tmp_path, location):
    path = tiny_model(tmp_path / "m.onnx")
    proto = onnx.load(path)
    tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    proto.graph.initializer.append(tensor)
    path.write_bytes(resealed(proto).SerializeToString())
    refused(path, "refers to data outside the file")


def test_a_graph_that_onnx_does_not_accept_is_refused(tmp_path):
    path = tiny_model(tmp_path / "m.onnx")
    proto = onnx.load(path)
    proto.graph.node[0].input[0] = "nowhere"
    proto.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "spare"))
    path.write_bytes(resealed(proto).SerializeToString())
    refused(path, "is not a valid ONNX model")


@pytest.mark.parametrize("name", ["m.json", "m.textproto", "m.onnxtxt"])
def test_another_suffix_does_not_change_the_format(tmp_path, name):
    (tmp_path / name).write_text('{"a": 1}')
    refused(tmp_path / name, "cannot be read as an ONNX model")
    tiny_model(tmp_path / "m.onnx").rename(tmp_path / name)
    assert read_graph(tmp_path / name)[1].architecture == "tiny"


def test_a_product_of_two_activations_is_no_layer():
    nodes = [helper.make_node("MatMul", ["x", "x"], ["y"])]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "xy"]
    assert summarise(helper.make_model(helper.make_graph(nodes, "g", value[:1], value[1:]))).layers == ()


@pytest.mark.parametrize("number", [0, 29, 99])
def test_a_type_that_onnx_does_not_have_is_shown_as_its_number(number):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    value.type.tensor_type.elem_type = number
    weights = TensorProto(name="w", data_type=number, dims=[2, 2])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [value], [], [weights])
    found = summarise(helper.make_model(graph))
    assert found.inputs == (f"x: type {number} [2]",)
    assert [layer.precision for layer in found.layers] == [f"type {number}"]
