"""The protocol against Triton's own client, which writes the requests and reads the answers."""

import base64
import json

import numpy as np
import pytest
import tritonclient.http as triton

from allkit import AllkitError, Prediction
from allkit.serving.protocol import metadata, parse_request, response
from models import CLASSES, tiny_contract

CONTRACT = tiny_contract()
FILES = [b"\xff\xd8 no text", b"", b"\x00" * 300]
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
PREDICTIONS = [
    Prediction("green", 0.6, {"red": 0.3, "green": 0.6, "blue": 0.1}, ("red", "green"), True, 1.5, False),
    Prediction("blue", 0.8, {"red": 0.1, "green": 0.1, "blue": 0.8}, ("blue",), False, 9.0, True),
]


def body(data, *outputs, binary=True):
    """The request of the client: its body and the length of its JSON."""
    kind = "UINT8" if data.dtype == np.uint8 else "BYTES"
    tensor = triton.InferInput("image", list(data.shape), kind)
    tensor.set_data_from_numpy(data, binary_data=binary)
    return triton.InferenceServerClient.generate_request_body([tensor], outputs=list(outputs) or None, request_id="7")


def test_encoded_images_come_as_the_client_packs_them():
    request = parse_request(*body(np.array(FILES, object)), CONTRACT)
    assert request.images == FILES
    assert request.id == "7"
    (column,) = (parse_request(*body(np.array([[file] for file in FILES], object)), CONTRACT).images,)
    assert column == FILES


@pytest.mark.parametrize("binary", [True, False])
def test_pixels_come_as_they_are(binary):
    request = parse_request(*body(PIXELS, binary=binary), CONTRACT)
    np.testing.assert_array_equal(request.images, PIXELS)


def test_encoded_images_in_json_are_base64():
    data = [base64.b64encode(file).decode() for file in FILES]
    record = {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [3], "data": data}]}
    request = parse_request(json.dumps(record).encode(), None, CONTRACT)
    assert request.images == FILES
    assert not any(request.outputs.values())


@pytest.mark.parametrize("binary", [True, False])
def test_the_client_reads_the_answer(binary):
    names = ["probabilities", "label", "prediction_set", "uncertain", "unfamiliar", "distance"]
    asked = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
    request = parse_request(*body(PIXELS, *asked), CONTRACT)
    text, length = response(request, PREDICTIONS, CONTRACT, "tiny")
    result = triton.InferenceServerClient.parse_response_body(text, header_length=length)
    np.testing.assert_allclose(result.as_numpy("probabilities"), [[0.3, 0.6, 0.1], [0.1, 0.1, 0.8]], rtol=1e-6)
    assert result.as_numpy("probabilities").dtype == np.float32
    np.testing.assert_allclose(result.as_numpy("distance"), [1.5, 9.0])
    texts = {
        name: [str(one, "utf-8") if isinstance(one, bytes) else one for one in result.as_numpy(name)]
        for name in ("label", "prediction_set")
    }
    assert texts == {"label": ["green", "blue"], "prediction_set": ["red|green", "blue"]}
    assert result.as_numpy("uncertain").tolist() == [True, False]
    assert result.as_numpy("unfamiliar").tolist() == [False, True]
    assert result.get_response()["model_name"] == "tiny"
    assert result.get_response()["id"] == "7"


def test_outputs_are_those_asked_for_and_all_by_default():
    request = parse_request(*body(PIXELS, triton.InferRequestedOutput("label")), CONTRACT)
    text, length = response(request, PREDICTIONS, CONTRACT, "tiny")
    assert [output["name"] for output in json.loads(text[:length])["outputs"]] == ["label"]
    every = parse_request(*body(PIXELS), CONTRACT)
    assert list(every.outputs) == [output["name"] for output in metadata(CONTRACT, "tiny")["outputs"]]
    # The client asks for binary data of all outputs by a parameter of the request.
    assert all(every.outputs.values())


def test_metadata_describes_what_is_answered():
    told = {output["name"]: (output["datatype"], output["shape"]) for output in metadata(CONTRACT, "tiny")["outputs"]}
    assert told["probabilities"] == ("FP32", [-1, len(CLASSES)])
    assert told["label"] == ("BYTES", [-1])


def test_an_image_that_cannot_be_read_fails_the_request_with_its_number():
    request = parse_request(*body(PIXELS), CONTRACT)
    with pytest.raises(AllkitError, match="image 1: damaged"):
        response(request, [PREDICTIONS[0], Prediction(error="damaged")], CONTRACT, "tiny")


def record(**changes):
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": [0] * 192}
    return json.dumps({"inputs": [{**tensor, **changes}]}).encode()


@pytest.mark.parametrize(
    ("text", "length", "match"),
    [
        (b"", None, "not readable"),
        (b"[]", None, "not readable"),
        (b"{", None, "not readable"),
        (b"[" * 100_000, None, "not readable"),
        (b'{"inputs": []}', None, "inputs none"),
        (b"{}", 3, "Content-Length is 3"),
        (b"{}", -1, "Content-Length is -1"),
        (record(name="picture"), None, "'picture'"),
        (record(datatype="FP32"), None, "FP32"),
        (record(shape=[1, 8, 9, 3]), None, r"\[1, 8, 9, 3\]"),
        (record(shape=[2, 8, 8, 3]), None, "192 values"),
        (record(shape=[-1, 8, 8, 3]), None, "not readable"),
        (record(shape=[2**50, 8, 8, 3]), None, "not readable"),
        (record(data=[256] + [0] * 191), None, "0 to 255"),
        (record(data=[-1] + [0] * 191), None, "0 to 255"),
        (record(data=[0.5] * 192), None, "0 to 255"),
        (record(data=["0"] * 192), None, "0 to 255"),
        (record(data=[[0, 1], [2]]), None, "unevenly"),
        (record(data=None), None, "neither in JSON nor in binary"),
        (record(parameters={"binary_data_size": 5}), None, "or in both"),
        (record(datatype="BYTES", shape=[1], data=["%%%"]), None, "base64"),
        (record(datatype="BYTES", shape=[1], data=[5]), None, "base64"),
        (record(datatype="BYTES", shape=[2], data=["AA=="]), None, "1 images"),
        (record(datatype="BYTES", shape=[1, 2], data=["AA=="]), None, r"shape \[N\]"),
        (record(datatype="BYTES", shape=[], data=["AA=="]), None, r"shape \[N\]"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(text, length, match):
    with pytest.raises(AllkitError, match=match):
        parse_request(text, length, CONTRACT)


@pytest.mark.parametrize(
    ("binary", "announced", "match"),
    [
        (b"\x05\0\0\0abc", 7, "element 0 of the binary data is cut off"),
        (b"\x05\0", 2, "element 0 of the binary data is cut off"),
        (b"\x01\0\0\0a\x01", 6, "element 1 of the binary data is cut off"),
        (b"\xff\xff\xff\xffa", 5, "cut off"),
        (b"abcd", 3, "4 bytes follow the JSON, 3 are announced"),
        (b"", 3, "0 bytes follow"),
    ],
)
def test_binary_data_that_does_not_fit_is_refused(binary, announced, match):
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": announced}}
    head = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(AllkitError, match=match):
        parse_request(head + binary, len(head), CONTRACT)


def test_outputs_that_are_not_there_are_refused():
    for output, match in (
        (triton.InferRequestedOutput("heat"), "'heat'"),
        (
            triton.InferRequestedOutput("label", class_count=2),
            "classification",
        ),
    ):
        with pytest.raises(AllkitError, match=match):
            parse_request(*body(PIXELS, output), CONTRACT)
