"""The figures by which a classifier is judged, each with its uncertainty where it has one.

The figures are scikit-learn's. It checks its arguments at every call, milliseconds that thousands of
resamples cannot spend, so the bootstrap intervals use lean forms of the same statistics; the tests
hold the two equal. Averages follow the paper, whose recall equals its accuracy: weighted by support.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import confusion_matrix, matthews_corrcoef, precision_recall_fscore_support, roc_auc_score

from allkit.errors import AllkitError
from allkit.stats.checks import labelled_scores
from allkit.stats.intervals import Interval, cluster_bootstrap, wilson
from allkit.stats.paired import mcnemar_exact

BENIGN = "benign"


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest. precision is None when it was never predicted, recall and auroc when undefined."""

    precision: Interval | None
    recall: Interval | None
    f1: float
    support: int
    auroc: float | None


@dataclass(frozen=True)
class Averages:
    """Precision, recall and F1 averaged over classes."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Screening:
    """Malignant (every class but Benign) against Benign. None where there is no image of that side."""

    sensitivity: Interval | None
    specificity: Interval | None


@dataclass(frozen=True)
class Metrics:
    """Figures of one model on n labelled images; all are shares from 0 to 1, mcc from -1 to 1.

    accuracy, and precision and recall of a class, carry 95 % Wilson intervals, which treat images as
    independent. precision, recall, f1: weighted by support, as in the paper. macro, balanced_accuracy:
    plain means over the classes that occur in the truth. auroc: mean of the one-vs-rest AUROCs, None
    unless every class occurs. confusion: counts, rows the truth, columns the prediction, in class order.
    malignant_vs_benign: None unless a class is named Benign. intervals: 95 % cluster bootstrap intervals
    of all that has no Wilson interval, by name: mcc, precision, f1, balanced_accuracy, auroc, macro_precision,
    macro_f1, and f1 and auroc of a class as `f1 Pre`; empty without groups, and without a figure that
    the resamples leave undefined.
    """

    n: int
    accuracy: Interval
    precision: float
    recall: float
    f1: float
    mcc: float
    balanced_accuracy: float
    macro: Averages
    auroc: float | None
    per_class: dict[str, ClassMetrics]
    confusion: list[list[int]]
    malignant_vs_benign: Screening | None
    intervals: dict[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """A record of plain types, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class PairedComparison:
    """Models A and B on the same n images. difference: accuracy of A less that of B. p_value: exact McNemar."""

    n: int
    accuracy_a: Interval
    accuracy_b: Interval
    difference: float
    only_a_right: int
    only_b_right: int
    p_value: float

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
) -> Metrics:
    """Judge probabilities (n, k) against labels int (n,); the prediction is the first largest of a row.

    classes: k names. groups (n,): which images belong together (a patient, a block of neighbours), for
    the bootstrap of `samples` resamples. A ratio without a denominator counts as 0 in averages. Raises
    AllkitError when the shapes do not fit, there are no images, or there are fewer than two groups.
    """
    probabilities, labels = labelled_scores(probabilities, labels)
    if probabilities.shape[1] != len(classes):
        raise AllkitError(f"the model gives {probabilities.shape[1]} probabilities for {len(classes)} classes")
    predictions = probabilities.argmax(1)
    every, present = np.arange(len(classes)), np.unique(labels)
    matrix = confusion_matrix(labels, predictions, labels=every)
    aurocs = [_auroc(labels == k, probabilities[:, k]) for k in every]
    f1s = precision_recall_fscore_support(labels, predictions, labels=every, zero_division=0)[2]
    weighted, macro = (
        Averages(*map(float, precision_recall_fscore_support(labels, predictions, zero_division=0, **options)[:3]))
        for options in ({"average": "weighted"}, {"average": "macro", "labels": present})
    )
    figures = {
        # scikit-learn's answer for a single class is 0 as well, but it warns.
        "mcc": float(matthews_corrcoef(labels, predictions)) if np.ptp([labels, predictions]) else 0.0,
        "f1": weighted.f1,
        "balanced_accuracy": macro.recall,
        "auroc": None if None in aurocs else float(np.mean(aurocs)),
    }
    intervals = {}
    if groups is not None:
        if np.shape(groups) != labels.shape:
            raise AllkitError(f"groups must be one value an image: {np.shape(groups)} for {len(labels)} images")
        statistics = _resampled(labels, predictions, probabilities)
        ends = zip(*cluster_bootstrap(statistics, groups, samples=samples, seed=seed), strict=True)
        resampled = {
            **figures,
            "precision": weighted.precision,
            "macro_precision": macro.precision,
            "macro_f1": macro.f1,
            **{f"f1 {name}": float(f1) for name, f1 in zip(classes, f1s, strict=True)},
            **{f"auroc {name}": auroc for name, auroc in zip(classes, aurocs, strict=True)},
        }
        intervals = {
            name: Interval(value, float(low), float(high))
            for (name, value), (low, high) in zip(resampled.items(), ends, strict=True)
            if value is not None and not np.isnan(low)
        }
    return Metrics(
        n=len(labels),
        accuracy=wilson(int(matrix.trace()), len(labels)),
        precision=weighted.precision,
        recall=weighted.recall,
        macro=macro,
        per_class={
            name: ClassMetrics(
                precision=_proportion(matrix[k, k], matrix[:, k].sum()),
                recall=_proportion(matrix[k, k], matrix[k].sum()),
                f1=float(f1s[k]),
                support=int(matrix[k].sum()),
                auroc=aurocs[k],
            )
            for k, name in enumerate(classes)
        },
        confusion=matrix.tolist(),
        malignant_vs_benign=_screening(matrix, classes),
        intervals=intervals,
        **figures,
    )


