"""Whether the evidence lies on nucleated cells.

    python benchmarks/heatmaps.py MODEL DATA SPLIT > benchmarks/results/heatmaps.json

For each image of the test part: the share of the heat map's positive evidence that lies on nuclei, divided by the share
of a uniform map (1: no better than chance). Nuclei are the stained pixels by Otsu's threshold on saturation. Also the
randomisation check of Adebayo et al. 2018: the correlation of the maps with those of the model after permuting the
weights of its Dense layers. MODEL is an fp32 file exported with --heatmap.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import numpy_helper

from allkit import Classifier
from allkit.data.split import Split
from allkit.exporting.measure import open_session, outputs
from allkit.imaging.pixel_path import PixelPath


def nucleus_share(image: np.ndarray, shape: tuple[int, int], stride_px: int) -> np.ndarray:
    """The share of stained pixels under each value of a map, float64 (h, w)."""
    saturation = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1]
    _, mask = cv2.threshold(saturation, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    height, width = shape
    covered = mask[: height * stride_px, : width * stride_px].astype(np.float64)
    return covered.reshape(height, stride_px, width, stride_px).mean((1, 3))


def lift(heatmap: np.ndarray, nuclei: np.ndarray) -> float:
    """Nuclei under the positive evidence, relative to a uniform map; NaN without evidence or nuclei."""
    evidence = np.maximum(heatmap, 0)
    with np.errstate(invalid="ignore"):
        return float((evidence * nuclei).sum() / evidence.sum() / nuclei.mean())


def randomised(path: Path) -> onnx.ModelProto:
    """The model with the weights of its Dense layers permuted."""
    proto, rng = onnx.load(path), np.random.default_rng(0)
    for item in proto.graph.initializer:
        if item.name in ("fc.weight", "logits.weight"):
            values = numpy_helper.to_array(item)
            item.CopyFrom(numpy_helper.from_array(rng.permutation(values.ravel()).reshape(values.shape), item.name))
    return proto


def main(model: str, data: str, split: str) -> None:
    classifier = Classifier(model, device="cpu", heatmaps=True)
    pixels: PixelPath = classifier.contract.pixels
    paths = [Path(data) / path for path in Split.load(Path(split)).parts["test"]]
    images = np.stack([pixels.load(path) for path in paths])
    predictions = list(classifier(images))
    stride = classifier.contract.heatmap["stride_px"]
    lifts: dict[str, list[float]] = {name: [] for name in classifier.contract.classes}
    for image, prediction in zip(images, predictions, strict=True):
        lifts[prediction.label].append(lift(prediction.heatmap, nucleus_share(image, prediction.heatmap.shape, stride)))
    (other,) = outputs(open_session(randomised(Path(model))), ["heatmap"], images)
    with np.errstate(invalid="ignore"):
        alike = [np.corrcoef(p.heatmap.ravel(), b.ravel())[0, 1] for p, b in zip(predictions, other, strict=True)]
    everything = np.concatenate([np.array(values) for values in lifts.values()])
    record = {
        "model": Path(model).name,
        "heatmap": dict(classifier.contract.heatmap),
        "n": len(images),
        "nuclei_under_evidence_relative_to_chance": {
            "all": summary(everything),
            **{name: summary(np.array(values)) for name, values in lifts.items()},
        },
        "correlation_with_randomised_head": {
            # A constant map has no correlation.
            "mean": round(float(np.nan_to_num(alike).mean()), 3),
            "constant": int(np.isnan(alike).sum()),
        },
    }
    json.dump(record, sys.stdout, indent=1)


def summary(lifts: np.ndarray) -> dict[str, float] | None:
    """Summary of the images with both evidence and nuclei; None if there are none."""
    finite = lifts[np.isfinite(lifts)]
    if not len(finite):
        return None
    return {
        "n": len(finite),
        "median": round(float(np.median(finite)), 3),
        "share_of_images_above_chance": round(float((finite > 1).mean()), 3),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
