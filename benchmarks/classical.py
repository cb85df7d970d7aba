"""Classical methods on the images and splits of the networks, through scikit-learn.

    python benchmarks/classical.py ALL/ vgg16.weights.h5 OUT/

Writes OUT/METHOD-random.json and OUT/METHOD-grouped.json for each of

- vgg16-features: mean, standard deviation and maximum of each channel after block 3 of VGG16 with ImageNet weights at
  224 px, under logistic regression: nothing of the network is trained. `allkit train --architecture vgg16-block3
  --trainable-blocks 0` trains the same function by gradient descent;
- spca-sgd: supervised principal components, as in Mahdi et al. 2021: of pixel values and colour histogram those that
  tell the classes apart best, each alone, and the principal components of these (Bair et al. 2006,
  doi 10.1198/016214505000000628), under a linear classifier trained by stochastic gradient descent;
- colour-histogram: the nearest training image by its colours, which sees no shape.

Strength of regularisation and numbers of features and components are those that are best on the validation part; the
training part alone is fitted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_classif
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from allkit.data.baselines import nearest_labels
from allkit.data.index import BASELINE, Images, read, scan
from allkit.data.protocol import BLOCK_LENGTH, FOLDS, make_split
from allkit.data.split import Split
from allkit.imaging.pixel_path import PixelPath
from allkit.metrics import proportion
from allkit.metrics.classification import score
from allkit.support.files import replacing

VGG_PX, SPCA_PX = 224, 64
SEED = 0
# How each learns, the images it sees, and the numbers it keeps, given what was chosen.
FACTS = {
    "colour-histogram": {"training": "none", "size_px": VGG_PX},
    "spca-sgd": {"training": "scikit-learn", "size_px": SPCA_PX},
    "vgg16-features": {"training": "ImageNet weights, scikit-learn", "size_px": VGG_PX},
}
PARAMETERS = {
    "colour-histogram": lambda chosen: None,
    # Scaling, components and classifier are one affine map.
    "spca-sgd": lambda chosen: 4 * (chosen["select__k"] + 1),
    "vgg16-features": lambda chosen: 1_735_488 + 4 * (768 + 1),
}

VGG = Pipeline([("scale", StandardScaler()), ("classify", LogisticRegression(max_iter=5000))])
VGG_GRID = ParameterGrid({"classify__C": [0.003, 0.03, 0.3, 3.0]})
SPCA = Pipeline(
    [
        # Many colours occur nowhere.
        ("vary", VarianceThreshold()),
        ("select", SelectKBest(f_classif)),
        ("standardise", StandardScaler()),
        ("components", PCA(random_state=SEED)),
        ("scale", StandardScaler()),
        ("classify", SGDClassifier(loss="log_loss", random_state=SEED)),
    ]
)
SPCA_GRID = ParameterGrid(
    {"select__k": [100, 300, 1000, 4000], "components__n_components": [20, 60], "classify__alpha": [1e-3, 1e-2, 1e-1]}
)


def vgg16_features(pixels: np.ndarray, weights: Path) -> np.ndarray:
    """Pooled features float32 (n, 768) of uint8 images (n, S, S, 3)."""
    from allkit.training.backend import prepare

    prepare()
    import keras

    from allkit.runs.recipe import PAPER
    from allkit.runs.settings import Settings
    from allkit.training.train import build_model

    recipe = PAPER.override(weights=str(weights))
    model = build_model(Settings("vgg16-block3", PixelPath(pixels.shape[1]), 1.0, SEED, recipe, ("a", "b"), ""))
    return keras.Model(model.inputs, model.get_layer("statistics").output).predict(pixels, batch_size=16, verbose=2)


def splits(images: Images) -> Iterator[tuple[str, list[Split]]]:
    """The random split, and the five folds of the grouped one."""
    yield "random", [make_split(images, "random", SEED, 0, FOLDS, BLOCK_LENGTH, None)]
    yield "grouped", [make_split(images, "grouped", SEED, fold, 5, BLOCK_LENGTH, None) for fold in range(5)]


Fitted = tuple[np.ndarray, dict[str, Any]]


def best(
    pipeline: Pipeline, grid: ParameterGrid, features: np.ndarray, labels: np.ndarray
) -> Callable[[dict[str, np.ndarray]], Fitted]:
    """A function of the rows of each part: probabilities of the test part by the model that is best on validation."""

    def fit(rows: dict[str, np.ndarray]) -> Fitted:
        def accuracy(model: ClassifierMixin) -> float:
            return model.score(features[rows["validation"]], labels[rows["validation"]])

        fitted = [
            clone(pipeline).set_params(**chosen).fit(features[rows["train"]], labels[rows["train"]]) for chosen in grid
        ]
        place = int(np.argmax([accuracy(model) for model in fitted]))
        return fitted[place].predict_proba(features[rows["test"]]), list(grid)[place]

    return fit


def record(
    method: str, images: Images, parts: list[Split], fit: Callable[[dict[str, np.ndarray]], Fitted]
) -> dict[str, Any]:
    """Metrics, predictions and chosen parameters of a method on one split, or on the pooled folds of one."""
    dataset = images.dataset
    labels, paths, shares, chosen, told = [], [], [], [], []
    for split in parts:
        rows = {name: dataset.select(of) for name, of in split.parts.items()}
        probabilities, parameters = fit(rows)
        paths += split.parts["test"]
        labels.append(dataset.labels[rows["test"]])
        shares.append(probabilities)
        chosen.append(parameters)
        told.append(images.baseline_right(split.parts["train"], split.parts["test"]))
    truth, probabilities, right = np.concatenate(labels), np.concatenate(shares), np.concatenate(told)
    # Groups are numbered alike in all folds.
    groups = [parts[0].groups[path] for path in paths]
    return {
        "schema_version": 1,
        "method": method,
        **FACTS[method],
        "parameters": PARAMETERS[method](chosen[0]),
        "command": "python benchmarks/classical.py ALL/ WEIGHTS OUT/",
        "chosen": chosen,
        "split": {"protocol": parts[0].summary()["protocol"]},
        "folds": [{"n": {"test": len(split.parts["test"])}, "hash": split.summary()["hash"]} for split in parts],
        "scores": score(truth, probabilities, dataset.classes, groups).to_dict(),
        "baseline": {"method": BASELINE, **asdict(proportion(right, groups))},
        "predictions": {
            "path": paths,
            "group": groups,
            "truth": truth.tolist(),
            "predicted": probabilities.argmax(1).tolist(),
        },
    }


def main(data: Path, weights: Path, out: Path) -> None:
    images = read(scan(data), PixelPath(VGG_PX))
    labels = images.dataset.labels
    small = read(scan(data), PixelPath(SPCA_PX)).pixels.reshape(len(labels), -1)
    values = np.concatenate([small, images.colour_histograms], axis=1, dtype=np.float32)

    def nearest(rows: dict[str, np.ndarray]) -> Fitted:
        found = nearest_labels(images.colour_histograms, labels, rows["train"], rows["test"])
        return np.eye(len(images.dataset.classes))[found], {}

    methods = {
        "colour-histogram": nearest,
        "spca-sgd": best(SPCA, SPCA_GRID, values, labels),
        "vgg16-features": best(VGG, VGG_GRID, vgg16_features(images.pixels, weights), labels),
    }
    out.mkdir(parents=True, exist_ok=True)
    for protocol, parts in splits(images):
        for method, fit in methods.items():
            found = record(method, images, parts, fit)
            accuracy = found["scores"]["accuracy"]
            print(f"{method}, {protocol}: {100 * accuracy['value']:.2f} %", found["chosen"], file=sys.stderr)
            with replacing(out / f"{method}-{protocol}.json") as path:
                path.write_text(json.dumps(found, separators=(",", ":")))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
