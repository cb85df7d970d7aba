"""Metrics against confusion matrices worked by hand, published examples and scikit-learn."""

import json
import warnings
from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
    precision_recall_fscore_support,
    precision_score,
    roc_auc_score,
)

from allkit.errors import AllkitError
from allkit.metrics import cluster_bootstrap, compare_accuracies, wilson
from allkit.metrics.classification import score

pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")

CLASSES = ("Benign", "Early", "Pre", "Pro")


def rows_of(matrix):
    """Labels and one-hot probabilities with the given confusion matrix."""
    matrix = np.asarray(matrix)
    truth, predicted = np.indices(matrix.shape)
    labels = np.repeat(truth.ravel(), matrix.ravel())
    return labels, np.eye(len(matrix))[np.repeat(predicted.ravel(), matrix.ravel())]


@pytest.fixture(scope="module")
def noisy():
    """Labels, probabilities and groups of 240 images in blocks of 8, each class in many blocks."""
    rng = np.random.default_rng(3)
    labels = np.repeat(rng.permutation(np.arange(30) % 4), 8)
    scores = np.exp(rng.normal(size=(240, 4)) + 1.5 * np.eye(4)[labels])
    return labels, scores / scores.sum(1, keepdims=True), np.repeat(np.arange(30), 8)


def test_figures_of_a_confusion_matrix_by_hand():
    matrix = [[8, 2, 0], [1, 6, 3], [0, 0, 20]]
    metrics = score(*rows_of(matrix), ("Benign", "Early", "Pro"))
    # Columns sum to 9, 8, 23; rows to 10, 10, 20. F1 is 2 right / (row + column).
    precision = [Fraction(8, 9), Fraction(6, 8), Fraction(20, 23)]
    recall = [Fraction(8, 10), Fraction(6, 10), Fraction(1)]
    f1 = [Fraction(16, 19), Fraction(12, 18), Fraction(40, 43)]
    weights = [Fraction(1, 4), Fraction(1, 4), Fraction(1, 2)]
    assert metrics.n == 40
    assert metrics.confusion == matrix
    assert metrics.accuracy == wilson(34, 40)
    for figure, values in ((metrics.precision, precision), (metrics.recall, recall), (metrics.f1, f1)):
        assert figure == pytest.approx(float(sum(w * v for w, v in zip(weights, values, strict=True))))
    macro = (metrics.macro.precision, metrics.macro.recall, metrics.macro.f1)
    assert macro == pytest.approx([float(sum(values) / 3) for values in (precision, recall, f1)])
    assert metrics.balanced_accuracy == pytest.approx(0.8)
    early = metrics.per_class["Early"]
    assert (early.precision, early.recall, early.support) == (wilson(6, 8), wilson(6, 10), 10)
    assert early.f1 == pytest.approx(2 / 3)
    # Gorodkin: (n right - rows . columns) / sqrt((n^2 - rows . rows) (n^2 - columns . columns)).
    assert metrics.mcc == pytest.approx((40 * 34 - 630) / ((1600 - 600) * (1600 - 674)) ** 0.5)


def test_mcc_of_two_classes_is_that_of_the_textbook_formula():
    # Six true cats, three true dogs, one dog called cat, two cats called dog.
    metrics = score(*rows_of([[6, 2], [1, 3]]), ("cat", "dog"))
    assert metrics.mcc == pytest.approx((6 * 3 - 1 * 2) / (7 * 8 * 4 * 5) ** 0.5)
    assert round(metrics.mcc, 3) == 0.478


def test_weighted_recall_equals_accuracy_as_in_the_paper(noisy):
    labels, probabilities, _ = noisy
    metrics = score(labels, probabilities, CLASSES)
    assert metrics.recall == pytest.approx(metrics.accuracy.value)
    assert metrics.macro.recall == pytest.approx(metrics.balanced_accuracy)


