"""The effect of the final batch-normalisation statistics, by the share of unaugmented images they are computed from.

    python benchmarks/plain_statistics.py RUN [RUN ...] > benchmarks/results/plain_statistics.json

The network of each run is evaluated with the statistics in its file, and with those recomputed from training images of
which a share is unchanged and the rest augmented; the weights stay the same. Prints accuracy and mean cross-entropy, in
nats, on the validation part, unshifted and under every imaging shift, computed by Keras.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from allkit.training.backend import prepare

prepare()

import keras  # noqa: E402

from allkit.data.index import read, scan  # noqa: E402
from allkit.evaluation.shift_suite import UNSHIFTED  # noqa: E402
from allkit.exporting.prepare import load_model  # noqa: E402
from allkit.imaging.pixel_path import read_bytes, stack  # noqa: E402
from allkit.imaging.shifts import SHIFTS, Picture  # noqa: E402
from allkit.runs.run import Run  # noqa: E402
from allkit.training.batchnorm import recompute_batchnorm_statistics  # noqa: E402
from allkit.training.fit import predict  # noqa: E402

SHARES = (0.0, 0.5, 1.0)


def shifted(run: Run, root: Path, paths: list[str]) -> dict[str, np.ndarray]:
    """Pixels uint8 (n, S, S, 3) by shift; the reference of the colour transfer is the next image."""
    pixels = run.settings.pixels
    pictures = [Picture.read(read_bytes(root / path), pixels.jpeg_scale) for path in paths]
    pairs = list(zip(pictures, [*pictures[1:], pictures[0]], strict=True))
    made = {shift.name: [pixels.load(shift.apply(*pair)) for pair in pairs] for shift in SHIFTS}
    made[UNSHIFTED] = [pixels.load(root / path) for path in paths]
    return {name: stack(ones, pixels.size_px) for name, ones in made.items()}


def measured(model: keras.Model, variants: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, object]:
    right, loss = {}, {}
    for name, pixels in variants.items():
        probabilities = predict(model, pixels)
        right[name] = float((probabilities.argmax(1) == labels).mean())
        loss[name] = float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-7)).mean())
    plain, plain_loss = right.pop(UNSHIFTED), loss.pop(UNSHIFTED)
    worst = min(right, key=right.get)
    figures = {"accuracy": plain, "loss": plain_loss, "shifts_mean": float(np.mean(list(right.values())))}
    figures |= {"shifts_worst": right[worst], "shifts_loss": float(np.mean(list(loss.values())))}
    return {**{name: round(value, 4) for name, value in figures.items()}, "worst": worst}


def main(*folders: str) -> None:
    results = []
    for folder in folders:
        run = Run.open(folder)
        root = Path(run.settings.data)
        images = read(scan(root), run.settings.pixels)
        train = images.pixels[images.dataset.select(run.split.parts["train"])]
        labels = images.dataset.labels[images.dataset.select(run.split.parts["validation"])]
        variants = shifted(run, root, run.split.parts["validation"])
        model = load_model(run)
        found = {"as in the file": measured(model, variants, labels)}
        for share in SHARES:
            recipe = run.settings.recipe.override(plain_statistics=share)
            recompute_batchnorm_statistics(model, recipe, train, run.settings.seed)
            found[f"share {share:g}"] = measured(model, variants, labels)
            print(run.folder.name, share, found[f"share {share:g}"], file=sys.stderr)
        results.append({"run": run.folder.name, "n": len(labels), "statistics": found})
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
