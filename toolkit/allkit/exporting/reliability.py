"""The reliability diagram: whether a probability of 0.9 is right nine times in ten."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from allkit.metrics import expected_calibration_error, reliability
from allkit.support.files import replacing
from allkit.support.pictures import Figure


def save_reliability(before: np.ndarray, after: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """Accuracy against confidence, before and after temperature scaling, as PNG.

    before, after: probabilities (n, k); labels: int (n,). The size of a dot is the share of the images in its bin.
    """
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    panels = (("before", before), ("after temperature scaling", after))
    for axes, (title, probabilities) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        bins = reliability(probabilities, labels)
        filled = np.asarray(bins.count) > 0
        count, confidence, accuracy = (
            np.asarray(column, np.float64)[filled] for column in (bins.count, bins.confidence, bins.accuracy)
        )
        axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="calibrated")
        axes.scatter(confidence, accuracy, s=20 + 600 * count / count.sum(), alpha=0.6)
        for x, y, n in zip(confidence, accuracy, count, strict=True):
            axes.annotate(f"{int(n)}", (x, y), ha="center", va="center", fontsize=7)
        error = expected_calibration_error(probabilities, labels)
        axes.set(title=f"{title}\nexpected calibration error {error:.3f}", xlabel="confidence", xlim=(0, 1.05))
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
    figure.axes[0].set(ylabel=f"accuracy, n = {len(labels)}", ylim=(0, 1.08))
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