def test_auroc_counts_the_pairs_in_order():
    # Positives 0.35 and 0.8 against 0.1 and 0.4: three of four pairs are in order.
    positive = np.array([0.1, 0.4, 0.35, 0.8])
    metrics = score([0, 0, 1, 1], np.stack([1 - positive, positive], 1), ("no", "yes"))
    assert metrics.per_class["yes"].auroc == metrics.auroc == 0.75


def test_macro_auroc_agrees_with_one_vs_rest_of_scikit_learn(noisy):
    labels, probabilities, _ = noisy
    expected = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert score(labels, probabilities, CLASSES).auroc == pytest.approx(expected)


def test_sensitivity_counts_any_malignant_class_and_specificity_the_benign():
    # 30 malignant, of which 4 were called benign; 10 benign, of which 8 were. A mix-up of stages costs nothing.
    matrix = [[10, 5, 3], [1, 8, 1], [1, 2, 9]]
    metrics = score(*rows_of(matrix), ("Early", "BENIGN", "Pro"))
    assert metrics.malignant_vs_benign.sensitivity == wilson(23, 30)
    assert metrics.malignant_vs_benign.specificity == wilson(8, 10)


def test_sensitivity_and_specificity_are_of_the_classes_that_are_given():
    # Of 22 images of b and c 20 were called b or c; of 18 of a 15 were called a.
    matrix = [[15, 2, 1], [1, 8, 1], [1, 2, 9]]
    metrics = score(*rows_of(matrix), ("a", "b", "c"), positive=["b", "c"])
    assert metrics.positive_vs_rest.positive == ["b", "c"]
    assert metrics.positive_vs_rest.sensitivity == wilson(20, 22)
    assert metrics.positive_vs_rest.specificity == wilson(15, 18)
    assert score(*rows_of(matrix), ("a", "b", "c")).positive_vs_rest is None
    with pytest.raises(AllkitError, match="no class 'd': the positive class is one of a, b, c"):
        score(*rows_of(matrix), ("a", "b", "c"), positive=["d"])


def test_without_a_benign_class_there_is_no_sensitivity():
    assert score(*rows_of([[3, 1], [0, 4]]), ("a", "b")).malignant_vs_benign is None


def test_without_a_benign_image_specificity_is_undefined_but_sensitivity_is_not():
    screening = score(*rows_of([[0, 0], [1, 4]]), ("benign", "Pro")).malignant_vs_benign
    assert screening.specificity is None
    assert screening.sensitivity == wilson(4, 5)


def test_a_class_without_images_leaves_its_figures_undefined_and_the_others_alone():
    metrics = score(*rows_of([[5, 1, 0], [2, 4, 0], [0, 0, 0]]), ("a", "b", "c"))
    absent = metrics.per_class["c"]
    assert (absent.precision, absent.recall, absent.f1, absent.support, absent.auroc) == (None, None, None, 0, None)
    assert metrics.auroc is None
    assert metrics.balanced_accuracy == pytest.approx((5 / 6 + 4 / 6) / 2)
    without = score(*rows_of([[5, 1], [2, 4]]), ("a", "b"))
    assert (metrics.f1, metrics.mcc, metrics.macro) == (without.f1, without.mcc, without.macro)


def test_a_class_predicted_but_absent_costs_recall_and_is_no_error():
    metrics = score(*rows_of([[3, 0, 2], [0, 4, 1], [0, 0, 0]]), ("a", "b", "c"))
    assert metrics.per_class["c"].precision == wilson(0, 3)
    assert metrics.balanced_accuracy == pytest.approx((3 / 5 + 4 / 5) / 2)


@pytest.mark.parametrize("predicted", [0, 1])
def test_images_of_one_class_only_leave_mcc_and_auroc_undefined(predicted):
    labels = np.zeros(6, int)
    metrics = score(labels, np.eye(3)[labels + predicted], ("a", "b", "c"), groups=[0, 0, 1, 1, 2, 2], samples=20)
    assert (metrics.mcc, metrics.auroc) == (None, None)
    # All images are right, or all are wrong, in every resample, which shows no variation.
    assert metrics.intervals == {}


