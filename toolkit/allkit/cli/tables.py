"""Readable tables of metrics on stdout."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from allkit.metrics import Metrics
from allkit.stats import Interval


def with_interval(share: Interval | None) -> str:
    """A share with its 95 % interval in percent, as in `96.59 % [94.00, 98.08]`; - where it is undefined."""
    if share is None:
        return "-"
    return f"{100 * share.value:.2f} % [{100 * share.low:.2f}, {100 * share.high:.2f}]"


def print_metrics(metrics: Metrics, title: str) -> None:
    """The paper's metrics, the figures of each class and the confusion matrix."""
    console = Console(highlight=False)
    console.print(f"\n[bold]{title}[/], n = {metrics.n}")
    whole = Table(show_header=False, box=None)
    whole.add_row("accuracy", f"{with_interval(metrics.accuracy)} (95 % Wilson interval)")
    for name, value in (
        ("precision", metrics.precision),
        ("recall", metrics.recall),
        ("F1", metrics.f1),
        ("MCC", metrics.mcc),
    ):
        whole.add_row(name, f"{100 * value:.2f} %" + ("" if name == "MCC" else " (weighted by class size)"))
    console.print(whole)

    classes = Table(title="by class")
    for column in ("class", "precision", "recall", "F1", "images"):
        classes.add_column(column, justify="left" if column == "class" else "right")
    for name, row in metrics.per_class.items():
        classes.add_row(
            name, with_interval(row.precision), with_interval(row.recall), f"{100 * row.f1:.2f} %", str(row.support)
        )
    console.print(classes)

    names = list(metrics.per_class)
    confusion = Table(title="confusion matrix: rows are the truth, columns the prediction")
    confusion.add_column("")
    for name in names:
        confusion.add_column(name, justify="right")
    for name, counts in zip(names, metrics.confusion, strict=True):
        confusion.add_row(name, *map(str, counts))
    console.print(confusion)
