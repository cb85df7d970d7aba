"""The model repository against Triton's own description of its format, its Python backend against the classifier."""

import importlib.util
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from allkit import AllkitError, Classifier
from allkit.exporting import triton as room
from allkit.exporting.triton import write_repository
from allkit.model.contract import Contract
from allkit.model.file import read_model
from allkit.runtime.session import Model
from models import CLASSES, flat, tiny_model

MAP = {"method": "HiResCAM", "layer": "image", "stride_px": 1, "height": 8, "width": 8}


def configuration(folder):
    return text_format.Parse((folder / "config.pbtxt").read_text(), triton.ModelConfig())


def described(tensors):
    return {one.name: (triton.DataType.Name(one.data_type), list(one.dims)) for one in tensors}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "model_card", lambda path, contract: f"card of {path.name}")
    path = tiny_model(tmp_path / "smears-8.onnx", heatmap=MAP)
    assert write_repository([path], tmp_path / "repository") == ["smears-8", "smears-8-files"]
    return tmp_path / "repository"


def test_the_model_of_pixels_is_the_file_as_it_is(repository, tmp_path):
    found = configuration(repository / "smears-8")
    assert (found.name, found.backend, found.max_batch_size) == ("smears-8", "onnxruntime", 64)
    assert found.HasField("dynamic_batching")
    assert found.dynamic_batching.max_queue_delay_microseconds == 0
    assert described(found.input) == {"image": ("TYPE_UINT8", [8, 8, 3])}
    assert described(found.output) == {
        "probabilities": ("TYPE_FP32", [3]),
        "distance": ("TYPE_FP32", [1]),
        "heatmap": ("TYPE_FP32", [8, 8]),
    }
    # The graph has one number an image: [batch], to Triton [batch, 1].
    distance = next(one for one in found.output if one.name == "distance")
    assert distance.HasField("reshape")
    assert list(distance.reshape.shape) == []
    assert [group.kind for group in found.instance_group] == [triton.ModelInstanceGroup.KIND_AUTO]
    assert (repository / "smears-8" / "1" / "model.onnx").read_bytes() == (tmp_path / "smears-8.onnx").read_bytes()
    assert (repository / "smears-8" / found.output[0].label_filename).read_text().split() == list(CLASSES)
    assert (repository / "smears-8" / "card.md").read_text() == "card of smears-8.onnx"


def test_the_model_of_files_has_the_same_outputs(repository):
    pixels, files = configuration(repository / "smears-8"), configuration(repository / "smears-8-files")
    assert (files.name, files.backend) == ("smears-8-files", "python")
    assert described(files.input) == {"file": ("TYPE_STRING", [1])}
    assert described(files.output) == described(pixels.output)
    assert [group.kind for group in files.instance_group] == [triton.ModelInstanceGroup.KIND_CPU]
    assert files.parameters["model"].string_value == pixels.name


class Tensor:
    def __init__(self, name, values):
        self.name, self._values = name, values

    def as_numpy(self):
        return self._values


class Response(SimpleNamespace):
    def __init__(self, output_tensors=(), error=None):
        super().__init__(
            output_tensors=lambda: list(output_tensors), has_error=lambda: bool(error), error=lambda: error
        )


@pytest.fixture
def backend(repository, monkeypatch):
    """The Python backend in a stand-in of Triton's module, whose other model is the file itself."""
    model = Model(repository / "smears-8" / "1" / "model.onnx")

    class Request(SimpleNamespace):
        def exec(self):
            assert self.model_name == "smears-8"
            (pixels,) = self.inputs
            assert pixels.name == "image"
            values = dict(zip(("probabilities", "distance"), model.run(pixels.as_numpy()), strict=False))
            return Response([Tensor(name, values[name]) for name in self.requested_output_names])

    stand_in = SimpleNamespace(
        Tensor=Tensor,
        InferenceRequest=Request,
        InferenceResponse=Response,
        TritonError=str,
        get_input_tensor_by_name=lambda request, name: request.inputs[name],
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", stand_in)
    spec = importlib.util.spec_from_file_location("model", repository / "smears-8-files" / "1" / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.TritonPythonModel()
    parameters = configuration(repository / "smears-8-files").parameters
    told = {name: {"string_value": value.string_value} for name, value in parameters.items()}
    made.initialize({"model_config": json.dumps({"parameters": told})})
    return made


def asked(*files):
    return SimpleNamespace(
        inputs={"file": Tensor("file", np.array([[file] for file in files], object))},
        requested_output_names=lambda: ["probabilities"],
    )


def test_files_are_classified_as_allkit_does(backend, repository):
    images = [
        flat(200, 30, 60, 12, 20),
        flat(10, 250, 40, 40, 31),
        np.random.default_rng(0).integers(0, 255, (50, 90, 3)),
    ]
    files = [cv2.imencode(".jpg", image.astype(np.uint8))[1].tobytes() for image in images]
    classify = Classifier(repository / "smears-8" / "1" / "model.onnx", device="cpu")
    expected = [list(one.probabilities.values()) for one in classify(files)]
    first, second = backend.execute([asked(*files[:2]), asked(files[2])])
    for response, rows in ((first, expected[:2]), (second, expected[2:])):
        assert not response.has_error()
        (tensor,) = response.output_tensors()
        np.testing.assert_allclose(tensor.as_numpy(), rows, atol=1e-6)


def test_a_file_that_cannot_be_read_fails_its_request_alone(backend):
    good = cv2.imencode(".png", flat(1, 2, 3, 9, 9))[1].tobytes()
    bad, fine = backend.execute([asked(good, b"no image"), asked(good)])
    assert "damaged" in bad.error()
    assert not fine.has_error()


def test_what_triton_cannot_be_trusted_with_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    model = tiny_model(tmp_path / "a model.onnx")
    with pytest.raises(AllkitError, match="no name for a model"):
        write_repository([model], tmp_path / "repository")
    unsafe = tiny_model(tmp_path / "unsafe.onnx")
    file = read_model(unsafe)
    monkeypatch.setattr(Contract, "can_saturate", True)
    monkeypatch.setattr(room, "read_model", lambda path: replace(file))
    with pytest.raises(AllkitError, match="--seven-bit"):
        write_repository([unsafe], tmp_path / "repository")
    assert not (tmp_path / "repository").exists()
