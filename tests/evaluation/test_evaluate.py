from dataclasses import replace

import cv2
import numpy as np
import pytest

from allkit.data.index import read, scan
from allkit.data.split import Split
from allkit.errors import AllkitError
from allkit.evaluation.evaluate import evaluate_model
from allkit.evaluation.subject import subject
from allkit.metrics import compare_accuracies
from allkit.runtime.classifier import Classifier
from models import flat, tiny_model


def write(root, name, images):
    for i, image in enumerate(images):
        (root / name).mkdir(exist_ok=True)
        cv2.imwrite(str(root / name / f"{i}.png"), image[:, :, ::-1])


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Two of three reds and all three greens look it; one red is green."""
    root = tmp_path_factory.mktemp("tree")
    write(root, "red", [flat(96, 0, 0), flat(64, 0, 0), flat(0, 64, 0)])
    write(root, "green", [flat(0, 96, 0), flat(0, 64, 32), flat(32, 64, 0)])
    return root


@pytest.fixture(scope="module")
def classifier(tree, tmp_path_factory):
    return Classifier(tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx"), device="cpu")


@pytest.fixture(scope="module")
def images(tree):
    return read(scan(tree))


def test_metrics_and_uncertainty_are_those_worked_out_by_hand(classifier, images):
    evaluation = evaluate_model(classifier, subject(images))
    assert evaluation.metrics.n == 6
    # Classes in the order of the model: red, green, blue.
    assert evaluation.metrics.confusion == [[2, 1, 0], [0, 3, 0], [0, 0, 0]]
    # Odds 8:1:1, 4:1:1, 4:1:1 (wrong), 8:1:1, 4:2:1, 4:2:1. From 0.6 on a class is in the set: 8/10 and 4/6 are.
    uncertainty = evaluation.uncertainty
    assert uncertainty.uncertain.value == pytest.approx(2 / 6)
    assert uncertainty.coverage.value == pytest.approx(3 / 6)
    assert uncertainty.accuracy_of_certain.value == pytest.approx(3 / 4)
    assert uncertainty.unfamiliar.value == 0
    assert uncertainty.promised_coverage == 0.9
    assert uncertainty.n_certain == 4
    # Confidences .8, 4/6, 4/6 (wrong), .8, 4/7, 4/7 fall into three bins of a fifteenth.
    assert uncertainty.calibration_error == pytest.approx((2 * (1 - 0.8) + 2 * (4 / 6 - 1 / 2) + 2 * (1 - 4 / 7)) / 6)


def test_misclassified_images_are_listed_the_most_confident_first(tree, classifier, images):
    evaluation = evaluate_model(classifier, subject(images))
    (mistake,) = evaluation.mistakes
    assert (mistake.path, mistake.truth, mistake.label) == ("red/2.png", "red", "green")
    assert mistake.confidence == pytest.approx(4 / 6)
    (listed,) = evaluation.to_dict()["misclassified"]
    assert listed == {"path": "red/2.png", "truth": "red", "label": "green", "confidence": mistake.confidence}


def test_without_a_split_the_baseline_leaves_one_out(classifier, images):
    on = subject(images)
    record = evaluate_model(classifier, on).to_dict()
    assert record["baseline"]["method"] == "nearest colour histogram, leaving one out"
    assert (record["part"], record["split"]) == ("all", {"protocol": "none: all images"})
    assert record["seen_in_training"] == "unknown"
    assert record["intended_use"] == "research; not for diagnosis"


def test_a_part_of_a_split_is_measured_against_its_training_part(classifier, images):
    paths = images.dataset.paths
    parts = {"train": ("green/0.png", "red/0.png"), "validation": ("green/1.png",)}
    parts["test"] = tuple(path for path in paths if path not in sum(parts.values(), ()))
    split = Split("random", {}, parts, images.hashes_by_path, {path: i for i, path in enumerate(paths)})
    on = subject(images, split)
    evaluation = evaluate_model(classifier, on)
    assert on.paths == ["green/2.png", "red/1.png", "red/2.png"]
    assert evaluation.to_dict()["split"]["hash"] == split.hash
    assert evaluation.metrics.accuracy.value == pytest.approx(2 / 3)
    assert "f1" in evaluation.metrics.intervals
    # Every test image differs from both training images in all its pixels: the first counts, green.
    assert on.baseline.value == pytest.approx(1 / 3)


def test_images_that_are_not_those_of_the_split_are_refused(images):
    hashes = {**images.hashes_by_path, "red/0.png": "other"}
    with pytest.raises(AllkitError, match=r"red/0\.png has changed"):
        subject(images, Split("random", {}, {"train": (), "validation": (), "test": ()}, hashes, {}))


def test_a_class_that_the_model_does_not_know_is_named(images, tmp_path):
    other = Classifier(tiny_model(tmp_path / "other.onnx", classes=("blue", "green")), device="cpu")
    with pytest.raises(AllkitError, match="does not know the class 'red'"):
        evaluate_model(other, subject(images))


def test_models_are_paired_by_being_right_whatever_the_order_of_their_classes(classifier, images, tmp_path):
    # Biased towards its third class, red: 2 ** 3 outweighs 96 / 32 = 3 only in a tie, which the first class wins.
    turned = tiny_model(tmp_path / "turned.onnx", classes=("blue", "green", "red"))
    first, second = (evaluate_model(model, subject(images)) for model in (classifier, Classifier(turned, device="cpu")))
    pair = compare_accuracies(first.right, second.right)
    # The second model reads red pixels as blue: it knows no red image, and green as the first does.
    assert (pair.only_a_right, pair.only_b_right) == (2, 0)
    assert pair.p_value == pytest.approx(0.5)
    assert np.isclose(pair.difference, 2 / 6)


def test_groups_of_a_split_are_in_every_interval_and_in_the_paired_test(classifier, images):
    # All six images are tested, in two groups: the greens, and the reds of which one is green.
    paths = images.dataset.paths
    split = Split("grouped", {}, {"train": paths[:1], "validation": (), "test": paths}, images.hashes_by_path, {})
    split = replace(split, groups={path: int(path.startswith("red")) for path in paths})
    found, alone = evaluate_model(classifier, subject(images, split)), evaluate_model(classifier, subject(images))
    assert (found.metrics.groups, alone.metrics.groups) == (2, None)
    for one, other in (
        (found.metrics.accuracy, alone.metrics.accuracy),
        (found.uncertainty.coverage, alone.uncertainty.coverage),
        (found.uncertainty.uncertain, alone.uncertainty.uncertain),
        (found.uncertainty.unfamiliar, alone.uncertainty.unfamiliar),
    ):
        assert one.value == other.value
        assert one.high - one.low > other.high - other.low
    # Against one that is wrong on two of the reds and two of the greens: two groups lean the same way.
    worse = replace(found, predicted=np.where(np.arange(6) % 3 < 2, 2, found.predicted))
    assert compare_accuracies(found.right, worse.right, found.subject.groups).p_value == pytest.approx(2 / 2**2)
    assert compare_accuracies(alone.right, worse.right).p_value == pytest.approx(2 / 2**4)
