"""Figures 2 and 3 of the paper for one run: learning curves and confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from allkit.runs.history import Epoch
from allkit.support.files import replacing
from allkit.support.pictures import Figure
from allkit.support.text import drawn


def save_curves(history: Sequence[Epoch], path: Path) -> None:
    """Loss and accuracy by epoch, training beside validation, as PNG."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = [row.epoch for row in history]
    panels = (("loss", "cross-entropy (nats)"), ("accuracy", "accuracy"))
    for axes, (quantity, label) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.plot(epochs, [getattr(row, quantity) for row in history], label="training (augmented)", marker=".")
        axes.plot(epochs, [getattr(row, f"validation_{quantity}") for row in history], label="validation", marker=".")
        axes.set(xlabel="epoch", ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, path)


def save_confusion(matrix: np.ndarray, classes: Sequence[str], title: str, path: Path) -> None:
    """Counts (k, k), rows the truth and columns the prediction, shaded by the share of the row, as PNG."""
    matrix = np.asarray(matrix)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = 2.2 + 0.8 * len(classes)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(matrix.shape):
        dark = shares[row, column] > 0.5
        axes.text(column, row, matrix[row, column], ha="center", va="center", color="white" if dark else "black")
    ticks, classes = range(len(classes)), [drawn(name) for name in classes]
    axes.set_xticks(ticks, classes, rotation=30, ha="right")
    axes.set_yticks(ticks, classes)
    axes.set(xlabel="predicted", ylabel="truth", title=drawn(title))
    figure.colorbar(image, label="share of the class", shrink=0.8)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