def compare(labels: ArrayLike, predictions_a: ArrayLike, predictions_b: ArrayLike) -> PairedComparison:
    """Compare two models by their predicted classes, int (n,) each, on the same images.

    Raises AllkitError when the lengths differ or there are no images.
    """
    labels, a, b = map(np.asarray, (labels, predictions_a, predictions_b))
    if not labels.shape == a.shape == b.shape or labels.ndim != 1:
        raise AllkitError(f"a paired comparison needs the same images: {labels.shape}, {a.shape} and {b.shape}")
    right_a, right_b = a == labels, b == labels
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    n = len(labels)
    return PairedComparison(
        n=n,
        accuracy_a=wilson(int(right_a.sum()), n),
        accuracy_b=wilson(int(right_b.sum()), n),
        difference=(only_a - only_b) / n,
        only_a_right=only_a,
        only_b_right=only_b,
        p_value=mcnemar_exact(only_a, only_b),
    )


def _proportion(successes: np.integer, n: np.integer) -> Interval | None:
    return wilson(int(successes), int(n)) if n else None


def _auroc(positive: np.ndarray, scores: np.ndarray) -> float | None:
    return None if positive.all() or not positive.any() else float(roc_auc_score(positive, scores))


def _screening(matrix: np.ndarray, classes: Sequence[str]) -> Screening | None:
    benign = np.array([name.casefold() == BENIGN for name in classes])
    if not benign.any():
        return None
    return Screening(
        sensitivity=_proportion(matrix[~benign][:, ~benign].sum(), matrix[~benign].sum()),
        specificity=_proportion(matrix[benign][:, benign].sum(), matrix[benign].sum()),
    )


def _resampled(
    labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Rows to the figures of `Metrics.intervals` in its order, NaN where a ratio is 0 / 0.

    MCC of several classes: Gorodkin 2004, Computational Biology and Chemistry 28:367. AUROC: the
    Mann-Whitney share of pairs in order, ties counting half (Hanley and McNeil 1982, Radiology 143:29).
    """
    k = probabilities.shape[1]
    cells = labels * k + predictions
    present = np.unique(labels)
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
        with np.errstate(invalid="ignore"):
            chance = np.sqrt((n * n - truth @ truth) * (n * n - predicted @ predicted))
            mcc = (n * right.sum() - truth @ predicted) / chance
            f1 = 2 * right / np.maximum(truth + predicted, 1)
            precision = right / np.maximum(predicted, 1)
            balanced = (right / truth)[present].mean()
            aurocs = [auroc(column, rows) for column in range(k)]
            weighted = truth @ f1 / n, truth @ precision / n
            macro = precision[present].mean(), f1[present].mean()
            return np.array([mcc, weighted[0], balanced, np.mean(aurocs), weighted[1], *macro, *f1, *aurocs])

    return statistics
