"""The synthetic smears: repeatable, and decided by shape and texture, not by colour."""

import cv2
import numpy as np
import pytest

from allkit.data.index import scan
from allkit.data.synth import CLASSES, synthesize
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import decode

PER_CLASS = 40


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.jpg")}


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    """(images, labels): 40 smears a class as they are read back from their files."""
    dataset = scan(synthesize(tmp_path_factory.mktemp("smears"), PER_CLASS, size_px=160))
    return [decode((dataset.root / path).read_bytes()) for path in dataset.paths], dataset.labels


def nearest_neighbour_accuracy(features, labels):
    """Leave-one-out accuracy of the nearest neighbour by Euclidean distance."""
    features = np.asarray(features, float)
    distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(labels[distances.argmin(axis=1)] == labels))


def rgb_histogram(image):
    return cv2.calcHist([image], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3).ravel() / image[..., 0].size


def nuclei_features(image):
    """Median solidity and log area of the dark blobs, and the share of fine detail in their texture.

    Otsu's threshold on green, where the stain absorbs most, twice: background off, then paler cells off.
    """
    green = cv2.GaussianBlur(image[..., 1], (0, 0), 1.0)
    stained, _ = cv2.threshold(green, 0, 255, cv2.THRESH_OTSU)
    threshold, _ = cv2.threshold(green[green <= stained], 0, 255, cv2.THRESH_OTSU)
    mask = cv2.morphologyEx((green <= threshold).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = np.array([cv2.contourArea(contour) for contour in contours])
    hulls = np.array([cv2.contourArea(cv2.convexHull(contour)) for contour in contours])
    large = areas > 75
    inner = cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0
    grey = image[..., 1].astype(np.float32)
    fine = (grey - cv2.GaussianBlur(grey, (0, 0), 2.0))[inner].std() / grey[inner].std()
    return [np.median(areas[large] / hulls[large]), np.log(np.median(areas[large])), fine]


def test_a_smear_is_named_as_in_the_all_set(tmp_path):
    synthesize(tmp_path, 2, size_px=32)
    assert sorted(contents(tmp_path)) == [
        "Benign/WBC-Benign-001.jpg",
        "Benign/WBC-Benign-002.jpg",
        "Early/WBC-Malignant-Early-001.jpg",
        "Early/WBC-Malignant-Early-002.jpg",
        "Pre/WBC-Malignant-Pre-001.jpg",
        "Pre/WBC-Malignant-Pre-002.jpg",
        "Pro/WBC-Malignant-Pro-001.jpg",
        "Pro/WBC-Malignant-Pro-002.jpg",
    ]


@pytest.mark.parametrize("size_px", [32, 225])
def test_a_smear_is_an_rgb_jpeg_of_the_size_asked_for(tmp_path, size_px):
    synthesize(tmp_path, 1, size_px=size_px)
    for data in contents(tmp_path).values():
        assert data[:2] == b"\xff\xd8"
        assert decode(data).shape == (size_px, size_px, 3)


def test_the_tree_is_one_the_index_reads_without_a_warning(tmp_path):
    dataset = scan(synthesize(tmp_path / "new" / "folder", 3, size_px=32))
    assert dataset.classes == CLASSES
    assert dataset.counts() == dict.fromkeys(CLASSES, 3)
    assert not dataset.skipped


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_ones(tmp_path):
    first, again, other = (
        contents(synthesize(tmp_path / name, 2, size_px=48, seed=seed))
        for name, seed in (("first", 5), ("again", 5), ("other", 6))
    )
    assert first == again
    assert all(first[path] != other[path] for path in first)


def test_an_image_does_not_depend_on_how_many_are_drawn(tmp_path):
    few = contents(synthesize(tmp_path / "few", 1, size_px=48))
    many = contents(synthesize(tmp_path / "many", 3, size_px=48))
    assert few == {path: many[path] for path in few}


def test_no_two_smears_are_alike(tmp_path):
    files = contents(synthesize(tmp_path, 5, size_px=32))
    assert len(set(files.values())) == 5 * len(CLASSES)


def test_each_image_is_reported_once(tmp_path):
    calls = []
    synthesize(tmp_path, 3, size_px=32, on_image=lambda: calls.append(1))
    assert len(calls) == 3 * len(CLASSES)


def test_stained_nuclei_are_purple_on_a_pale_ground(smears):
    images, _ = smears
    for image in images:
        green = image[..., 1]
        nuclei = image[green <= np.percentile(green, 5)].mean(axis=0)
        ground = image[green >= np.percentile(green, 70)].mean(axis=0)
        assert nuclei[2] > nuclei[0] > nuclei[1]
        assert ground.min() > 150


@pytest.mark.parametrize("colour", [rgb_histogram, lambda image: image.mean(axis=(0, 1))], ids=["histogram", "mean"])
def test_colour_does_not_decide_the_class(smears, colour):
    images, labels = smears
    assert nearest_neighbour_accuracy([colour(image) for image in images], labels) < 0.40


def test_the_same_histogram_rule_finds_classes_that_do_differ_in_colour(smears):
    # Guards the test above: a rule that never finds anything would prove nothing.
    images, labels = smears
    darker = [(image * (1 - 0.2 * label)).astype(np.uint8) for image, label in zip(images, labels, strict=True)]
    assert nearest_neighbour_accuracy([rgb_histogram(image) for image in darker], labels) > 0.60


def test_shape_and_texture_of_the_nuclei_decide_the_class(smears):
    images, labels = smears
    features = np.array([nuclei_features(image) for image in images])
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    assert nearest_neighbour_accuracy(features, labels) > 0.70


def test_a_folder_that_holds_something_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(AllkitError, match="is not empty: name a new folder"):
        synthesize(tmp_path, 1, size_px=32)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_hidden_file_does_not_make_a_folder_full(tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"")
    assert len(contents(synthesize(tmp_path, 1, size_px=32))) == len(CLASSES)


def test_a_path_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AllkitError, match=r"cannot write to .*file: .*; name another folder"):
        synthesize(tmp_path / "file", 1, size_px=32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_class": 0}, "cannot draw 0 images per class"),
        ({"size_px": 31}, "image size 31 is out of range"),
        ({"size_px": 4097}, "image size 4097 is out of range"),
        ({"seed": -1}, "seed -1 is negative"),
    ],
)
def test_a_number_out_of_range_is_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(AllkitError, match=message):
        synthesize(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()
