import os
import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from allkit.errors import AllkitError
from allkit.model.contract import METADATA_KEY
from allkit.runtime.session import Model
from models import flat, resealed, tiny_model


def rewritten(path, change):
    """The same file after `change(proto)`."""
    proto = onnx.load(path)
    change(proto)
    onnx.save(proto, path)
    return path


def resealing(change):
    """The change, after which the digest in the contract fits the graph again."""

    def both(proto):
        change(proto)
        resealed(proto)

    return both


def test_probabilities_are_those_of_the_graph(tmp_path):
    model = Model(tiny_model(tmp_path / "m.onnx"))
    output = model.run(flat(96, 64, 0)[None])
    assert output.distance.tolist() == [pytest.approx((96 + 64) / 3)]
    assert output.probabilities.tolist() == [pytest.approx([8 / 13, 4 / 13, 1 / 13], abs=1e-6)]
    assert model.contract.classes == ("red", "green", "blue")
    assert model.provider == "CPUExecutionProvider"
    assert model.notice is None


def test_batch_is_dynamic(tmp_path):
    model = Model(tiny_model(tmp_path / "m.onnx"))
    for n in (1, 5, 2):
        assert model.run(flat(0, 0, 0)[None].repeat(n, axis=0)).probabilities.shape == (n, 3)


def test_an_output_more_does_no_harm(tmp_path):
    def add_output(proto):
        proto.graph.output.append(helper.make_tensor_value_info("means", TensorProto.FLOAT, ["batch", 3]))

    model = Model(rewritten(tiny_model(tmp_path / "m.onnx"), resealing(add_output)))
    assert model.run(flat(32, 0, 0)[None]).probabilities.tolist() == [pytest.approx([0.5, 0.25, 0.25], abs=1e-6)]


def test_a_missing_file_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(AllkitError, match=r"nothing\.onnx is not a file.*allkit export"):
        Model(tmp_path / "nothing.onnx")


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff\xe0" * 50])
def test_a_file_that_is_not_onnx_is_refused_by_name(tmp_path, content):
    path = tmp_path / "photo.onnx"
    path.write_bytes(content)
    with pytest.raises(AllkitError, match=r"photo\.onnx"):
        Model(path)


def test_a_file_cut_at_any_byte_is_refused(tmp_path):
    data = tiny_model(tmp_path / "m.onnx").read_bytes()
    path = tmp_path / "cut.onnx"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(AllkitError, match=r"cut\.onnx"):
            Model(path)


def test_a_model_without_contract_is_refused(tmp_path):
    path = rewritten(tiny_model(tmp_path / "m.onnx"), lambda proto: proto.ClearField("metadata_props"))
    with pytest.raises(AllkitError, match=rf"m\.onnx has no entry {METADATA_KEY}"):
        Model(path)


def test_an_unreadable_contract_names_the_file(tmp_path):
    path = rewritten(
        tiny_model(tmp_path / "m.onnx"), lambda proto: helper.set_model_props(proto, {METADATA_KEY: "{half"})
    )
    with pytest.raises(AllkitError, match=r"m\.onnx: the model's contract is not readable"):
        Model(path)


def rename_input(proto):
    proto.graph.input[0].name = proto.graph.node[0].input[0] = "pixels"


def rename_output(proto):
    proto.graph.output[0].name = proto.graph.node[-1].output[0] = "scores"


def float_input(proto):
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def other_size(proto):
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 16


def fixed_batch(proto):
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def second_input(proto):
    proto.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))


def double_output(proto):
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    proto.graph.node[-1].output[0] = "narrow"
    proto.graph.node.append(helper.make_node("Cast", ["narrow"], ["probabilities"], to=TensorProto.DOUBLE))


@pytest.mark.parametrize(
    "change", [rename_input, rename_output, float_input, other_size, fixed_batch, second_input, double_output]
)
def test_a_graph_that_contradicts_its_contract_is_refused(tmp_path, change):
    path = rewritten(tiny_model(tmp_path / "m.onnx"), resealing(change))
    with pytest.raises(AllkitError, match=r"m\.onnx contradicts its contract"):
        Model(path)