def test_without_groups_there_are_no_bootstrap_intervals(noisy):
    assert score(*noisy[:2], CLASSES).intervals == {}


def test_bootstrap_intervals_are_those_of_the_statistics_of_scikit_learn(noisy):
    labels, probabilities, groups = noisy
    predictions = probabilities.argmax(1)
    reference = {
        "mcc": lambda rows: matthews_corrcoef(labels[rows], predictions[rows]),
        "f1": lambda rows: f1_score(labels[rows], predictions[rows], average="weighted"),
        "balanced_accuracy": lambda rows: balanced_accuracy_score(labels[rows], predictions[rows]),
        "auroc": lambda rows: roc_auc_score(labels[rows], probabilities[rows], multi_class="ovr"),
        "precision": lambda rows: precision_score(labels[rows], predictions[rows], average="weighted"),
        "macro_precision": lambda rows: precision_score(labels[rows], predictions[rows], average="macro"),
        "macro_f1": lambda rows: f1_score(labels[rows], predictions[rows], average="macro"),
        "f1 Pre": lambda rows: f1_score(labels[rows], predictions[rows], average=None)[2],
        "auroc Pro": lambda rows: roc_auc_score(labels[rows] == 3, probabilities[rows, 3]),
    }
    metrics = score(labels, probabilities, CLASSES, groups=groups, seed=9, samples=20)
    assert len(metrics.intervals) == 7 + 2 * len(CLASSES)
    values = {**vars(metrics), "macro_precision": metrics.macro.precision, "macro_f1": metrics.macro.f1}
    values |= {"f1 Pre": metrics.per_class["Pre"].f1, "auroc Pro": metrics.per_class["Pro"].auroc}
    for name, statistic in reference.items():
        low, high = cluster_bootstrap(statistic, groups, seed=9, samples=20)
        interval = metrics.intervals[name]
        assert (interval.low, interval.high) == pytest.approx((low, high)), name
        assert interval.value == values[name]


def test_a_perfect_classifier_stays_perfect_in_resamples_that_lack_a_class():
    # Four groups of one class each: most resamples lack one, whose figures are then undefined and not 0.
    labels = np.repeat(np.arange(4), 5)
    metrics = score(labels, np.eye(4)[labels], CLASSES, groups=labels)
    assert metrics.macro.f1 == metrics.f1 == 1.0
    # Every resample gives 1, so that none shows how sure that is; Wilson's interval of four groups does.
    assert metrics.intervals == {}
    assert metrics.accuracy == wilson(4, 4)


def test_what_is_undefined_is_so_as_in_scikit_learn_in_the_figure_and_in_every_resample():
    # Class 2 is rare, class 3 is never predicted, class 4 occurs neither in truth nor in predictions.
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 0, 0, 1, 1, 1, 2, 3, 3, 3], 4)
    predictions = np.where(rng.random(40) < 0.7, labels, rng.integers(0, 2, 40))
    predictions[labels == 3] = 1
    groups = np.repeat(np.arange(10), 4)
    metrics = score(labels, np.eye(5)[predictions], ("a", "b", "c", "d", "e"), groups=groups, samples=200, seed=2)
    kept = [0, 1, 2, 3]

    def figures(rows):
        truth, told = labels[rows], predictions[rows]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            macro = precision_recall_fscore_support(truth, told, labels=kept, average="macro", zero_division=np.nan)
            # In a resample the support of a class that was not drawn is 0.
            weighted = precision_recall_fscore_support(
                truth, told, labels=np.unique(truth), average="weighted", zero_division=np.nan
            )
            by_class = precision_recall_fscore_support(truth, told, labels=kept, average=None, zero_division=np.nan)
        return [macro[0], macro[2], macro[1], weighted[0], weighted[2], *by_class[2]]

    names = ("macro_precision", "macro_f1", "balanced_accuracy", "precision", "f1", "f1 a", "f1 b", "f1 c", "f1 d")
    lows, highs = cluster_bootstrap(figures, groups, samples=200, seed=2)
    for name, value, low, high in zip(names, figures(np.arange(40)), lows, highs, strict=True):
        if low == high:
            assert name not in metrics.intervals
            continue
        interval = metrics.intervals[name]
        assert (interval.value, interval.low, interval.high) == pytest.approx((value, low, high)), name
    assert metrics.per_class["d"].precision is None
    assert metrics.per_class["e"].f1 is None
    assert "f1 e" not in metrics.intervals


