"""A benchmark as a picture in a file: against image size where there are several, else accuracy against latency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from allkit.benchmark.record.record import Figures, Record, figures, pareto, placed
from allkit.errors import AllkitError
from allkit.report.bench_charts import log_limits
from allkit.report.size_chart import draw, lines_of, several_sizes
from allkit.support.files import replacing
from allkit.support.text import drawn

_MARKERS = {"fp32": "o", "int8": "s", "fp16": "^"}


def check_plot(path: Path) -> None:
    """Raise AllkitError for a name that is no picture's, and where Matplotlib does not work."""
    if path.suffix.lower() not in (".svg", ".png"):
        raise AllkitError(f"cannot draw {path}: give a name that ends in .svg or .png")
    import allkit.support.pictures  # noqa: F401  what keeps Matplotlib from working shows here


def write_plot(record: Record, path: Path) -> None:
    """Write a .svg or .png; AllkitError without accuracies."""
    rows = placed(figures(record))
    if not rows:
        raise AllkitError("there is no accuracy to plot: give a labelled dataset with --data")
    if several_sizes(rows):
        draw(*lines_of(rows), path)
    else:
        _write_scatter(rows, path)


def _write_scatter(rows: Sequence[Figures], path: Path) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    from allkit.support.pictures import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(
        xscale="log", xlabel="median latency from file to result, ms", ylabel="accuracy, % (95 % interval)"
    )
    for row in rows:
        value, low, high = (100 * end for end in (row.accuracy.value, row.accuracy.low, row.accuracy.high))
        errors = np.array([[value - low], [high - value]])
        marker = _MARKERS.get(row.precision, "o")
        axes.errorbar(
            row.milliseconds, value, errors, marker=marker, capsize=3, label=drawn(row.model.removesuffix(".onnx"))
        )
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
    axes.set_xlim(log_limits(rows[0].milliseconds, rows[-1].milliseconds))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="lower right")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
