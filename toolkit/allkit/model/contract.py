"""What an exported model states about itself.

An ONNX file alone does not say how to feed it or what its outputs are worth. Every file exported by allkit has a
metadata entry `allkit.contract`, a JSON object with everything that classify, bench and evaluate need; a file without
it is refused.

The graph is fixed: input `image`, uint8 [batch, S, S, 3], RGB, straight from `PixelPath`; outputs `probabilities`,
float32 [batch, classes], calibrated, and `distance`, float32 [batch], how far an image is from the training images;
with a heat map also `heatmap`, float32 [batch, h, w], the evidence for the predicted class. Batch is dynamic, S is not.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.support.names import check_class_names
from allkit.support.reading import Count, NotNegative, Positive, Share, parse_json

METADATA_KEY = "allkit.contract"
SCHEMA_VERSION = 3
INPUT_NAME = "image"
OUTPUT_NAME = "probabilities"
DISTANCE_NAME = "distance"
HEATMAP_NAME = "heatmap"
INTENDED_USE = "research; not for diagnosis"
_MOST_CHARACTERS = 2**20
_EXPORT_AGAIN = "export the model again"

Side = Annotated[int, Meta(ge=1, le=4096)]


class Accuracy(TypedDict):
    """Accuracy on a part of the split: share, 95 % Wilson interval by groups, number of images."""

    value: Share
    low: Share
    high: Share
    n: Count
    part: str


class Baseline(TypedDict):
    """The same for a method that sees no shape."""

    method: str
    value: Share
    low: Share
    high: Share


class SplitSummary(TypedDict):
    """How the split was made, its hash, and the numbers of groups and images."""

    protocol: str
    parameters: dict[str, Any]
    hash: str
    groups: NotRequired[Count]
    n: NotRequired[dict[str, Count]]


class Calibration(TypedDict):
    """Expected calibration error before and after temperature scaling, on n images of a part."""

    ece_after: Share
    ece_before: NotRequired[Share]
    n: NotRequired[Count]
    part: NotRequired[str]


class Abstention(TypedDict):
    """Classes with a probability of at least the threshold form the prediction set."""

    coverage: Share
    threshold: Share
    method: NotRequired[str]
    n: NotRequired[Count]


class Familiarity(TypedDict):
    """Images with a distance above the threshold are marked as unfamiliar."""

    method: str
    threshold: NotNegative
    quantile: NotRequired[Share]
    n: NotRequired[Count]


class Quantisation(TypedDict):
    """How int8 was chosen: bits of the weights, calibration, layers in float, and the results of the candidates."""

    weight_bits: Annotated[int, Meta(ge=7, le=8)]
    method: NotRequired[str]
    methods: NotRequired[dict[str, Any]]
    calibration_images: NotRequired[Count]
    float_layers: NotRequired[list[str]]
    fp32_ms: NotRequired[NotNegative]
    candidates: NotRequired[list[dict[str, Any]]]


class Latency(TypedDict):
    """Median milliseconds per image of this file and of float32, on the exporting machine."""

    ms: NotNegative
    fp32_ms: NotNegative
    cores: Count
    processor: str


class HeatmapGeometry(TypedDict):
    """Value [i, j] of the map covers the stride_px pixels from i * stride_px down and from j * stride_px right."""

    method: str
    layer: str
    height: Side
    width: Side
    stride_px: Side


class KnownAnswers(TypedDict):
    """Outputs of a node-by-node float32 execution of the graph for the drawn images of `runtime.known_answers`.

    drawing: hash of the images' pixels. probabilities: (n, classes). distance: (n,). heatmap: digests of the maps, if
    the file has any.
    """

    drawing: str
    probabilities: list[list[float]]
    distance: list[float]
    heatmap: list[list[float]] | None


@dataclass(frozen=True)
class Contract:
    """The JSON object inside a model.

    classes: in output order. pixels: how an image becomes the input. recipe: the training recipe as a record. split:
    protocol, parameters and hash of the split file. data_fingerprint: SHA-256 over the relative path and content hash
    of every image. accuracy: of this file. baseline: of a method that sees no shape, on the same images. verification:
    comparison with the Keras model. temperature: the graph divides the logits by it. gate: comparison with the float32
    graph, None for float32 itself. quantisation: None except for int8. heatmap: None without that output. versions:
    library name to version. graph_digest: SHA-256 of the file without its metadata, which reveals damage.
    known_answers: checked before a session is used. images_digest: SHA-256 of the metadata entry that lists the
    training images (`training_images`), None without one.
    """

    classes: tuple[str, ...]
    pixels: PixelPath
    architecture: str
    width: Positive
    precision: str
    recipe: Mapping[str, Any]
    split: SplitSummary
    data_fingerprint: str
    accuracy: Accuracy
    baseline: Baseline
    verification: Mapping[str, Any]
    temperature: Positive
    calibration: Calibration
    abstention: Abstention
    familiarity: Familiarity
    gate: Mapping[str, Any] | None
    quantisation: Quantisation | None
    latency: Latency
    heatmap: HeatmapGeometry | None
    versions: Mapping[str, str]
    graph_digest: str
    known_answers: KnownAnswers
    images_digest: str | None = None
    intended_use: str = INTENDED_USE
    schema_version: int = SCHEMA_VERSION

    @property
    def slower_than_fp32(self) -> bool:
        """Whether it was slower than float32 on the exporting machine."""
        return self.latency["ms"] > self.latency["fp32_ms"]

    @property
    def can_saturate(self) -> bool:
        """Whether the sum of two integer products can exceed 16 bits, in which processors without VNNI add them."""
        return self.precision == "int8" and (self.quantisation is None or self.quantisation["weight_bits"] > 7)

    def to_json(self) -> str:
        record = dataclasses.asdict(self)
        # For programs that prepare images without allkit: there is no other rule.
        record["pixels"]["aspect"] = "center-crop"
        return json.dumps(record, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Contract:
        """Parse the metadata entry; AllkitError when it is not a contract that this version reads."""
        if len(text) > _MOST_CHARACTERS:
            raise AllkitError("the model's contract is longer than 1 MiB: export the model again")
        record = parse_json(text, dict[str, Any], "the model's contract", _EXPORT_AGAIN)
        version = record.get("schema_version")
        if version != SCHEMA_VERSION:
            raise AllkitError(
                f"the model's contract has schema version {version!r:.20}, this allkit reads {SCHEMA_VERSION}: "
                "upgrade allkit, or export the model again"
            )
        if unknown := sorted(record.keys() - {field.name for field in dataclasses.fields(cls)}):
            raise AllkitError(f"the model's contract has unknown fields ({unknown[0]!r:.80}): {_EXPORT_AGAIN}")
        contract = parse_json(text, cls, "the model's contract", _EXPORT_AGAIN)
        contract._check()
        return contract

    def _check(self) -> None:
        """Raise AllkitError if fields contradict each other."""
        size = self.pixels.size_px
        check_class_names(self.classes)
        if self.heatmap and max(self.heatmap[name] for name in ("height", "width", "stride_px")) > size:
            raise AllkitError(f"the heat map in the model's contract is larger than its images: {_EXPORT_AGAIN}")
        answers = self.known_answers
        count = len(answers["distance"])
        shapes = [len(answers["probabilities"]), *([len(answers["heatmap"])] if answers["heatmap"] else [])]
        if not count or set(shapes) != {count} or {len(row) for row in answers["probabilities"]} != {len(self.classes)}:
            raise AllkitError(f"the known answers in the model's contract do not fit its outputs: {_EXPORT_AGAIN}")
        maps = answers["heatmap"]
        if (maps is None) != (self.heatmap is None) or (maps and len({len(digest) for digest in maps}) != 1):
            raise AllkitError(f"the known answers in the model's contract do not fit its heat map: {_EXPORT_AGAIN}")
