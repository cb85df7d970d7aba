"""Readable tables of metrics on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from allkit.cli.console import PlainConsole
from allkit.data.index import BASELINE

if TYPE_CHECKING:
    # scikit-learn takes seconds to load, and `allkit train --help` needs none of it.
    from allkit.metrics import Interval
    from allkit.metrics.classification import Metrics


def with_interval(share: Interval | None, digits: int = 1) -> str:
    """The share in percent with its interval; - where it is undefined."""
    return "-" if share is None else share.percent(digits)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def print_metrics(metrics: Metrics, title: str, baseline: Interval, method: str = BASELINE) -> None:
    """The paper's metrics beside the baseline, the figures of each class and the confusion matrix.

    baseline: the accuracy of `method`, which sees no shape, on the same images.
    """
    console = PlainConsole()
    console.print(f"\n{title}, n = {metrics.n}", style="bold")
    whole = Table(show_header=False, box=None)
    over = f" over {metrics.groups:,} groups" if metrics.groups else ", which takes images for independent"
    whole.add_row("accuracy", f"{with_interval(metrics.accuracy, 2)} (95 % Wilson interval{over})")
    whole.add_row("baseline", f"{with_interval(baseline, 2)} ({method}, no shape seen)")
    for name, value, average in (
        ("precision", metrics.precision, "weighted by class size"),
        ("recall", metrics.recall, "weighted by class size"),
        ("F1", metrics.f1, "weighted by class size"),
        ("MCC", metrics.mcc, ""),
        ("balanced accuracy", metrics.balanced_accuracy, "mean of the classes"),
        ("AUROC", metrics.auroc, "one against the rest, mean of the classes"),
    ):
        if value is None:
            continue
        spread = metrics.intervals.get(name.lower().replace(" ", "_"))
        shown = with_interval(spread, 2) if spread else f"{100 * value:.2f} %"
        notes = "; ".join(filter(None, (average, "95 % bootstrap over groups" if spread else "")))
        whole.add_row(name, f"{shown} ({notes})" if notes else shown)
    if screening := metrics.malignant_vs_benign:
        whole.add_row("sensitivity", f"{with_interval(screening.sensitivity, 2)} (malignant against benign)")
        whole.add_row("specificity", f"{with_interval(screening.specificity, 2)} (malignant against benign)")
    console.print(whole)

    classes = Table(title="by class")
    for column in ("class", "precision", "recall", "F1", "AUROC", "images"):
        classes.add_column(column, justify="left" if column == "class" else "right")
    for name, row in metrics.per_class.items():
        auroc = "-" if row.auroc is None else f"{100 * row.auroc:.1f}"
        shares = (with_interval(row.precision), with_interval(row.recall))
        classes.add_row(name, *shares, _percent(row.f1), auroc, str(row.support))
    macro = metrics.macro
    means = map(_percent, (macro.precision, macro.recall, macro.f1))
    classes.add_section()
    classes.add_row("mean", *means, "", str(metrics.n))
    console.print(classes)

    names = list(metrics.per_class)
    confusion = Table(title="confusion matrix: rows are the truth, columns the prediction")
    confusion.add_column("")
    for name in names:
        confusion.add_column(name, justify="right")
    for name, counts in zip(names, metrics.confusion, strict=True):
        confusion.add_row(name, *map(str, counts))
    console.print(confusion)
