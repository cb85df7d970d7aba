"""Which images are measured: every case is worked out from which files were copied where."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from allkit.benchmark.measure.accuracy import AccuracyMeasurement
from allkit.benchmark.record.paired import paired_accuracies
from allkit.data.index import Images, read, scan
from allkit.data.split import Split
from allkit.errors import AllkitError
from allkit.evaluation.evaluate import evaluate_model
from allkit.evaluation.subject import part_of, subject, trained_on, without_trained
from allkit.model.training_images import TrainingImages
from allkit.runtime.classifier import Classifier
from models import tiny_model


@dataclass(frozen=True)
class Trained:
    """A tree of 48 images, two of them the same file, dealt out: 30 to train on, 6 to validate, 12 to test."""

    images: Images
    split: Split
    model: Path

    @property
    def root(self) -> Path:
        return self.images.dataset.root


def draw(path: Path, seed: int) -> None:
    """Soft blots, 64 x 64 pixels: noise without detail, which a change of size keeps."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.resize(noise, (64, 64), interpolation=cv2.INTER_CUBIC))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Trained:
    root = tmp_path_factory.mktemp("trained") / "tree"
    for i in range(48):
        draw(root / ("red" if i < 24 else "green") / f"{'red' if i < 24 else 'green'}-{i % 24 + 1}.png", i)
    # The last two of the test part are one file: they stand in one group.
    shutil.copy(root / "red" / "red-23.png", root / "red" / "red-24.png")
    images = read(scan(root))
    paths = images.dataset.paths
    parts = {
        "train": paths[:15] + paths[24:39],
        "validation": paths[15:18] + paths[39:42],
        "test": paths[18:24] + paths[42:],
    }
    groups = {path: min(i, 46) for i, path in enumerate(paths)}
    split = Split("random", {}, parts, images.hashes_by_path, groups)
    model = listed(tmp_path_factory.mktemp("model") / "tiny.onnx", images, split)
    return Trained(images, split, model)


def listed(path: Path, images: Images, split: Split) -> Path:
    pictures = dict(zip(images.dataset.paths, images.pictures[:, 0], strict=True))
    told = TrainingImages.of(split.parts, split.hashes, split.groups, pictures)
    return tiny_model(path, images=told, split=split.summary())


def opened(trained: Trained) -> Classifier:
    return Classifier(trained.model, device="cpu")


def copied(trained: Trained, root: Path, paths, name=lambda path: path) -> Path:
    for path in paths:
        target = root / name(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(trained.root / path, target)
    return root


def measured(classifier: Classifier, root: Path):
    images = read(scan(root))
    return evaluate_model(classifier, without_trained(subject(images), [classifier]))


def counts(found) -> tuple[int, int, int, int]:
    return found.exact, found.near, found.none, found.left_out


def test_of_48_images_36_were_trained_on_and_are_left_out(trained):
    found = measured(opened(trained), trained.root)
    assert found.metrics.n == 12
    assert found.seen_in_training == "no"
    assert counts(found.trained_on) == (36, 0, 12, 36)
    assert found.trained_on.text == "36 of 48 images were trained on (exact copies: 36, near copies: 0); left out: 36"
    assert sorted(found.subject.paths) == sorted(trained.split.parts["test"])
    # The two files of the same content are one group.
    assert found.metrics.groups == 11


def test_one_image_more_than_the_training_set_changes_nothing(trained, tmp_path):
    root = copied(trained, tmp_path / "given", trained.split.parts["train"])
    draw(root / "red" / "new.png", 100)
    found = measured(opened(trained), root)
    assert found.subject.paths == ["red/new.png"]
    assert counts(found.trained_on) == (30, 0, 1, 30)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_subset_under_other_names_is_known(trained, tmp_path, suffix):
    paths = [*trained.split.parts["train"][::3], *trained.split.parts["test"][::2]]
    names = {path: tmp_path / "given" / path.partition("/")[0] / f"x{i}.{suffix}" for i, path in enumerate(paths)}
    for path, target in names.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        if suffix == "png":
            shutil.copy(trained.root / path, target)
        else:
            cv2.imwrite(str(target), cv2.imread(str(trained.root / path)), [cv2.IMWRITE_JPEG_QUALITY, 95])
    found = measured(opened(trained), tmp_path / "given")
    # Ten of the thirty, and six of the twelve.
    assert counts(found.trained_on) == ((10, 0, 6, 10) if suffix == "png" else (0, 10, 6, 10))
    assert found.metrics.n == 6


def changed(image: np.ndarray, size_px: int, turns: int) -> np.ndarray:
    resized = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA if size_px < 64 else cv2.INTER_CUBIC)
    return np.rot90(resized, turns)[:, :: -1 if turns % 2 else 1]


@pytest.mark.parametrize(("size_px", "turns"), [(32, 0), (100, 0), (64, 1), (48, 3)])
def test_images_of_another_size_or_orientation_are_near_copies(trained, tmp_path, size_px, turns):
    for path in trained.split.parts["train"]:
        target = tmp_path / "given" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), changed(cv2.imread(str(trained.root / path)), size_px, turns))
    with pytest.raises(AllkitError, match="was trained on all 30 images"):
        measured(opened(trained), tmp_path / "given")


