"""Charts of a benchmark: a network of one width has one colour, a precision one mark, in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from allkit.benchmark.record.record import Figures, Record, figures, pareto, placed
from allkit.charts.chart import BACKGROUND, COLOURS, INK, SOFT, Chart, check_matplotlib
from allkit.errors import AllkitError
from allkit.metrics import Interval, wilson
from allkit.report.paper import TABLE_1, TEST_IMAGES
from allkit.support.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

PAPER = "Najjar et al. 2025, random split"
_MARKERS = {"fp32": "o", "int8": "s", "fp16": "^"}
_STYLES = {"fp32": "-", "int8": "--", "fp16": ":"}
# Intervals at the same image size stand side by side, this many pixels of image size apart.
_STEP_PX = 2.5
# Queries beyond these percentiles are dots of their own.
_WHISKERS = (1, 99)


@dataclass(frozen=True)
class Line:
    """A named series. points: x to a value, or to a share with its interval. marker, style: of Matplotlib."""

    name: str
    points: Mapping[float, float | Interval]
    colour: str
    marker: str = "o"
    style: str = "-"


def check_plot(path: Path) -> None:
    """Raise AllkitError for a name that is no picture's, and without Matplotlib."""
    if path.suffix.lower() not in (".svg", ".png"):
        raise AllkitError(f"cannot draw {path}: give a name that ends in .svg or .png")
    check_matplotlib()


def write_plot(record: Record, path: Path) -> None:
    """Write the chart of a benchmark as .svg or .png: against image size where there are several, else the front.

    Raises AllkitError without accuracies.
    """
    rows = placed(figures(record))
    if not rows:
        raise AllkitError("there is no accuracy to plot: give a labelled dataset with --data")
    chart = against_size(*lines_of(rows)) if len({row.size_px for row in rows}) > 1 else front(rows)
    chart.save(path)


def front(rows: Sequence[Figures]) -> Chart:
    """Accuracy with its interval against latency, and the Pareto front. rows: those that have both."""
    on_front = pareto(rows)
    best = [row for row in placed(rows) if row.model in on_front]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(xscale="log", xlabel="ms per image, from file to result (median)", ylabel="accuracy")
        for (network, precision), own in _families(rows).items():
            values = [row.accuracy for row in own]
            axes.errorbar(
                [row.milliseconds for row in own],
                [one.value for one in values],
                _errors(values),
                color=_colour(network, rows),
                marker=_MARKERS.get(precision, "D"),
                linestyle="none",
                elinewidth=1,
                label=f"{network} {precision}",
            )
        for row in rows:
            name_point(axes, f"{row.size_px}", (row.milliseconds, row.accuracy.value), (5, -3))
        draw_front(axes, [(row.milliseconds, row.accuracy.value) for row in best])
        logarithmic(axes.xaxis)
        axes.margins(x=0.12)
        percentages(axes.yaxis)
        _legend(axes)

    return Chart(draw)


def name_point(axes: Axes, text: str, point: tuple[float, float], offset: tuple[float, float]) -> None:
    """Write beside a point what it is, so many typographic points away."""
    axes.annotate(
        text,
        point,
        xytext=offset,
        textcoords="offset points",
        fontsize="small",
        bbox={"facecolor": BACKGROUND, "edgecolor": "none", "pad": 0.5, "alpha": 0.7},
    )


