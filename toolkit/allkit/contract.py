"""What an exported model says of itself.

An ONNX file alone does not tell how to feed it or what its numbers are worth. Every file
that allkit exports carries one metadata entry, `allkit.contract`, a JSON object with all
that classify, bench and evaluate need; a file without it is refused, never guessed at.

The graph around it is fixed: input `image`, uint8 [batch, S, S, 3], RGB, straight from
`PixelPath`; outputs `probabilities`, float32 [batch, classes], calibrated, and `distance`,
float32 [batch], how far an image lies from the training images; with a heat map also `heatmap`,
float32 [batch, h, w], the evidence for the predicted class. Batch is dynamic, S is not.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allkit.errors import AllkitError
from allkit.images import PixelPath

METADATA_KEY = "allkit.contract"
SCHEMA_VERSION = 2
INPUT_NAME = "image"
OUTPUT_NAME = "probabilities"
DISTANCE_NAME = "distance"
HEATMAP_NAME = "heatmap"
_MOST_CHARACTERS = 2**20
# What `from_json` holds the fields against: the beginning of an annotation, and the numbers that decide something.
_KINDS = {"Mapping": Mapping, "str": str, "float": (int, float)}
_NUMBERS = (("abstention", "threshold"), ("familiarity", "threshold"), ("latency", "ms"), ("latency", "fp32_ms"))
# Protobuf reads no larger file.
_MOST_BYTES = 2**31 - 1
INTENDED_USE = "research; not for diagnosis"


@dataclass(frozen=True)
class Contract:
    """The JSON object inside a model; see the fields.

    classes: in the order of the output. pixels: how an image becomes the input.
    recipe: the training recipe as a record. split: protocol, parameters and hash of the split file.
    data_fingerprint: SHA-256 over the relative path and content hash of every image.
    accuracy: of this file: value, low, high (95 % Wilson interval by groups), n, part. baseline: those of a method
    that sees no shape, on the same images. verification: the figures of the comparison with the Keras model.
    temperature: by which the logits are divided inside the graph. calibration: expected calibration error before
    and after, on n images of a part.
    abstention: coverage, and threshold: a class whose probability reaches it belongs to the prediction set.
    familiarity: method, and threshold: a `distance` above it marks an image as unfamiliar.
    gate: the comparison with the float32 graph, None for float32 itself. quantisation: how int8 was calibrated, which
    layers are in float and what the candidates took, else None. latency: median milliseconds for one image of this
    file and of float32 on the machine of the export, on a number of cores. heatmap: method, layer, height, width and
    stride_px: value [i, j] of the map lies over the stride_px pixels from i * stride_px down and from j * stride_px
    right; None without the output.
    versions: library name to version.
    """

    classes: tuple[str, ...]
    pixels: PixelPath
    architecture: str
    width: float
    precision: str
    recipe: Mapping[str, Any]
    split: Mapping[str, Any]
    data_fingerprint: str
    accuracy: Mapping[str, Any]
    baseline: Mapping[str, Any]
    verification: Mapping[str, Any]
    temperature: float
    calibration: Mapping[str, Any]
    abstention: Mapping[str, Any]
    familiarity: Mapping[str, Any]
    gate: Mapping[str, Any] | None
    quantisation: Mapping[str, Any] | None
    latency: Mapping[str, Any]
    heatmap: Mapping[str, Any] | None
    versions: Mapping[str, str]
    intended_use: str = INTENDED_USE
    schema_version: int = SCHEMA_VERSION

    @property
    def slower_than_fp32(self) -> bool:
        """Whether it was slower than float32 on the machine of the export."""
        return self.latency["ms"] > self.latency["fp32_ms"]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """Parse the metadata entry; AllkitError when it is not a contract this version reads."""
        if len(text) > _MOST_CHARACTERS:
            raise AllkitError("the model's contract is longer than 1 MiB: no model of allkit has such a one")
        try:
            record = json.loads(text)
            version = record["schema_version"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise AllkitError("the model's contract is not readable: export the model again") from error
        if version != SCHEMA_VERSION:
            raise AllkitError(
                f"the model's contract has schema version {version}, this allkit reads {SCHEMA_VERSION}: "
                "upgrade allkit, or export the model again"
            )
        classes = record.get("classes")
        if not isinstance(classes, list) or len(classes) < 2 or not all(isinstance(name, str) for name in classes):
            raise AllkitError("the model's contract does not name two or more classes: export the model again")
        try:
            contract = cls(**{**record, "pixels": PixelPath(**record["pixels"]), "classes": tuple(classes)})
            contract._check()
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise AllkitError(f"the model's contract is incomplete: {error}; export the model again") from error
        return contract

    def _check(self) -> None:
        """TypeError, KeyError or ValueError where a field is not what the code that reads it counts on."""
        for field in dataclasses.fields(self):
            kind = next((kind for name, kind in _KINDS.items() if field.type.startswith(name)), object)
            value = getattr(self, field.name)
            if not isinstance(value, kind) and not (value is None and field.type.endswith("None")):
                raise TypeError(f"{field.name} is not {field.type}")
        for place, name in _NUMBERS:
            if not isinstance(getattr(self, place)[name], int | float):
                raise TypeError(f"{name} of {place} is not a number")
        if self.heatmap is not None:
            sides = [self.heatmap[name] for name in ("height", "width", "stride_px")]
            if not all(type(side) is int and 0 < side <= self.pixels.size_px for side in sides):
                raise ValueError("the heat map has no size")


def check_file(path: Path) -> None:
    """AllkitError unless the path is a file of a size that a model can have; before anything reads it."""
    if not path.is_file():
        raise AllkitError(f"{path} is not a file: give the ONNX file of a model made by `allkit export`")
    if path.stat().st_size > _MOST_BYTES:
        raise AllkitError(f"{path} is larger than 2 GiB: no model of allkit is")


def contract_of(path: Path, text: str | None) -> Contract:
    """The contract in the metadata entry of a file, None where it has none; AllkitError names the file."""
    if text is None:
        raise AllkitError(
            f"{path} has no entry {METADATA_KEY}, so its classes and pixel path are unknown: "
            "give a model made by `allkit export`"
        )
    try:
        return Contract.from_json(text)
    except AllkitError as error:
        raise AllkitError(f"{path}: {error}") from error
