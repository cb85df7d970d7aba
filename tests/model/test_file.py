import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from allkit.errors import AllkitError
from allkit.model.file import graph_digest, model_files, read_model
from models import resealed, tiny_model


def changed(path, change, seal=True):
    proto = onnx.load(path)
    change(proto)
    path.write_bytes((resealed(proto) if seal else proto).SerializeToString())
    return path


def test_the_digest_leaves_metadata_out_and_takes_everything_else_in(tmp_path):
    proto = onnx.load(tiny_model(tmp_path / "m.onnx"))
    before = graph_digest(proto.SerializeToString())
    proto.metadata_props.add(key="note", value="anything")
    assert graph_digest(proto.SerializeToString()) == before
    proto.graph.initializer[0].raw_data = bytes(len(proto.graph.initializer[0].raw_data))
    assert graph_digest(proto.SerializeToString()) != before


def test_every_flipped_byte_of_a_graph_is_noticed(tmp_path):
    path = tiny_model(tmp_path / "m.onnx")
    data = bytearray(path.read_bytes())
    proto = onnx.load(path)
    # Metadata comes behind the graph and has an integrity of its own: it is checked field by field.
    proto.ClearField("metadata_props")
    for place in range(proto.ByteSize()):
        data[place] ^= 0x10
        path.write_bytes(data)
        with pytest.raises(AllkitError, match=r"m\.onnx"):
            read_model(path)
        data[place] ^= 0x10


def test_a_change_without_a_new_digest_is_refused(tmp_path):
    def rename(proto):
        proto.graph.node[0].name = "other"

    with pytest.raises(AllkitError, match="damaged or was changed after its export"):
        read_model(changed(tiny_model(tmp_path / "m.onnx"), rename, seal=False))
    assert read_model(changed(tiny_model(tmp_path / "n.onnx"), rename)).contract.architecture == "tiny"


def endless_loop(proto):
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )
    proto.graph.initializer.append(numpy_helper.from_array(numpy_helper.np.array(True), "forever"))
    proto.graph.node.append(helper.make_node("Loop", ["", "forever"], [], body=body))


def foreign_domain(proto):
    proto.graph.node[0].domain = "com.example"


def hidden_graph(proto):
    attribute = proto.graph.node[0].attribute.add(name="body", type=onnx.AttributeProto.GRAPH)
    attribute.g.name = "inside"


def own_functions(proto):
    proto.functions.add(name="f", domain="d")


def sparse(proto):
    proto.graph.sparse_initializer.add()


@pytest.mark.parametrize("change", [endless_loop, foreign_domain, hidden_graph, own_functions, sparse])
def test_what_allkit_never_writes_is_refused(tmp_path, change):
    with pytest.raises(AllkitError, match="which allkit never writes"):
        read_model(changed(tiny_model(tmp_path / "m.onnx"), change))


def test_a_constant_of_a_node_refers_to_no_other_file(tmp_path):
    def refer(proto):
        tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="/etc/hostname")
        proto.graph.node[0].attribute.append(helper.make_attribute("value", tensor))

    with pytest.raises(AllkitError, match="refers to data outside the file"):
        read_model(changed(tiny_model(tmp_path / "m.onnx"), refer))


@pytest.mark.parametrize("name", ["x" * 300 + ".onnx", "with\0zero.onnx", ""])
def test_an_impossible_name_is_refused(name):
    with pytest.raises(AllkitError, match=r"cannot read|is not a file"):
        read_model(name)


def test_a_folder_stands_for_the_models_in_it(tmp_path):
    for name in ("b.onnx", "a.onnx", ".hidden.onnx", "card.md"):
        (tmp_path / name).write_bytes(b"")
    assert model_files([tmp_path / "card.md", tmp_path]) == [
        tmp_path / name for name in ("card.md", "a.onnx", "b.onnx")
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(AllkitError, match=r"no ONNX file in .*empty: make one with `allkit export`"):
        model_files([tmp_path / "empty"])
