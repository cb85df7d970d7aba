"""Accuracy and latency against image size, one line per network and precision, with the paper's points drawn in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from allkit.benchmark.record.record import Figures, placed
from allkit.metrics import Interval, wilson
from allkit.report.paper import TABLE_1, TEST_IMAGES
from allkit.support.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER = "Najjar et al. 2025, random split"
_MARKERS = {"fp32": "o", "int8": "s", "fp16": "^"}
_LINES = {"fp32": "-", "int8": "--", "fp16": ":"}
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
# Half a marker, in pixels of image size: intervals of the same size stand side by side.
_STEP_PX = 2.5


@dataclass(frozen=True)
class Line:
    """One line. points: image size in pixels to a value, or to a share with its interval. style: of Matplotlib."""

    name: str
    points: Mapping[int, float | Interval]
    colour: str
    marker: str = "o"
    style: str = "-"


def several_sizes(rows: Sequence[Figures]) -> bool:
    """Whether there is something to draw against image size."""
    return len({row.size_px for row in placed(rows)}) > 1


def lines_of(rows: Sequence[Figures]) -> tuple[list[Line], list[Line]]:
    """Accuracies, after those of the paper, and median latencies in ms of the models of a benchmark."""
    shown = [row for row in placed(rows) if row.model_ms[50]]
    widths = sorted({row.width for row in shown}, reverse=True)
    accuracies, latencies = [paper_line()], []
    for width, precision in sorted({(row.width, row.precision) for row in shown}, key=lambda kind: (-kind[0], kind[1])):
        own = sorted(
            (row for row in shown if (row.width, row.precision) == (width, precision)), key=lambda row: row.size_px
        )
        look = (
            _COLOURS[widths.index(width) % len(_COLOURS)],
            _MARKERS.get(precision, "D"),
            _LINES.get(precision, "-."),
        )
        name = f"x{width:g} {precision}"
        accuracies.append(Line(name, {row.size_px: row.accuracy for row in own}, *look))
        latencies.append(Line(name, {row.size_px: row.model_ms[50] for row in own}, *look))
    return accuracies, latencies


def paper_line() -> Line:
    """Table 1 of the paper, with Wilson's intervals for about a tenth of its images."""
    shares = {size: wilson(round(accuracy / 100 * TEST_IMAGES), TEST_IMAGES) for size, _, accuracy in TABLE_1}
    points = {size: Interval(a / 100, shares[size].low, shares[size].high) for size, _, a in TABLE_1}
    return Line(PAPER, points, "black", "D", "-")


def draw(accuracies: Sequence[Line], latencies: Sequence[Line], path: Path, note: str = "") -> None:
    """Write a .svg, with text as text, or a .png: accuracy above, latency below, image size across."""
    from matplotlib import rc_context
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    from allkit.support.pictures import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    sizes = sorted({size for line in (*accuracies, *latencies) for size in line.points})
    for place, line in enumerate(accuracies):
        _draw_line(above, line, (place - (len(accuracies) - 1) / 2) * _STEP_PX)
    above.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    above.set(ylabel="accuracy, 95 % interval")
    above.legend(fontsize="small", ncols=2, loc="lower right")
    for line in latencies:
        _draw_line(below, line, 0.0)
    below.set(yscale="log", ylabel="median latency, ms", xlabel="image size, px")
    below.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    below.yaxis.set_major_formatter("{x:g}")
    below.yaxis.set_minor_locator(NullLocator())
    below.set_xticks(sizes, [str(size) for size in sizes])
    below.xaxis.set_minor_locator(NullLocator())
    below.legend(fontsize="small", ncols=2)
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    if note:
        figure.supxlabel(note, fontsize="x-small", color="dimgrey")
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "allkit"}), replacing(path) as temporary:
        figure.savefig(temporary, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_line(axes: Axes, line: Line, offset: float) -> None:
    sizes = np.array(sorted(line.points))
    found = [line.points[size] for size in sizes.tolist()]
    look = {"color": line.colour, "marker": line.marker, "linestyle": line.style, "label": line.name, "markersize": 5}
    if not isinstance(found[0], Interval):
        axes.plot(sizes, found, **look)
        return
    values = np.array([(one.value, one.low, one.high) for one in found])
    errors = np.abs(values[:, 1:] - values[:, :1]).T
    axes.errorbar(sizes + offset, values[:, 0], errors, capsize=2, elinewidth=1, linewidth=1.4, **look)
