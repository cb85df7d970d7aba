"""A tiny exported model whose probabilities can be worked out by hand.

The logit of class k is `bias[k] + ln 2 / 32 * (mean of channel k)`, and the mean of a channel that does not
exist is 0. So an image with means (96, 64, 0) has the odds 2**3 : 2**2 : 2**0, that is the probabilities
8/13, 4/13 and 1/13. The distance is the mean of all channels.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from allkit.exporting.seal import seal
from allkit.imaging.pixel_path import PixelPath
from allkit.model.contract import DISTANCE_NAME, HEATMAP_NAME, INPUT_NAME, METADATA_KEY, OUTPUT_NAME, Contract
from allkit.model.file import graph_digest
from allkit.model.training_images import METADATA_KEY as IMAGES_KEY
from allkit.model.training_images import TrainingImages, entry_digest

CLASSES = ("red", "green", "blue")


def tiny_contract(classes: Sequence[str] = CLASSES, size_px: int = 8, **fields: Any) -> Contract:
    """A complete contract; `fields` replace its values."""
    values = {
        "classes": tuple(classes),
        "pixels": PixelPath(size_px),
        "architecture": "tiny",
        "width": 1.0,
        "precision": "fp32",
        "recipe": {"name": "none"},
        "split": {"protocol": "random", "parameters": {"seed": 0}, "hash": "0" * 64},
        "data_fingerprint": "0" * 64,
        "accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 50, "part": "test"},
        "baseline": {"method": "none", "value": 0.5, "low": 0.4, "high": 0.6},
        "verification": {},
        "temperature": 1.0,
        "calibration": {"ece_after": 0.01},
        "abstention": {"coverage": 0.9, "threshold": 0.6},
        "familiarity": {"method": "none", "threshold": 200.0},
        "gate": None,
        "quantisation": None,
        "latency": {"ms": 1.0, "fp32_ms": 1.0, "cores": 1, "processor": "none"},
        "heatmap": None,
        "versions": {},
        "graph_digest": "0" * 64,
        "known_answers": {
            "drawing": "none",
            "probabilities": [[1 / len(classes)] * len(classes)],
            "distance": [1.0],
            "heatmap": None if fields.get("heatmap") is None else [[0.0]],
        },
    }
    return Contract(**{**values, **fields})


def tiny_model(
    path: Path,
    classes: Sequence[str] = CLASSES,
    size_px: int = 8,
    bias: Sequence[float] | None = None,
    top_rows: int | None = None,
    images: TrainingImages | None = None,
    **fields: Any,
) -> Path:
    """Write the model to `path` and return it; the means are over the first `top_rows` rows of the image.

    images: what it tells of its training images. With a field `heatmap` its heat map is each pixel's red value.
    """
    weights = np.eye(3, len(classes)) * np.log(2) / 32
    constants = {
        "axes": np.array([1, 2]),
        "channel": np.array([1]),
        "start": np.array([0]),
        "stop": np.array([top_rows or size_px]),
        "rows": np.array([1]),
        "weights": weights.astype(np.float32),
        "bias": np.array(bias or [0] * len(classes), np.float32),
    }
    nodes = [
        helper.make_node("Cast", [INPUT_NAME], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["float", "start", "stop", "rows"], ["top"]),
        helper.make_node("ReduceMean", ["top", "axes"], ["means"], keepdims=0),
        helper.make_node("ReduceMean", ["means", "channel"], [DISTANCE_NAME], keepdims=0),
        helper.make_node("Gemm", ["means", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [OUTPUT_NAME], axis=1),
    ]
    outputs = [
        helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", len(classes)]),
        helper.make_tensor_value_info(DISTANCE_NAME, TensorProto.FLOAT, ["batch"]),
    ]
    if fields.get("heatmap"):
        constants["red"] = np.array(0)
        nodes.append(helper.make_node("Gather", ["float", "red"], [HEATMAP_NAME], axis=3))
        outputs.append(helper.make_tensor_value_info(HEATMAP_NAME, TensorProto.FLOAT, ["batch", size_px, size_px]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["batch", size_px, size_px, 3])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    listed = images and images.to_text()
    digest = listed and entry_digest(listed)
    contract = tiny_contract(classes, size_px, **{**seal(model), "images_digest": digest, **fields})
    helper.set_model_props(model, {METADATA_KEY: contract.to_json(), **({IMAGES_KEY: listed} if listed else {})})
    onnx.save(model, path)
    return path


def resealed(proto: onnx.ModelProto, **fields: Any) -> onnx.ModelProto:
    """A changed graph with a contract whose digest fits it, and whose fields are replaced; in place."""
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    record = {**json.loads(entries[METADATA_KEY]), "graph_digest": graph_digest(proto.SerializeToString()), **fields}
    helper.set_model_props(proto, {**entries, METADATA_KEY: json.dumps(record)})
    return proto


def flat(red: int, green: int, blue: int, height: int = 8, width: int = 8) -> np.ndarray:
    """An RGB uint8 image (height, width, 3) of one colour."""
    return np.full((height, width, 3), (red, green, blue), np.uint8)


def first_pixel(batch: np.ndarray) -> np.ndarray:
    """Stands for a model: the red value of the first pixel of each image, in an array of its own."""
    return batch[:, 0, 0, 0].copy()
