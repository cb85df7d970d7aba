"""The tables of Najjar et al. (2025), "Acute Lymphoblastic Leukemia Classification Using Modified VGG16 Architecture",
Iraqi Journal of Science. All shares in per cent, as printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# Table 1: image size in pixels, training time in seconds, accuracy.
TABLE_1 = ((300, 12_024, 96.59), (250, 10_928, 96.31), (200, 9_237, 95.88), (150, 8_024, 95.11))

METRICS = ("accuracy", "precision", "sensitivity", "F1", "MCC")

# Table 2: method and its METRICS, None where not reported.
TABLE_2 = (
    ("Tusar and Anik 2022 (DNN)", (96.13, None, None, None, None)),
    ("Mahdi et al. 2021 (SGD-SPCA)", (94.40, None, None, None, None)),
    ("Kadhim et al. 2023 (CNN)", (98.15, 96.00, 94.68, 95.24, None)),
    ("Najjar et al. 2025 (modified VGG16, 300 px)", (96.59, 96.61, 96.59, 96.58, 95.35)),
)

# What the papers that this one compares itself with say of their methods, which have the names that
# `benchmarks/comparators.py` gives them: source, accuracy, and whether that is a lower bound. Each is of images and a
# split of its own.
CITED = {
    "vgg16": (
        ("Najjar et al. 2025, 150 px", 95.11, False),
        ("Hagar et al. 2023, with DenseNet-121", 98.2, False),
    ),
    "spca-sgd": (("Mahdi et al. 2021", 94.40, False),),
    "darknet19x1": (("Rahman et al. 2023, features selected by mRMR", 99.94, False),),
    "resnet50x1": (("Gokulkrishnan et al. 2023", 98.0, True),),
    "resnet101x1": (("Gokulkrishnan et al. 2023", 98.0, True),),
    "dnn-tusar": (("Tusar and Anik 2022", 96.13, False),),
    "dnn-dogan": (("Dogan et al. 2023", 98.0, False),),
    "cnn-kadhim": (("Kadhim et al. 2023", 98.15, False),),
    "pso-pca": (("Atteia et al. 2023", 97.4, False),),
    "densenet121x1": (("Hagar et al. 2023, with VGG16", 98.2, False),),
}

# About the test images behind each figure of the paper: a tenth of 3,256.
TEST_IMAGES = 325


CLASSES = frozenset({"Benign", "Early", "Pre", "Pro"})


def are_of_paper(classes: Iterable[str]) -> bool:
    """Whether these are the paper's classes, so that its figures may stand beside others."""
    return set(classes) == CLASSES


def methods(judged: Iterable[tuple[str, Mapping[str, Any]]], with_paper: bool) -> Iterator[tuple[str, ...]]:
    """Methods by name and metrics, below Table 2: rows of name, number of images and METRICS, as words."""
    for method, values in TABLE_2 if with_paper else ():
        yield method, "-", *("-" if value is None else f"{value:.2f}" for value in values)
    for method, metrics in judged:
        values = (metrics["accuracy"]["value"], *(metrics[name] for name in ("precision", "recall", "f1", "mcc")))
        yield method, str(metrics["n"]), *("-" if value is None else f"{100 * value:.2f}" for value in values)
