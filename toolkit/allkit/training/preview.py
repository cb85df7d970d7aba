"""What a recipe makes of the images: a picture to look at before hours of training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from allkit.charts.chart import Chart
from allkit.data.index import Dataset, read, scan
from allkit.support.extras import require
from allkit.support.text import visible
from allkit.training.augment import augmented_batch
from allkit.training.options import TrainOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PER_CLASS, _EPOCHS = 2, 7
_TILE_INCHES = 1.1


def save_preview(options: TrainOptions, path: Path) -> None:
    """Write a PNG with two images of each class, as they are read and as the first seven epochs would see them.

    Raises AllkitError without the extra `train`, and for a folder of images that cannot be read (`scan`, `read`).
    """
    require("train")
    images = read(_some_of_each_class(scan(options.data)), options.pixels)
    rows = np.arange(len(images.pixels))
    columns = [images.pixels]
    columns += [
        augmented_batch(images.pixels, rows, options.recipe, options.seed, 1 + epoch) for epoch in range(_EPOCHS)
    ]

    def draw(figure: Figure) -> None:
        tiles = figure.subplots(len(rows), len(columns), squeeze=False)
        for row, column in np.ndindex(tiles.shape):
            tiles[row, column].imshow(columns[column][row])
            tiles[row, column].set(xticks=[], yticks=[])
        for row, label in enumerate(images.dataset.labels):
            tiles[row, 0].set_ylabel(visible(images.dataset.classes[label]))
        for column, axes in enumerate(tiles[0]):
            axes.set_title(f"epoch {column}" if column else "as read")

    Chart(draw, (_TILE_INCHES * len(columns), _TILE_INCHES * len(rows))).save(path)


def _some_of_each_class(dataset: Dataset) -> Dataset:
    """Images from the middle of each class, where neither end of a series is."""
    rows = []
    for label in range(len(dataset.classes)):
        of_class = np.flatnonzero(dataset.labels == label)
        places = np.linspace(0, len(of_class) - 1, min(_PER_CLASS, len(of_class)) + 2)[1:-1]
        rows += np.unique(of_class[np.rint(places).astype(int)]).tolist()
    return Dataset(dataset.root, dataset.classes, tuple(dataset.paths[row] for row in rows), dataset.labels[rows])
