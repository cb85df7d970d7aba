"""Whether a model looks at nucleated cells: where its evidence lies, and what it says of cells or of the rest alone.

    python benchmarks/heatmaps.py MODEL DATA SPLIT > benchmarks/results/heatmaps.json

Over the images of the test part, with nuclei as `allkit.imaging.stain` finds them:

- the share of the heat map's positive evidence that lies on nuclei, divided by the share of an even map (1: no better
  than chance);
- the accuracy with all but the nuclei and a margin painted over in the colour of the background, and with the nuclei
  painted over;
- the randomisation check of Adebayo et al. 2018: the correlation of the maps with those of the model after permuting
  the weights of its Dense layers.

MODEL is a file exported with --heatmap; an int8 file has no weights to permute and is not randomised.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import numpy_helper

from allkit import Classifier, Prediction
from allkit.data.split import Split, class_of
from allkit.exporting.measure import open_session, outputs
from allkit.imaging.pixel_path import PixelPath
from allkit.imaging.stain import stained

# A cell is wider than its nucleus; as a share of the side of the image.
_MARGIN = 1 / 28


def nucleus_share(image: np.ndarray, shape: tuple[int, int], stride_px: int) -> np.ndarray:
    """The share of stained pixels under each value of a map, float64 (h, w)."""
    height, width = shape
    covered = stained(image)[: height * stride_px, : width * stride_px] / 255
    return covered.reshape(height, stride_px, width, stride_px).mean((1, 3))


def lift(heatmap: np.ndarray, nuclei: np.ndarray) -> float:
    """Nuclei under the positive evidence, relative to an even map; NaN without evidence or nuclei."""
    evidence = np.maximum(heatmap, 0)
    with np.errstate(invalid="ignore"):
        return float((evidence * nuclei).sum() / evidence.sum() / nuclei.mean())


def painted(image: np.ndarray, nuclei: bool) -> np.ndarray:
    """The image with its nuclei and a margin, or all but them, in the mean colour of what is no nucleus."""
    margin = np.ones(2 * [2 * round(_MARGIN * len(image)) // 2 + 1], np.uint8)
    cells = cv2.dilate(stained(image), margin)
    colour = np.rint(cv2.mean(image, cv2.bitwise_not(cells))[:3]).astype(np.uint8)
    return np.where(((cells > 0) == nuclei)[..., None], colour, image)


def randomised(path: Path) -> onnx.ModelProto | None:
    """The model with the weights of its Dense layers permuted; None without float weights."""
    proto, rng = onnx.load(path), np.random.default_rng(0)
    dense = [item for item in proto.graph.initializer if item.name in ("fc.weight", "logits.weight")]
    if any(item.name == "fc.weight_quantized" for item in proto.graph.initializer):
        return None
    for item in dense:
        values = numpy_helper.to_array(item)
        item.CopyFrom(numpy_helper.from_array(rng.permutation(values.ravel()).reshape(values.shape), item.name))
    return proto


def main(model: str, data: str, split: str) -> None:
    classifier = Classifier(model, device="cpu", heatmaps=True)
    pixels: PixelPath = classifier.contract.pixels
    paths = Split.load(Path(split)).parts["test"]
    images = np.stack([pixels.load(Path(data) / path) for path in paths])
    predictions = list(classifier(images))
    truth = [class_of(path) for path in paths]
    stride = classifier.contract.heatmap["stride_px"]
    lifts: dict[str, list[float]] = {name: [] for name in classifier.contract.classes}
    for image, prediction in zip(images, predictions, strict=True):
        lifts[prediction.label].append(lift(prediction.heatmap, nucleus_share(image, prediction.heatmap.shape, stride)))
    everything = np.concatenate([np.array(values) for values in lifts.values()])

    def accuracy(said: Iterable[Prediction]) -> float:
        return round(float(np.mean([one.label == name for one, name in zip(said, truth, strict=True)])), 4)

    record = {
        "model": Path(model).name,
        "heatmap": dict(classifier.contract.heatmap),
        "n": len(images),
        "nuclei_under_evidence_relative_to_chance": {
            "all": summary(everything),
            **{name: summary(np.array(values)) for name, values in lifts.items()},
        },
        "accuracy": {
            "as they are": accuracy(predictions),
            "nuclei alone": accuracy(classifier(np.stack([painted(image, nuclei=False) for image in images]))),
            "without nuclei": accuracy(classifier(np.stack([painted(image, nuclei=True) for image in images]))),
        },
    }
    if other := randomised(Path(model)):
        (maps,) = outputs(open_session(other), ["heatmap"], images)
        with np.errstate(invalid="ignore"):
            alike = [np.corrcoef(p.heatmap.ravel(), b.ravel())[0, 1] for p, b in zip(predictions, maps, strict=True)]
        # A constant map has no correlation.
        constant = int(np.isnan(alike).sum())
        mean = round(float(np.nan_to_num(alike).mean()), 3)
        record["correlation_with_randomised_head"] = {"mean": mean, "constant": constant}
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
