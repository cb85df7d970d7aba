"""Metrics of a classifier, with confidence intervals.

The values are scikit-learn's. The bootstrap computes the same statistics itself, because scikit-learn's argument checks
take milliseconds per call and there are thousands of resamples. Averages are weighted by support as in the paper, whose
recall therefore equals its accuracy.

A ratio with a zero denominator is None in a record and left out of averages, as in scikit-learn with zero_division=nan:
the precision of a class never predicted, the recall of a class without images, the F1 of one with neither, and the MCC
if the truth or the prediction is a single class. The same applies within a resample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from allkit.errors import AllkitError
from allkit.metrics.checks import labelled_scores
from allkit.metrics.intervals import Interval, cluster_bootstrap, proportion

BENIGN = "benign"


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest. A metric with a zero denominator is None."""

    precision: Interval | None
    recall: Interval | None
    f1: float | None
    support: int
    auroc: float | None


@dataclass(frozen=True)
class Averages:
    """Precision, recall and F1 averaged over classes; precision is None when only other classes were predicted."""

    precision: float | None
    recall: float
    f1: float


@dataclass(frozen=True)
class Screening:
    """The positive classes against the rest. None if there are no images on that side."""

    positive: list[str]
    sensitivity: Interval | None
    specificity: Interval | None


