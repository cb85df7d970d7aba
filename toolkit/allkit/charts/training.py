"""Figures 2 and 3 of the paper: learning curves and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from allkit.charts.chart import COLOURS, INK, Chart
from allkit.support.text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curves(history: Sequence[Mapping[str, float]]) -> Chart:
    """Loss and accuracy by epoch, training beside validation. history: as `Run.read_history`."""

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        epochs = [row["epoch"] for row in history]
        above, below = figure.subplots(2, 1, sharex=True)
        for axes, quantity, label in ((above, "accuracy", "accuracy"), (below, "loss", "cross-entropy, nats")):
            for name, prefix, colour in (
                ("training (augmented)", "", COLOURS[0]),
                ("validation", "validation_", COLOURS[1]),
            ):
                values = [row[f"{prefix}{quantity}"] for row in history]
                axes.plot(epochs, values, label=name, color=colour, marker=".", markersize=5)
            axes.set(ylabel=label)
        above.yaxis.set_major_formatter(PercentFormatter(1.0))
        above.legend(loc="lower right")
        below.set(xlabel="epoch", ylim=(0, None))
        below.xaxis.set_major_locator(MaxNLocator(integer=True))

    return Chart(draw, (6.0, 5.0))


def confusion(matrix: np.ndarray, classes: Sequence[str], title: str) -> Chart:
    """Counts (k, k), rows the truth and columns the prediction, with and shaded by their share of the row."""
    matrix = np.asarray(matrix)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = 2.0 + 0.9 * len(classes)

    def draw(figure: Figure) -> None:
        from matplotlib.colors import LinearSegmentedColormap

        axes = figure.add_subplot()
        axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("shares", ["#f3f5f8", COLOURS[0]]), vmin=0, vmax=1)
        for row, column in np.ndindex(matrix.shape):
            share = shares[row, column]
            words = f"{matrix[row, column]:,}\n{share:.1%}" if matrix[row, column] else "0"
            axes.text(column, row, words, ha="center", va="center", color="white" if share > 0.5 else INK)
        names, ticks = [visible(name) for name in classes], range(len(classes))
        axes.set_xticks(ticks, names, rotation=30 if max(map(len, names)) > 8 else 0)
        axes.set_yticks(ticks, names)
        axes.set(xlabel="predicted", ylabel="true class")
        axes.set_title(visible(title), wrap=True)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)

    return Chart(draw, (side, side))
