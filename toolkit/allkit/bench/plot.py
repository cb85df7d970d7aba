"""The scatter of accuracy and latency as a picture in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from allkit.bench.record import Record, figures, pareto, placed
from allkit.errors import AllkitError
from allkit.files import replacing

_MARKERS = {"fp32": "o", "int8": "s", "fp16": "^"}


def write_scatter(record: Record, path: Path) -> None:
    """Write a .svg or .png; AllkitError without accuracies, or without Matplotlib."""
    rows = placed(figures(record))
    if not rows:
        raise AllkitError("there is no accuracy to plot: give a labelled dataset with --data")
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullLocator
    except ImportError as error:
        raise AllkitError('pictures need Matplotlib: pip install "allkit[train]", or take --report') from error
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(
        xscale="log", xlabel="median latency from file to result, ms", ylabel="accuracy, % (95 % interval)"
    )
    for row in rows:
        value, low, high = (100 * end for end in (row.accuracy.value, row.accuracy.low, row.accuracy.high))
        errors = np.array([[value - low], [high - value]])
        marker = _MARKERS.get(row.precision, "o")
        axes.errorbar(row.milliseconds, value, errors, marker=marker, capsize=3, label=row.model.removesuffix(".onnx"))
    best = pareto(rows)
    front = [row for row in rows if row.model in best]
    axes.step(
        [row.milliseconds for row in front],
        [100 * row.accuracy.value for row in front],
        where="post",
        color="grey",
        linestyle="--",
        zorder=0,
        label="Pareto front",
    )
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="lower right")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
