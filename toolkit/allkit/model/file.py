"""Reading an exported file and checking it as data before any library runs it.

Libraries that execute ONNX trust their input: a damaged or hostile file can crash them or never end. The file is
therefore first parsed as protocol buffers. It must match the digest in its contract and contain no operators other than
those that allkit writes, no nested graphs and no references to other files.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from allkit.errors import AllkitError, reason
from allkit.imaging.pixel_path import read_bytes
from allkit.model import training_images
from allkit.model.contract import METADATA_KEY, Contract
from allkit.model.training_images import TrainingImages, entry_digest
from allkit.support.files import listing

# Everything that exports, int8 and fp16 variants and heat maps consist of.
OPERATORS = frozenset(
    {
        "Abs",
        "Add",
        "ArgMax",
        "AveragePool",
        "Cast",
        "Clip",
        "Concat",
        "Conv",
        "DequantizeLinear",
        "Div",
        "Equal",
        "Flatten",
        "Gather",
        "Gemm",
        "Greater",
        "Identity",
        "LeakyRelu",
        "MatMul",
        "MatMulInteger",
        "Max",
        "MaxPool",
        "Mul",
        "Pad",
        "QuantizeLinear",
        "ReduceMax",
        "ReduceMean",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Sign",
        "Slice",
        "Softmax",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Transpose",
        "Unsqueeze",
        "Where",
    }
)

# Field numbers of onnx.proto3.
_GRAPH, _METADATA, _TRAINING, _FUNCTIONS = 7, 14, 20, 25
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_OPERATOR, _ATTRIBUTE, _DOMAIN = 4, 5, 7
_TENSOR, _SUBGRAPH, _SUBGRAPHS = 5, 6, 11
_EXTERNAL, _LOCATION = 13, 14
_KEY, _VALUE = 1, 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_FIELDS = 2**20
# The limit of protocol buffers.
_MOST_BYTES = 2**31 - 1

_FIX = "copy or export it again"


@dataclass(frozen=True)
class ModelFile:
    """A file that passed the checks.

    data: its content, to create a session from. identity: hash of all of it, the key for what is remembered about this
    file. training_images: of its split, None if it does not list them.
    """

    path: Path
    data: bytes
    contract: Contract
    identity: str
    training_images: TrainingImages | None


def model_files(files_or_folders: Iterable[Path | str]) -> list[Path]:
    """The ONNX files named, a folder standing for those in it, by name; AllkitError for a folder without any."""
    found = []
    for path in map(Path, files_or_folders):
        # Files with hidden names are still being written by an export.
        inside = [one for one in listing(path) if one.suffix == ".onnx"] if path.is_dir() else [path]
        if not inside:
            raise AllkitError(f"there is no ONNX file in {path}: make one with `allkit export`, or name another folder")
        found += inside
    return found


def read_model(path: Path | str) -> ModelFile:
    """Read and check an exported file.

    Raises AllkitError when it is missing, too large, damaged, not an ONNX model, not made by `allkit export`, of
    another schema, or contains what allkit does not write.
    """
    path = Path(path)
    try:
        there = not stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        there = False
    except (OSError, ValueError) as error:
        raise AllkitError(f"cannot read {path}: {reason(error)}") from error
    if not there:
        raise AllkitError(f"{path} is not a file: give the ONNX file of a model made by `allkit export`")
    data = read_bytes(path, _MOST_BYTES)
    try:
        entries = _checked(path, memoryview(data))
    except (IndexError, ValueError) as error:
        raise AllkitError(
            f"{path} cannot be read as an ONNX model (damaged, truncated, or another format): {_FIX}"
        ) from error
    text, listed = (entries.get(key.encode()) for key in (METADATA_KEY, training_images.METADATA_KEY))
    if text is None:
        raise AllkitError(
            f"{path} has no entry {METADATA_KEY}, so its classes and pixel path are unknown: "
            "give a model made by `allkit export`"
        )
    try:
        contract = Contract.from_json(text)
        images = None if listed is None else TrainingImages.from_text(listed)
    except AllkitError as error:
        raise AllkitError(f"{path}: {error}") from error
    digest = graph_digest(data)
    digests = digest, None if listed is None else entry_digest(listed)
    if digests != (contract.graph_digest, contract.images_digest):
        raise AllkitError(f"{path} is damaged or was changed after its export (its digest does not match): {_FIX}")
    return ModelFile(path, data, contract, hashlib.sha256(digest.encode() + text).hexdigest(), images)


def graph_digest(data: bytes) -> str:
    """SHA-256, in hexadecimal, of a serialised ONNX model without its metadata entries."""
    digest = hashlib.sha256()
    view = memoryview(data)
    for number, _, start, end in _walk(view):
        if number != _METADATA:
            digest.update(view[start:end])
    return digest.hexdigest()


def _checked(path: Path, model: memoryview) -> dict[bytes, bytes]:
    """The metadata entries by key; AllkitError for anything that allkit does not write."""
    entries: dict[bytes, bytes] = {}
    graphs = 0
    for number, value in _fields(model):
        if number == _METADATA:
            entry = dict(_fields(value))
            entries[bytes(entry.get(_KEY, b""))] = bytes(entry.get(_VALUE, b""))
        elif number == _GRAPH:
            graphs += 1
            _check_graph(path, value)
        elif number in (_FUNCTIONS, _TRAINING):
            raise _foreign(path, "functions of its own")
    if graphs != 1:
        raise ValueError("no graph")
    return entries


def _check_graph(path: Path, graph: memoryview) -> None:
    for number, value in _fields(graph):
        if number == _NODE:
            _check_node(path, value)
        elif number == _INITIALIZER:
            _check_tensor(path, value)
        elif number == _SPARSE:
            raise _foreign(path, "sparse constants")


def _check_node(path: Path, node: memoryview) -> None:
    fields = list(_fields(node))
    names = {number: bytes(value) for number, value in fields if number in (_OPERATOR, _DOMAIN)}
    operator = names.get(_OPERATOR, b"").decode()
    if operator not in OPERATORS or names.get(_DOMAIN):
        raise _foreign(path, f"the operator {operator!r}")
    for number, attribute in fields:
        if number == _ATTRIBUTE:
            for kind, value in _fields(attribute):
                if kind in (_SUBGRAPH, _SUBGRAPHS):
                    raise _foreign(path, f"a graph inside {operator}")
                if kind == _TENSOR:
                    _check_tensor(path, value)


def _check_tensor(path: Path, tensor: memoryview) -> None:
    if any(number in (_EXTERNAL, _LOCATION) and value for number, value in _fields(tensor)):
        raise AllkitError(f"{path} refers to data outside the file: do not trust it")


def _foreign(path: Path, what: str) -> AllkitError:
    return AllkitError(
        f"{path} contains {what}, which allkit never writes: do not trust this file; export the model again"
    )


def _fields(message: memoryview | int) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of each field: bytes, or an integer; 0 for fixed-width numbers, which are not needed."""
    if isinstance(message, int):
        raise ValueError("a number in the place of a message")
    for number, value, _, _ in _walk(message):
        yield number, value


def _walk(message: memoryview) -> Iterator[tuple[int, memoryview | int, int, int]]:
    """Number, value, start and end of each field. Raises IndexError or ValueError for an incomplete message."""
    place, count = 0, 0
    while place < len(message):
        start = place
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        value: memoryview | int = 0
        if kind == _VARINT:
            value, place = _varint(message, place)
        elif kind == _BYTES:
            length, place = _varint(message, place)
            value, place = message[place : place + length], place + length
        elif kind in (_FIXED64, _FIXED32):
            place += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        count += 1
        if place > len(message) or count > _MOST_FIELDS:
            raise ValueError("truncated, or not a model")
        yield number, value, start, place


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number at a position in base 128, least significant digits first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number of more than ten bytes")