def test_a_contract_with_another_number_of_classes_is_refused(tmp_path):
    answers = {"drawing": "none", "probabilities": [[0.25] * 4], "distance": [1.0], "heatmap": None}
    changed = {"classes": ["a", "b", "c", "d"], "known_answers": answers}
    path = rewritten(tiny_model(tmp_path / "m.onnx"), lambda proto: resealed(proto, **changed))
    with pytest.raises(AllkitError, match=r"contradicts its contract: it has the output probabilities"):
        Model(path)


def test_a_batch_of_the_wrong_shape_names_model_and_shape(tmp_path):
    model = Model(tiny_model(tmp_path / "m.onnx"))
    with pytest.raises(AllkitError, match=r"m\.onnx failed on a batch uint8 \(1, 4, 4, 3\)"):
        model.run(flat(0, 0, 0, 4, 4)[None])


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname"])
def test_data_outside_the_folder_of_the_file_is_not_read(tmp_path, location):
    (tmp_path / "folder").mkdir()

    def point_outside(proto):
        tensor = next(item for item in proto.graph.initializer if item.data_type == TensorProto.FLOAT and item.dims)
        (tmp_path / "secret.bin").write_bytes(numpy_helper.to_array(tensor).tobytes())
        kept = (tensor.name, list(tensor.dims))
        tensor.Clear()
        tensor.name, tensor.data_type, tensor.data_location = kept[0], TensorProto.FLOAT, TensorProto.EXTERNAL
        tensor.dims.extend(kept[1])
        tensor.external_data.add(key="location", value=location)

    path = tiny_model(tmp_path / "folder" / "m.onnx")
    proto = onnx.load(path)
    point_outside(proto)
    path.write_bytes(resealed(proto).SerializeToString())
    with pytest.raises(AllkitError, match=r"m\.onnx refers to data outside the file"):
        Model(path)


def test_sizes_are_bounded(tmp_path, monkeypatch):
    from allkit.model import contract, file

    path = tiny_model(tmp_path / "m.onnx")
    monkeypatch.setattr(contract, "_MOST_CHARACTERS", 100)
    with pytest.raises(AllkitError, match="contract is longer than"):
        Model(path)
    monkeypatch.setattr(file, "_MOST_BYTES", 100)
    with pytest.raises(AllkitError, match="it is larger than"):
        Model(path)


def test_a_contract_that_promises_a_heat_map_needs_the_output(tmp_path):
    promise = {"method": "hirescam", "layer": "l", "height": 2, "width": 2, "stride_px": 4}
    answers = {"drawing": "none", "probabilities": [[0.3, 0.3, 0.4]], "distance": [1.0], "heatmap": [[0.0]]}
    promised = {"heatmap": promise, "known_answers": answers}
    with pytest.raises(AllkitError, match=r"contradicts its contract.*heatmap"):
        Model(rewritten(tiny_model(tmp_path / "m.onnx"), lambda proto: resealed(proto, **promised)))


@pytest.mark.skipif(sys.platform != "linux", reason="where onnxruntime keeps its identifier elsewhere")
@pytest.mark.parametrize("first", ["allkit", "allkit.runtime.session", "allkit.exporting.measure"])
def test_onnxruntime_leaves_no_identifier_behind_and_reports_nothing(tmp_path, first):
    code = f"import {first}, onnxruntime; onnxruntime.InferenceSession"
    # A fresh environment: onnxruntime is silent by itself where variables tell it of a test.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def test_no_session_has_more_threads_than_there_are_cores(tmp_path, monkeypatch):
    from allkit.benchmark.measure import peak
    from allkit.exporting import measure
    from allkit.runtime import kernels

    monkeypatch.setattr(kernels, "cores", lambda: 3)
    made = [
        Model(tiny_model(tmp_path / "m.onnx"))._session,
        measure.open_session(onnx.load(tmp_path / "m.onnx")),
        peak._session("MatMul", 8, *[onnx.TensorProto.FLOAT] * 3),
    ]
    assert [one.get_session_options().intra_op_num_threads for one in made] == [3, 3, 3]
