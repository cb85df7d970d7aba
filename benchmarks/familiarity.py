"""Compare distances for telling unfamiliar images from familiar ones.

    python benchmarks/familiarity.py RUN UNFAMILIAR_FOLDER > benchmarks/results/familiarity.json

Fits each candidate on the training part of a finished run. Prints, as JSON, the AUROC of the test part against images
of something else, and the share of the latter beyond the 99th percentile of the validation part.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from allkit.training.backend import prepare

prepare()

import keras  # noqa: E402

from allkit.data.index import read, scan  # noqa: E402
from allkit.exporting.prepare import load_model  # noqa: E402
from allkit.imaging.pixel_path import stack  # noqa: E402
from allkit.model.architecture import Architecture  # noqa: E402
from allkit.runs.run import Run  # noqa: E402
from allkit.runtime.inputs import expand  # noqa: E402
from allkit.training.architecture import statistics  # noqa: E402


def features(model: keras.Model, network: Architecture, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Features per image, float64 (n, d), by layer: channel means of the first map at each resolution, of the layer
    that export takes and of the last map, and also with their deviations and maxima; what the last layer reads; the
    probabilities."""
    outputs = {}
    for layer in candidates(model, network):
        maps = layer.output
        outputs[layer.name] = keras.ops.mean(maps, (1, 2))
        outputs[f"{layer.name}, mean, deviation, maximum"] = statistics(maps, (1, 2))
    outputs["what the last layer reads"] = model.get_layer("dropout").input
    outputs["probabilities"] = model.output
    tap = keras.Model(model.inputs, outputs)
    batches = [tap.predict_on_batch(pixels[i : i + 32]) for i in range(0, len(pixels), 32)]
    return {name: np.concatenate([batch[name] for batch in batches]).astype(np.float64) for name in outputs}


def candidates(model: keras.Model, network: Architecture) -> list[keras.Layer]:
    """Layers of different depth, input first."""
    found, side = [], model.inputs[0].shape[1] // network.patch_px
    for layer in model.layers:
        shape = getattr(layer.output, "shape", ())
        if len(shape) == 4 and (shape[1] < side or layer.name in (network.distance_layer, network.last_map)):
            found.append(layer)
            side = shape[1]
    return found


def mahalanobis(train: np.ndarray, labels: np.ndarray, classes: bool):
    """Squared distance to the nearest class mean (or to the mean) under the shared covariance (Lee et al. 2018)."""
    groups = [train[labels == k] for k in np.unique(labels)] if classes else [train]
    means = np.stack([group.mean(0) for group in groups])
    centred = np.concatenate([group - group.mean(0) for group in groups])
    covariance = centred.T @ centred / len(train)
    precision = np.linalg.pinv(covariance + 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))

    def distance(x: np.ndarray) -> np.ndarray:
        return np.min([np.einsum("ij,jk,ik->i", x - mean, precision, x - mean) for mean in means], axis=0)

    return distance


def main(run_folder: str, unfamiliar_folder: str) -> None:
    run = Run.open(run_folder)
    model, pixels = load_model(run), run.settings.pixels
    images = read(scan(run.settings.data), pixels)
    rows = {part: images.dataset.select(paths) for part, paths in run.split.parts.items()}
    network = run.settings.network
    known = features(model, network, images.pixels)
    other = features(
        model, network, stack([pixels.load(path) for path in expand([Path(unfamiliar_folder)])], pixels.size_px)
    )
    labels = images.dataset.labels[rows["train"]]
    scores = {"1 - largest probability": ("probabilities", lambda x: 1 - x.max(1))}
    for name in (name for name in known if name != "probabilities"):
        train = known[name][rows["train"]]
        scores[f"Mahalanobis to the class means, {name}"] = (name, mahalanobis(train, labels, classes=True))
        scores[f"Mahalanobis to the mean, {name}"] = (name, mahalanobis(train, labels, classes=False))
    table = {}
    for title, (name, score) in scores.items():
        validation, test = (score(known[name][rows[part]]) for part in ("validation", "test"))
        unfamiliar = score(other[name])
        truth = np.repeat([0, 1], [len(test), len(unfamiliar)])
        threshold = np.quantile(validation, 0.99)
        table[title] = {
            "auroc": round(float(roc_auc_score(truth, np.concatenate([test, unfamiliar]))), 5),
            "caught_at_99th_percentile": round(float((unfamiliar > threshold).mean()), 4),
            "test_marked": round(float((test > threshold).mean()), 4),
            "dimensions": known[name].shape[1],
        }
    record = {
        "command": "python benchmarks/familiarity.py RUN UNFAMILIAR_FOLDER",
        "model": run.settings.name,
        "split": run.split.summary(),
        "n": {"test": len(rows["test"]), "unfamiliar": len(other["probabilities"])},
        "scores": table,
    }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
