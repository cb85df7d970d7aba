"""Metrics in words, as tables on a terminal and pages both show them."""

from __future__ import annotations

from collections.abc import Sequence

from allkit.metrics.classification import Metrics
from allkit.metrics.intervals import Interval

BY_CLASS = ("class", "precision", "recall", "F1", "AUROC", "images")


def with_interval(share: Interval | None, digits: int = 1) -> str:
    """The share in per cent with its interval; - where it is undefined."""
    return "-" if share is None else share.percent(digits)


def percent(share: float | None) -> str:
    """The share in per cent; - where it is undefined."""
    return "-" if share is None else f"{100 * share:.1f} %"


def overall(metrics: Metrics, baseline: Interval, method: str) -> list[tuple[str, str]]:
    """The figures of all images, each with its name. baseline: the accuracy of `method` on the same images."""
    over = f" over {metrics.groups:,} groups" if metrics.groups else ", which takes images for independent"
    rows = [
        ("accuracy", f"{with_interval(metrics.accuracy, 2)} (95 % Wilson interval{over})"),
        ("baseline", f"{with_interval(baseline, 2)} ({method}, which sees no shapes)"),
    ]
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
        rows.append((name, f"{shown} ({notes})" if notes else shown))
    if screening := metrics.screening:
        against = f"({', '.join(screening.positive)} against the rest)"
        rows.append(("sensitivity", f"{with_interval(screening.sensitivity, 2)} {against}"))
        rows.append(("specificity", f"{with_interval(screening.specificity, 2)} {against}"))
    return rows


def by_class(metrics: Metrics) -> list[Sequence[str]]:
    """A row of `BY_CLASS` for each class, and their mean at the end."""
    rows = [
        (
            name,
            with_interval(row.precision),
            with_interval(row.recall),
            percent(row.f1),
            "-" if row.auroc is None else f"{100 * row.auroc:.1f}",
            str(row.support),
        )
        for name, row in metrics.per_class.items()
    ]
    macro = metrics.macro
    return [*rows, ("mean", *map(percent, (macro.precision, macro.recall, macro.f1)), "", str(metrics.n))]
