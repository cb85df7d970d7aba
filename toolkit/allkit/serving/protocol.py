"""The Open Inference Protocol, version 2, over REST, with the binary tensor extension: bytes to images, rows to bytes.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md and
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md

The input `image` is BYTES [N], one encoded image each, or UINT8 [N, S, S, 3], pixels as the model reads them. JSON has
no bytes, so encoded images in JSON are base64.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from allkit.errors import AllkitError
from allkit.model.contract import DISTANCE_NAME, INPUT_NAME, OUTPUT_NAME, Contract
from allkit.runtime.classifier import Prediction
from allkit.support.reading import parse_json

_FIX = "send what the Open Inference Protocol describes"

# BYTES: before each element its length.
_LENGTH_BYTES = 4

# What fits the memory of no machine must not be multiplied out.
_MOST_ELEMENTS = 2**40

_Size = Annotated[int, Meta(ge=0, le=_MOST_ELEMENTS)]


@dataclass(frozen=True)
class _TensorParameters:
    binary_data_size: _Size | None = None


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: list[_Size]
    datatype: str
    parameters: _TensorParameters = _TensorParameters()
    data: list[Any] | None = None


@dataclass(frozen=True)
class _OutputParameters:
    binary_data: bool | None = None
    classification: int | None = None


@dataclass(frozen=True)
class _Output:
    name: str
    parameters: _OutputParameters = _OutputParameters()


@dataclass(frozen=True)
class _RequestParameters:
    binary_data_output: bool = False


@dataclass(frozen=True)
class _Record:
    """The JSON of a request."""

    inputs: list[_Tensor]
    id: str | None = None
    outputs: list[_Output] | None = None
    parameters: _RequestParameters = _RequestParameters()


@dataclass(frozen=True)
class InferRequest:
    """id: the caller's. images: encoded, or uint8 (S, S, 3). outputs: names of those wanted, and whether in binary."""

    id: str | None
    images: list[bytes | np.ndarray]
    outputs: dict[str, bool]


def parse_request(body: bytes, header_length: int | None, contract: Contract) -> InferRequest:
    """Parse the body of an inference request.

    header_length: bytes of JSON at its beginning, from the header `Inference-Header-Content-Length`; None for all.
    Raises AllkitError for what the protocol or this model does not have.
    """
    header_length = len(body) if header_length is None else header_length
    if not 0 <= header_length <= len(body):
        raise AllkitError(f"Inference-Header-Content-Length is {header_length}, and the body has {len(body)} bytes")
    record = parse_json(body[:header_length], _Record, "the request", _FIX)
    if len(record.inputs) != 1 or record.inputs[0].name != INPUT_NAME:
        named = ", ".join(repr(tensor.name) for tensor in record.inputs) or "none"
        raise AllkitError(f"the request has the inputs {named}: send one, named {INPUT_NAME!r}")
    described = outputs_of(contract)
    wanted = record.outputs if record.outputs is not None else [_Output(name) for name in described]
    for output in wanted:
        if output.name not in described:
            raise AllkitError(f"there is no output {output.name!r}: ask for {', '.join(described)}")
        if output.parameters.classification:
            raise AllkitError("the classification extension is not supported: ask for the output 'label'")
    default = record.parameters.binary_data_output
    binary = {one.name: default if one.parameters.binary_data is None else one.parameters.binary_data for one in wanted}
    return InferRequest(record.id, _images(record.inputs[0], body[header_length:], contract), binary)


def response(
    request: InferRequest, predictions: Sequence[Prediction], contract: Contract, name: str
) -> tuple[bytes, int | None]:
    """The body of the answer, and the length of its JSON, None where nothing follows it.

    name: of the model. Raises AllkitError where an image could not be read, with its number counted from 0.
    """
    for number, prediction in enumerate(predictions):
        if prediction.error is not None:
            raise AllkitError(f"image {number}: {prediction.error}")
    described = outputs_of(contract)
    tensors, binary = [], []
    for output, as_bytes in request.outputs.items():
        kind, width = described[output]
        values = [_value(output, prediction) for prediction in predictions]
        tensor = {"name": output, "datatype": kind, "shape": [len(predictions), *width]}
        if as_bytes:
            binary.append(_packed(kind, values))
            tensor["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            tensor["data"] = [number for row in values for number in row] if width else values
        tensors.append(tensor)
    record = {"model_name": name, "model_version": "1", "outputs": tensors}
    if request.id is not None:
        record["id"] = request.id
    head = json.dumps(record).encode()
    return head + b"".join(binary), len(head) if binary else None


def metadata(contract: Contract, name: str) -> dict[str, Any]:
    """What the protocol tells of the model."""
    return {
        "name": name,
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": INPUT_NAME, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": output, "datatype": kind, "shape": [-1, *width]}
            for output, (kind, width) in outputs_of(contract).items()
        ],
    }


