"""Metrics in words, as tables on a terminal and pages both show them."""

from __future__ import annotations

from collections.abc import Sequence

from allkit.metrics.classification import Metrics
from allkit.metrics.intervals import Interval

BY_CLASS = ("class", "precision, %", "recall, %", "F1, %", "AUROC, %", "images")


def with_interval(share: Interval | None, digits: int = 1) -> str:
    """The share in per cent with its interval; - where it is undefined."""
    return "-" if share is None else share.percent(digits)


def overall(metrics: Metrics, baseline: Interval, method: str) -> list[tuple[str, str]]:
    """The figures of all images, each with its name. baseline: the accuracy of `method` on the same images."""
    rows = [("accuracy", with_interval(metrics.accuracy, 2)), ("baseline", f"{with_interval(baseline, 2)} ({method})")]
    for name in ("precision", "recall", "F1", "MCC", "balanced accuracy", "AUROC"):
        key = name.lower().replace(" ", "_")
        value, spread = getattr(metrics, key), metrics.intervals.get(key)
        if value is not None:
            rows.append((name, with_interval(spread, 2) if spread else f"{100 * value:.2f} %"))
    if screening := metrics.positive_vs_rest or metrics.malignant_vs_benign:
        against = f"({', '.join(screening.positive)} against the rest)"
        rows.append(("sensitivity", f"{with_interval(screening.sensitivity, 2)} {against}"))
        rows.append(("specificity", f"{with_interval(screening.specificity, 2)} {against}"))
    return rows


def about(metrics: Metrics) -> str:
    """What the figures of `overall` are, in sentences."""
    over = f"over {metrics.groups:,} groups of similar images" if metrics.groups else "taking images as independent"
    others = ", bootstrap intervals for the others" if metrics.intervals else ""
    return (
        f"95 % Wilson intervals for shares{others}, {over}. Precision, recall and F1 are weighted by class size; "
        "balanced accuracy and AUROC (one against the rest) are means of the classes. The baseline sees no shapes."
    )


def by_class(metrics: Metrics) -> list[Sequence[str]]:
    """A row of `BY_CLASS` for each class, and their mean at the end."""
    rows = [
        (
            name,
            _narrow(row.precision),
            _narrow(row.recall),
            _number(row.f1),
            _number(row.auroc),
            str(row.support),
        )
        for name, row in metrics.per_class.items()
    ]
    macro = metrics.macro
    return [*rows, ("mean", *map(_number, (macro.precision, macro.recall, macro.f1, metrics.auroc)), str(metrics.n))]


def _number(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _narrow(share: Interval | None) -> str:
    return "-" if share is None else f"{_number(share.value)} [{_number(share.low)}, {_number(share.high)}]"
