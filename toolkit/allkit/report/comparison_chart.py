"""Methods side by side: accuracy against latency, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from allkit.charts.chart import COLOURS, Chart
from allkit.report.bench_charts import draw_front, logarithmic, name_point, percentages
from allkit.report.comparison import ComparisonRecord, MethodRecord, fastest, percent
from allkit.report.html import inline

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def comparison_chart(record: ComparisonRecord) -> Any:
    """The chart as HTML; None where no method has both an accuracy on all grouped folds and a latency."""
    placed = [method for method in record.methods if method.grouped and method.speed]
    if not placed:
        return None
    words = "; ".join(f"{m.title} {fastest(m).end_to_end_ms:.2f} ms, {percent(m.grouped)}" for m in placed)
    return inline(_front(placed, record.front), "Accuracy on grouped folds and latency", words)


def _front(methods: Sequence[MethodRecord], best: Sequence[str]) -> Chart:
    front = sorted((m for m in methods if m.name in best), key=lambda m: fastest(m).end_to_end_ms)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(
            xscale="log", xlabel="ms per image, from file to result (median)", ylabel="accuracy on grouped folds"
        )
        for method in methods:
            ms, share = fastest(method).end_to_end_ms, method.grouped.accuracy
            axes.errorbar(
                [ms],
                [share.value],
                [[share.value - share.low], [share.high - share.value]],
                color=COLOURS[0 if method in front else 1],
                marker="o",
                elinewidth=1,
            )
            name_point(axes, method.title, (ms, share.value), (5, 4))
        draw_front(axes, [(fastest(method).end_to_end_ms, method.grouped.accuracy.value) for method in front])
        logarithmic(axes.xaxis)
        axes.margins(x=0.2)
        percentages(axes.yaxis)

    return Chart(draw)
