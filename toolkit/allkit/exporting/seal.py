"""What lets a file be checked on any machine, its digest and its unoptimised answers, and how it is embedded."""

from __future__ import annotations

from typing import Any

import onnx

from allkit.exporting.measure import open_session, outputs
from allkit.model import training_images
from allkit.model.contract import DISTANCE_NAME, HEATMAP_NAME, METADATA_KEY, OUTPUT_NAME, Contract
from allkit.model.file import graph_digest
from allkit.runtime.kernels import Kernels
from allkit.runtime.known_answers import draw, known_answers


def seal(proto: onnx.ModelProto) -> dict[str, Any]:
    """The fields `graph_digest` and `known_answers` of the contract of a graph that is final but for its metadata."""
    session = open_session(proto, Kernels.UNOPTIMISED)
    images = draw(session.get_inputs()[0].shape[1])
    mapped = HEATMAP_NAME in {output.name for output in session.get_outputs()}
    names = [OUTPUT_NAME, DISTANCE_NAME, *([HEATMAP_NAME] if mapped else [])]
    probabilities, distance, *heatmaps = outputs(session, names, images)
    answers = known_answers(images, probabilities, distance, heatmaps[0] if mapped else None)
    return {"graph_digest": graph_digest(proto.SerializeToString()), "known_answers": answers}


def embed(proto: onnx.ModelProto, contract: Contract, images: str) -> None:
    """Put the contract and the list of training images, whose digest it has, into the metadata in place of others."""
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    entries |= {METADATA_KEY: contract.to_json(), training_images.METADATA_KEY: images}
    onnx.helper.set_model_props(proto, entries)
