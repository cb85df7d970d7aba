"""The reliability diagram: whether a probability of 0.9 is right nine times in ten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from allkit.charts.chart import COLOURS, SOFT, Chart
from allkit.metrics import expected_calibration_error, reliability

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability_diagram(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> Chart:
    """Accuracy against confidence, before and after temperature scaling, above the number of images in each bin.

    before, after: probabilities (n, k); labels: int (n,).
    """

    def draw(figure: Figure) -> None:
        panels = (("before", before), ("after temperature scaling", after))
        (above, below) = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 1))
        for upper, lower, (title, probabilities) in zip(above, below, panels, strict=True):
            bins = reliability(probabilities, labels)
            filled = np.asarray(bins.count) > 0
            count, confidence, accuracy = (
                np.asarray(column, np.float64)[filled] for column in (bins.count, bins.confidence, bins.accuracy)
            )
            upper.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1, label="calibrated")
            upper.plot(
                confidence, accuracy, color=COLOURS[0], marker="o", markersize=5, linestyle="none", label="measured"
            )
            lower.bar(confidence, count, width=0.03, color=COLOURS[0])
            error = expected_calibration_error(probabilities, labels)
            upper.set_title(f"{title}\nexpected calibration error {error:.3f}")
            upper.set(xlim=(0, 1.03), ylim=(0, 1.05))
            lower.set(xlabel="confidence", yscale="log")
            lower.yaxis.set_major_formatter("{x:g}")
        above[0].set(ylabel="accuracy")
        above[0].legend(loc="upper left")
        below[0].set(ylabel="images")

    return Chart(draw, (7.2, 5.0))