def draw_front(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """The Pareto front through (milliseconds, accuracy), fastest first."""
    # Between two models one pays for the slower and has the accuracy of the faster.
    axes.step(
        [milliseconds for milliseconds, _ in points],
        [accuracy for _, accuracy in points],
        where="post",
        color=SOFT,
        linestyle="--",
        linewidth=1,
        zorder=0,
        label="Pareto front",
    )


def lines_of(rows: Sequence[Figures]) -> tuple[list[Line], list[Line]]:
    """Accuracies, after those of the paper, and median latencies in ms of the models alone, by image size."""
    rows = [row for row in placed(rows) if row.model_ms[50]]
    accuracies, latencies = [paper_line()], []
    for (network, precision), own in _families(rows).items():
        look = (_colour(network, rows), _MARKERS.get(precision, "D"), _STYLES.get(precision, "-."))
        name = f"{network} {precision}"
        accuracies.append(Line(name, {row.size_px: row.accuracy for row in own}, *look))
        latencies.append(Line(name, {row.size_px: row.model_ms[50] for row in own}, *look))
    return accuracies, latencies


def paper_line() -> Line:
    """Table 1 of the paper, with Wilson's intervals for about a tenth of its images."""
    shares = {size: wilson(round(accuracy / 100 * TEST_IMAGES), TEST_IMAGES) for size, _, accuracy in TABLE_1}
    points = {size: Interval(a / 100, shares[size].low, shares[size].high) for size, _, a in TABLE_1}
    return Line(PAPER, points, INK, "D", "-")


def against_size(accuracies: Sequence[Line], latencies: Sequence[Line]) -> Chart:
    """Accuracy above, latency below, image size across."""
    sizes = sorted({size for line in (*accuracies, *latencies) for size in line.points})

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        for place, line in enumerate(accuracies):
            _draw(above, line, (place - (len(accuracies) - 1) / 2) * _STEP_PX)
        above.set(ylabel="accuracy")
        percentages(above.yaxis)
        _legend(above)
        for line in latencies:
            _draw(below, line)
        below.set(yscale="log", ylabel="median ms", xlabel="image size, px")
        logarithmic(below.yaxis)
        below.set_xticks(sizes, [str(size) for size in sizes])
        below.minorticks_off()
        _legend(below)

    return Chart(draw, (6.0, 6.0))


def throughput(rows: Sequence[Figures]) -> Chart | None:
    """Images a second against batch size; None where no model was measured at several."""
    rows = [row for row in rows if len(row.images_per_s) > 1]
    if not rows:
        return None
    batches = sorted({batch for row in rows for batch in row.images_per_s})

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(
            xscale="log", xlabel="images per inference call", ylabel="images/s, from file to result"
        )
        for row in rows:
            look = (_colour(row.network, rows), _MARKERS.get(row.precision, "D"), _STYLES.get(row.precision, "-."))
            _draw(axes, Line(row.model.removesuffix(".onnx"), row.images_per_s, *look))
        axes.set_xticks(batches, [str(batch) for batch in batches])
        axes.minorticks_off()
        axes.set_ylim(0, None)
        _legend(axes)

    return Chart(draw, (6.0, 4.2))


def latencies(milliseconds: Mapping[str, Sequence[float]]) -> Chart:
    """How the latencies of single images are distributed, by model: a box from quartile to quartile."""
    names = [visible(name) for name in reversed(milliseconds)]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(xscale="log", xlabel="ms per image, from file to result")
        line = {"color": COLOURS[0], "linewidth": 1}
        axes.boxplot(
            list(reversed(milliseconds.values())),
            orientation="horizontal",
            tick_labels=names,
            whis=_WHISKERS,
            widths=0.5,
            boxprops=line,
            whiskerprops=line,
            capprops=line,
            medianprops={"color": COLOURS[1], "linewidth": 2},
            flierprops={"marker": ".", "markersize": 3, "markeredgecolor": COLOURS[0]},
        )
        axes.grid(visible=False, axis="y")
        logarithmic(axes.xaxis)

    return Chart(draw, (6.0, 1.0 + 0.35 * len(names)))


def _networks(rows: Sequence[Figures]) -> list[str]:
    """The networks of some rows by architecture, the widest first."""
    ordered = sorted(rows, key=lambda row: (row.architecture or "", -(row.width or 0)))
    return list(dict.fromkeys(row.network for row in ordered))


def _families(rows: Sequence[Figures]) -> dict[tuple[str, str], list[Figures]]:
    """The rows of each network and precision, each from the smallest images to the largest."""
    precisions = sorted({row.precision for row in rows})
    kinds = [(network, precision) for network in _networks(rows) for precision in precisions]
    ordered = sorted(rows, key=lambda row: row.size_px)
    found = {kind: [row for row in ordered if (row.network, row.precision) == kind] for kind in kinds}
    return {kind: own for kind, own in found.items() if own}


def _colour(network: str, rows: Sequence[Figures]) -> str:
    return COLOURS[_networks(rows).index(network) % len(COLOURS)]


def _draw(axes: Axes, line: Line, offset: float = 0.0) -> None:
    places = np.array(sorted(line.points))
    found = [line.points[place] for place in places.tolist()]
    shares = isinstance(found[0], Interval)
    axes.errorbar(
        places + offset,
        [one.value for one in found] if shares else found,
        _errors(found) if shares else None,
        color=line.colour,
        marker=line.marker,
        linestyle=line.style,
        label=visible(line.name),
        markersize=5,
        elinewidth=1,
        linewidth=1.4,
    )


def _errors(shares: Sequence[Interval]) -> np.ndarray:
    return np.array([(one.value - one.low, one.high - one.value) for one in shares]).T


def percentages(axis: Axis) -> None:
    """Shares are told in per cent."""
    axis.set_major_formatter(lambda share, _: f"{100 * share:g} %")


def logarithmic(axis: Axis) -> None:
    """Marks at 1, 2 and 5 of each power of ten."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _legend(axes: Axes) -> None:
    """Above the chart, where it covers no mark."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0.2)