def outputs_of(contract: Contract) -> dict[str, tuple[str, list[int]]]:
    """Data type of each output, and its shape for one image."""
    return {
        OUTPUT_NAME: ("FP32", [len(contract.classes)]),
        "label": ("BYTES", []),
        "prediction_set": ("BYTES", []),
        "uncertain": ("BOOL", []),
        "unfamiliar": ("BOOL", []),
        DISTANCE_NAME: ("FP32", []),
    }


def _images(tensor: _Tensor, binary: bytes, contract: Contract) -> list[bytes | np.ndarray]:
    size, in_binary = contract.pixels.size_px, tensor.parameters.binary_data_size
    if (tensor.data is None) == (in_binary is None):
        raise AllkitError(f"the input {tensor.name!r} has its data neither in JSON nor in binary, or in both: {_FIX}")
    if (in_binary or 0) != len(binary):
        raise AllkitError(f"{len(binary)} bytes follow the JSON, {in_binary or 0} are announced: {_FIX}")
    if tensor.datatype == "BYTES":
        # Some clients give every tensor an axis more.
        if len(tensor.shape) > 2 or (len(tensor.shape) == 2 and tensor.shape[1] != 1) or not tensor.shape:
            raise AllkitError(f"encoded images have the shape [N], not {tensor.shape}")
        images = _unpacked(binary) if tensor.data is None else [_decoded(text) for text in tensor.data]
        if len(images) != tensor.shape[0]:
            raise AllkitError(f"there are {len(images)} images, and the shape is {tensor.shape}")
        return images
    if tensor.datatype != "UINT8" or tensor.shape[1:] != [size, size, 3]:
        raise AllkitError(
            f"the input is {tensor.datatype} {tensor.shape}: send BYTES [N], encoded images, or UINT8 "
            f"[N, {size}, {size}, 3]"
        )
    pixels = np.frombuffer(binary, np.uint8) if tensor.data is None else _pixels(tensor.data)
    if pixels.size != math.prod(tensor.shape):
        raise AllkitError(f"there are {pixels.size} values, and the shape is {tensor.shape}")
    return list(pixels.reshape(tensor.shape))


def _pixels(data: list[Any]) -> np.ndarray:
    """Values from 0 to 255 as JSON has them, flat or nested, as uint8 (n,)."""
    try:
        values = np.array(data)
    except ValueError as error:
        raise AllkitError("the pixels are nested unevenly: send them flat") from error
    if values.size and (values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255):
        raise AllkitError("the pixels are not all whole numbers from 0 to 255")
    return values.astype(np.uint8).ravel()


def _unpacked(binary: bytes) -> list[bytes]:
    """The elements of a BYTES tensor."""
    found, at = [], 0
    while at < len(binary):
        length = int.from_bytes(binary[at : at + _LENGTH_BYTES], "little")
        at += _LENGTH_BYTES
        if at + length > len(binary):
            raise AllkitError(f"element {len(found)} of the binary data is cut off: {_FIX}")
        found.append(binary[at : at + length])
        at += length
    return found


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise AllkitError("an encoded image in JSON is not base64: send it so, or as binary data") from error


def _packed(kind: str, values: Sequence) -> bytes:
    if kind == "BYTES":
        encoded = [value.encode() for value in values]
        return b"".join(len(value).to_bytes(_LENGTH_BYTES, "little") + value for value in encoded)
    return np.array(values, {"FP32": "<f4", "BOOL": np.bool_}[kind]).tobytes()


def _value(output: str, prediction: Prediction) -> Any:
    """An output of one image as JSON has it."""
    if output == OUTPUT_NAME:
        return list(prediction.probabilities.values())
    if output == "prediction_set":
        return "|".join(prediction.prediction_set)
    return getattr(prediction, output)
