"""A report as one HTML page and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allkit.benchmark.record.record import by_size
from allkit.charts.training import learning_curves
from allkit.metrics import Interval
from allkit.report.bench_page import size_chart
from allkit.report.comparison import ComparisonRecord, by_accuracy, percent
from allkit.report.comparison_chart import comparison_chart
from allkit.report.html import Verdict, as_figure, inline, render
from allkit.report.sources import Sources, Training
from allkit.report.tables import tables

_HONESTY = (
    "For research; not for diagnosis. A figure measured on one public dataset says how well a model fits that dataset; "
    "it is no evidence of clinical value."
)
_PAPER = (
    "The paper: Najjar et al. 2025, Acute Lymphoblastic Leukemia Classification Using Modified VGG16 Architecture, "
    "Iraqi Journal of Science."
)


def as_markdown(sources: Sources, title: str, notes: Sequence[str] = ()) -> str:
    """The tables, for a README or a repository. notes: paragraphs that end it."""
    lines = [f"# {title}", "", _HONESTY, ""]
    for table in tables(sources):
        lines += [f"## {table.title}", "", *table.markdown, ""]
    return "\n".join([*lines, *(line for words in (*notes, _PAPER) for line in (words, ""))])


def as_html(sources: Sources, title: str, notes: Sequence[str] = ()) -> str:
    """The tables, and Figures 2 and 3 of the paper: learning curves and confusion matrices. notes: as in Markdown."""
    rows = by_size([row for row, _ in sources.measured])
    return render(
        "results.html.j2",
        title=title,
        summary=_verdict(sources),
        tables=tables(sources),
        sizes=size_chart(rows),
        comparisons=[chart for chart in map(comparison_chart, sources.comparisons) if chart],
        trainings=[_figures(training) for training in sources.trainings],
        notes=[*notes, _PAPER],
    )


def _verdict(sources: Sources) -> Verdict:
    """The most accurate of what is shown, beside the baseline that sees no shapes."""
    found = [
        (training.name, training.record["metrics"], training.record["baseline"]["value"])
        for training in sources.trainings
    ]
    found += [
        (model.name, model.evaluation["metrics"], model.evaluation["baseline"]["value"])
        for model in sources.models
        if model.evaluation
    ]
    if not found:
        return Verdict((), " ".join(filter(None, [*map(_most_accurate, sources.comparisons), _HONESTY])))
    name, metrics, baseline = max(found, key=lambda one: one[1]["accuracy"]["value"])
    accuracy = Interval(**metrics["accuracy"])
    return Verdict(
        (
            as_figure(accuracy),
            (f"{100 * baseline:.1f} %", "nearest colour histogram, which sees no shapes"),
            (f"{metrics['n']:,}", "test images"),
        ),
        f"The most accurate here: {name}. {_HONESTY}",
    )


def _most_accurate(comparison: ComparisonRecord) -> str:
    best = by_accuracy(comparison.methods)[0]
    return f"The most accurate on grouped folds: {best.title}, {percent(best.grouped)}." if best.grouped else ""


def _figures(training: Training) -> dict[str, Any]:
    metrics = training.record["metrics"]
    if not training.history:
        return {"name": training.name, "curves": None, "words": "", "metrics": metrics}
    last = training.history[-1]
    words = (
        f"Accuracy and loss by epoch: after {last['epoch']:.0f} epochs training {last['accuracy']:.2%}, validation "
        f"{last['validation_accuracy']:.2%}."
    )
    curves = inline(learning_curves(training.history), "Learning curves", words)
    return {"name": training.name, "curves": curves, "words": words, "metrics": metrics}