def test_the_test_part_is_found_in_a_superset_under_other_names(trained, tmp_path):
    root = copied(trained, tmp_path / "more", trained.images.dataset.paths, lambda path: path.replace("-", "_copy_"))
    # A third file of the content that the split has twice.
    shutil.copy(trained.root / "red" / "red-23.png", root / "red" / "again.png")
    for i in range(10):
        draw(root / "red" / f"stranger-{i}.png", 200 + i)
    on, count = part_of(read(scan(root)), opened(trained), "test")
    assert count == len(on.rows) == 12
    assert sorted(path for path in on.paths if "again" not in path and "23" not in path and "24" not in path) == sorted(
        path.replace("-", "_copy_") for path in trained.split.parts["test"] if "23" not in path and "24" not in path
    )
    assert len(set(on.groups.tolist())) == 11
    exact, _ = part_of(trained.images, opened(trained), "test")
    assert (on.baseline, on.baseline_method) == (exact.baseline, "nearest colour histogram")


def test_what_a_model_does_not_tell_is_unknown(trained, tmp_path):
    silent = Classifier(tiny_model(tmp_path / "silent.onnx"), device="cpu")
    on = without_trained(subject(trained.images), [silent])
    assert len(on.rows) == 48
    assert trained_on(on, silent) == ("unknown", None)
    with pytest.raises(AllkitError, match="does not list the images of its split"):
        part_of(trained.images, silent)


def test_of_several_models_none_may_have_been_trained_on_an_image(trained, tmp_path):
    parts = dict(zip(("test", "validation", "train"), trained.split.parts.values(), strict=True))
    turned = Split("random", {}, parts, trained.split.hashes, trained.split.groups)
    other = Classifier(listed(tmp_path / "other.onnx", trained.images, turned), device="cpu")
    on, _ = part_of(trained.images, opened(trained), "test")
    with pytest.raises(AllkitError, match=r"tiny\.onnx or other\.onnx was trained on all 12"):
        without_trained(on, [opened(trained), other])
    kept = subject(trained.images, trained.split, "test")
    assert trained_on(kept, other)[0] == "yes"
    assert trained_on(kept, opened(trained))[0] == "no"


def test_an_image_that_the_split_holds_aside_is_kept_though_it_looks_like_one_trained_on(trained, tmp_path):
    root = copied(trained, tmp_path / "given", [*trained.split.parts["train"][:20], *trained.split.parts["test"]])
    twin = root / "red" / "red-23.png"
    path = trained.split.parts["train"][0]
    cv2.imwrite(str(twin), cv2.resize(cv2.imread(str(trained.root / path)), (60, 60), interpolation=cv2.INTER_AREA))
    images = read(scan(root))
    split = trained.split
    hashes = {**split.hashes, "red/red-23.png": images.hashes_by_path["red/red-23.png"]}
    pictures = dict(zip(trained.images.dataset.paths, trained.images.pictures[:, 0], strict=True))
    told = TrainingImages.of(split.parts, hashes, split.groups, pictures)
    model = tiny_model(tmp_path / "twin.onnx", images=told, split=split.summary())
    found = measured(Classifier(model, device="cpu"), root)
    assert found.metrics.n == 12
    assert found.trained_on.held_aside == found.trained_on.near == 1
    assert found.seen_in_training == "no"


def test_a_benchmark_measures_the_test_part_wherever_it_lies(trained, tmp_path):
    exact = AccuracyMeasurement(trained.images).evaluate(opened(trained))
    assert (exact["part"], exact["metrics"]["n"]) == ("test", 12)
    more = copied(trained, tmp_path / "more", trained.images.dataset.paths)
    draw(more / "red" / "new.png", 100)
    among = AccuracyMeasurement(read(scan(more))).evaluate(opened(trained))
    assert among["metrics"] == exact["metrics"]
    # The same images, though the folders are not: they can be compared.
    found = paired_accuracies(exact, among)
    assert (found.difference, found.p_value) == (0, 1)


def test_a_benchmark_leaves_out_what_was_trained_on_where_the_part_is_not_whole(trained, tmp_path):
    parts = trained.split.parts
    root = copied(trained, tmp_path / "some", [*parts["train"][:7], *parts["train"][-7:], *parts["test"][1:]])
    found = AccuracyMeasurement(read(scan(root))).evaluate(opened(trained))
    assert (found["part"], found["metrics"]["n"], found["seen_in_training"]) == ("all", 11, "no")
    assert found["trained_on"]["exact"] == found["trained_on"]["left_out"] == 14
    assert found["baseline"]["method"] == "nearest colour histogram of 14 training images"
    trained_only = copied(trained, tmp_path / "train", parts["train"])
    with pytest.raises(AllkitError, match="was trained on all 30 images"):
        AccuracyMeasurement(read(scan(trained_only))).evaluate(opened(trained))