@dataclass(frozen=True)
class Metrics:
    """Metrics of one model on n labelled images: shares from 0 to 1, mcc from -1 to 1.

    groups: number of groups, None if unknown. accuracy, and the precision and recall of a class, have 95 % Wilson
    intervals, which account for groups and treat images as independent if groups are unknown. precision, recall, f1:
    weighted by support, as in the paper. macro, balanced_accuracy: plain means over the classes present in the truth.
    auroc: mean one-vs-rest AUROC, None unless every class is present. confusion: counts, rows are the truth, columns
    the prediction, in class order. malignant_vs_benign: every class except Benign, None unless a
    class has that name. positive_vs_rest: the classes given as positive, None if none are. intervals: 95 % cluster
    bootstrap intervals of all metrics without a Wilson interval, by name: mcc, precision, f1, balanced_accuracy, auroc,
    macro_precision, macro_f1, and the f1 and auroc of a class as `f1 Pre`. It is empty with fewer than two groups, and
    leaves out metrics that the resamples leave undefined or do not vary.
    """

    n: int
    groups: int | None
    accuracy: Interval
    precision: float | None
    recall: float
    f1: float
    mcc: float | None
    balanced_accuracy: float
    macro: Averages
    auroc: float | None
    per_class: dict[str, ClassMetrics]
    confusion: list[list[int]]
    malignant_vs_benign: Screening | None
    positive_vs_rest: Screening | None
    intervals: dict[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """A record of plain types, ready for JSON."""
        return asdict(self)


def score(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    groups: ArrayLike | None = None,
    seed: int = 0,
    samples: int = 1000,
    positive: Sequence[str] = (),
) -> Metrics:
    """Compute the metrics of probabilities (n, k) against labels int (n,); ties go to the first class.

    classes: k names. groups (n,): which images belong together (a patient, a block of neighbours), for the intervals.
    samples: number of bootstrap resamples. positive: classes to tell from the rest. Raises AllkitError when the shapes
    do not match, there are no images, or a positive class is unknown.
    """
    from sklearn.metrics import confusion_matrix, matthews_corrcoef

    probabilities, labels = labelled_scores(probabilities, labels)
    if probabilities.shape[1] != len(classes):
        raise AllkitError(f"the model gives {probabilities.shape[1]} probabilities for {len(classes)} classes")
    predictions = probabilities.argmax(1)
    if groups is not None and np.shape(groups) != labels.shape:
        raise AllkitError(f"groups must be one value per image: {np.shape(groups)} for {len(labels)} images")
    per_class = _class_metrics(labels, predictions, probabilities, classes, groups)
    aurocs = [row.auroc for row in per_class.values()]
    weighted, macro = (
        Averages(*map(_defined, _by_class(labels, predictions, labels=np.unique(labels), average=average)))
        for average in ("weighted", "macro")
    )
    figures = {
        # scikit-learn returns 0 for a single class.
        "mcc": float(matthews_corrcoef(labels, predictions)) if np.ptp(labels) and np.ptp(predictions) else None,
        "f1": weighted.f1,
        "balanced_accuracy": macro.recall,
        "auroc": None if None in aurocs else float(np.mean(aurocs)),
    }
    count = None if groups is None else len(np.unique(groups))
    # In the order of `_resampled`.
    estimates = {
        **figures,
        "precision": weighted.precision,
        "macro_precision": macro.precision,
        "macro_f1": macro.f1,
        **{f"f1 {name}": row.f1 for name, row in per_class.items()},
        **{f"auroc {name}": row.auroc for name, row in per_class.items()},
    }
    intervals = {}
    if count and count > 1:
        statistics = _resampled(labels, predictions, probabilities)
        intervals = _bootstrapped(estimates, cluster_bootstrap(statistics, groups, samples=samples, seed=seed))
    return Metrics(
        n=len(labels),
        groups=count,
        accuracy=proportion(predictions == labels, groups),
        precision=weighted.precision,
        recall=weighted.recall,
        macro=macro,
        per_class=per_class,
        confusion=confusion_matrix(labels, predictions, labels=np.arange(len(classes))).tolist(),
        malignant_vs_benign=_screening(labels, predictions, classes, _malignant(classes), groups),
        positive_vs_rest=_screening(labels, predictions, classes, positive, groups),
        intervals=intervals,
        **figures,
    )


def _class_metrics(
    labels: np.ndarray,
    predictions: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    groups: ArrayLike | None,
) -> dict[str, ClassMetrics]:
    right = predictions == labels
    f1s = _by_class(labels, predictions, labels=np.arange(len(classes)))[2]
    return {
        name: ClassMetrics(
            precision=_share(right, predictions == k, groups),
            recall=_share(right, labels == k, groups),
            f1=_defined(f1s[k]),
            support=int((labels == k).sum()),
            auroc=_auroc(labels == k, probabilities[:, k]),
        )
        for k, name in enumerate(classes)
    }


def _bootstrapped(estimates: Mapping[str, float | None], ends: tuple[np.ndarray, np.ndarray]) -> dict[str, Interval]:
    """Intervals of the estimates that are defined and vary between resamples. ends: lower and upper."""
    return {
        name: Interval(value, float(low), float(high))
        for (name, value), low, high in zip(estimates.items(), *ends, strict=True)
        if value is not None and low < high
    }


def _by_class(truth: np.ndarray, predictions: np.ndarray, **options: Any) -> tuple[Any, ...]:
    """scikit-learn's precision, recall and F1, NaN with a zero denominator."""
    from sklearn.metrics import precision_recall_fscore_support

    return precision_recall_fscore_support(truth, predictions, zero_division=np.nan, **options)[:3]


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _share(right: np.ndarray, chosen: np.ndarray, groups: ArrayLike | None) -> Interval | None:
    """Share of the chosen images that are right, with its interval; None if none is chosen."""
    if not chosen.any():
        return None
    return proportion(right[chosen], None if groups is None else np.asarray(groups)[chosen])


def _auroc(positive: np.ndarray, scores: np.ndarray) -> float | None:
    from sklearn.metrics import roc_auc_score

    return None if positive.all() or not positive.any() else float(roc_auc_score(positive, scores))


def _malignant(classes: Sequence[str]) -> list[str]:
    """Every class but Benign; none without a class of that name."""
    rest = [name for name in classes if name.casefold() != BENIGN]
    return rest if len(rest) < len(classes) else []


def _screening(
    labels: np.ndarray,
    predictions: np.ndarray,
    classes: Sequence[str],
    positive: Sequence[str],
    groups: ArrayLike | None,
) -> Screening | None:
    if unknown := [name for name in positive if name not in classes]:
        raise AllkitError(f"there is no class {unknown[0]!r}: the positive class is one of {', '.join(classes)}")
    if not positive:
        return None
    chosen = np.array([name in positive for name in classes])
    right = chosen[predictions] == chosen[labels]
    return Screening(
        positive=list(positive),
        sensitivity=_share(right, chosen[labels], groups),
        specificity=_share(right, ~chosen[labels], groups),
    )


def _resampled(
    labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from row indices to the metrics of `Metrics.intervals`, in that order, NaN for 0 / 0.

    Multi-class MCC: Gorodkin 2004, Computational Biology and Chemistry 28:367. AUROC: the share of pairs in the right
    order, a tie counting half (Hanley and McNeil 1982, Radiology 143:29).
    """
    k = probabilities.shape[1]
    cells = labels * k + predictions
    present = np.bincount(labels, minlength=k) > 0
    positive = labels == np.arange(k)[:, None]
    ranks = [np.unique(column, return_inverse=True)[1] for column in probabilities.T]

    def auroc(column: int, rows: np.ndarray) -> float:
        rank, hit = ranks[column][rows], positive[column][rows]
        hits = np.bincount(rank[hit], minlength=len(labels))
        misses = np.bincount(rank[~hit], minlength=len(labels))
        return hits @ (misses.cumsum() - misses / 2) / (hits.sum() * misses.sum())

    def statistics(rows: np.ndarray) -> np.ndarray:
        matrix = np.bincount(cells[rows], minlength=k * k).reshape(k, k).astype(np.float64)
        right, truth, predicted, n = matrix.diagonal(), matrix.sum(1), matrix.sum(0), len(rows)
        with np.errstate(invalid="ignore", divide="ignore"):
            chance = np.sqrt((n * n - truth @ truth) * (n * n - predicted @ predicted))
            mcc = (n * right.sum() - truth @ predicted) / chance
            f1, precision, recall = 2 * right / (truth + predicted), right / predicted, right / truth
            aurocs = [auroc(column, rows) for column in range(k)]
            weighted = _mean(f1, truth), _mean(precision, truth)
            balanced, *macro = (_mean(values, present) for values in (recall, precision, f1))
            return np.array([mcc, weighted[0], balanced, np.mean(aurocs), weighted[1], *macro, *f1, *aurocs])

    return statistics


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean of the values that are not NaN; NaN if their weights sum to 0."""
    known = ~np.isnan(values)
    return (values[known] * weights[known]).sum() / weights[known].sum()