def test_accuracy_recall_and_screening_respect_groups():
    # Six blocks of ten images, each all right or all wrong: each block is worth one image.
    labels = np.repeat([0, 0, 0, 1, 1, 1], 10)
    right = np.repeat([True, True, False, True, True, False], 10)
    metrics = score(labels, np.eye(2)[np.where(right, labels, 1 - labels)], ("Benign", "b"), np.repeat(range(6), 10))
    assert (metrics.n, metrics.groups) == (60, 6)
    for share, blocks in (
        (metrics.accuracy, 6),
        (metrics.per_class["b"].recall, 3),
        (metrics.malignant_vs_benign.sensitivity, 3),
        (metrics.malignant_vs_benign.specificity, 3),
    ):
        least = wilson(2 * blocks // 3, blocks)
        assert share.value == pytest.approx(2 / 3)
        assert share.low <= least.low
        assert share.high >= least.high


def test_ties_between_scores_count_half_in_the_bootstrap_as_in_the_figure():
    labels = np.array([0, 1] * 8)
    coarse = np.random.default_rng(4).integers(1, 4, 16) / 4
    probabilities, groups = np.stack([1 - coarse, coarse], 1), np.arange(16)
    low, high = cluster_bootstrap(
        lambda rows: roc_auc_score(labels[rows], coarse[rows]) if np.ptp(labels[rows]) else np.nan, groups, samples=40
    )
    interval = score(labels, probabilities, ("a", "b"), groups=groups, samples=40).intervals["auroc"]
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_images_that_stand_together_widen_the_interval():
    # 20 blocks, each all right or all wrong: 10 images a block say no more than one.
    right = np.random.default_rng(1).random(20) < 0.7
    labels = np.repeat(np.arange(20) % 2, 10)
    probabilities = np.eye(2)[np.where(np.repeat(right, 10), labels, 1 - labels)]
    widths = []
    for groups in (np.arange(200), np.repeat(np.arange(20), 10)):
        interval = score(labels, probabilities, ("a", "b"), groups=groups, samples=400).intervals["balanced_accuracy"]
        widths.append(interval.high - interval.low)
    assert widths[1] == pytest.approx(np.sqrt(10) * widths[0], rel=0.3)


def test_a_record_survives_strict_json(noisy):
    labels, probabilities, groups = noisy
    for metrics in (
        score(labels, probabilities, CLASSES, groups=groups, samples=10),
        score([0], [[0.2, 0.5, 0.3]], ("Benign", "b", "c")),
        compare_accuracies([1, 0], [1, 1]),
    ):
        record = metrics.to_dict()
        assert json.loads(json.dumps(record, allow_nan=False)) == record


@pytest.mark.parametrize(
    ("labels", "probabilities", "groups"),
    [
        ([], np.empty((0, 2)), None),
        ([0, 1], [[0.5, 0.5]], None),
        ([0], [[0.2, 0.3, 0.5]], None),
        ([0], [[np.nan, 0.5]], None),
        ([0, 1], [[0.9, 0.1], [0.2, 0.8]], [0]),
    ],
)
def test_arrays_that_do_not_fit_are_refused(labels, probabilities, groups):
    with pytest.raises(AllkitError):
        score(labels, probabilities, ("a", "b"), groups=groups)
