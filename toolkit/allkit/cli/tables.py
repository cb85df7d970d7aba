"""Readable tables of metrics on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from allkit.cli.console import PlainConsole
from allkit.data.index import BASELINE

if TYPE_CHECKING:
    # scikit-learn takes seconds to load, and `allkit train --help` needs none of it.
    from allkit.metrics import Interval
    from allkit.metrics.classification import Metrics


# How tables look: narrow enough that figures with intervals fit 80 columns.
PLAIN = {"box": SIMPLE_HEAD, "pad_edge": False, "title_justify": "left"}


def print_metrics(metrics: Metrics, title: str, baseline: Interval, method: str = BASELINE) -> None:
    """The paper's metrics beside the baseline, the figures of each class and the confusion matrix.

    baseline: the accuracy of `method`, which sees no shapes, on the same images.
    """
    from allkit.metrics.text import BY_CLASS, about, by_class, overall

    console = PlainConsole()
    console.print(f"\n{title}, n = {metrics.n}", style="bold")
    whole = Table(show_header=False, box=None)
    for row in overall(metrics, baseline, method):
        whole.add_row(*row)
    console.print(whole)
    console.print(about(metrics), style="dim")

    classes = Table(title="\nby class", **PLAIN)
    for column in BY_CLASS:
        classes.add_column(column, justify="left" if column == "class" else "right")
    *rows, mean = by_class(metrics)
    for row in rows:
        classes.add_row(*row)
    classes.add_section()
    classes.add_row(*mean)
    console.print(classes)

    names = list(metrics.per_class)
    confusion = Table(title="confusion matrix: rows are the truth, columns the prediction", **PLAIN)
    confusion.add_column("")
    for name in names:
        confusion.add_column(name, justify="right")
    for name, counts in zip(names, metrics.confusion, strict=True):
        confusion.add_row(name, *map(str, counts))
    console.print(confusion)
