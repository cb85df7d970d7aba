import json

import cv2
import numpy as np
import pytest

from allkit import Classifier
from allkit.errors import AllkitError
from allkit.evaluation.shift_suite import evaluate_shifts
from allkit.imaging.pixel_path import PixelPath, decode
from allkit.imaging.shifts import SHIFTS
from allkit.runtime.session import Output
from models import CLASSES, flat, tiny_model

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}


@pytest.fixture
def classifier(tmp_path):
    return Classifier(tiny_model(tmp_path / "tiny.onnx"), device="cpu")


def pictures(root, each: int = 1):
    """`each` flat pictures a class, which the tiny model gets right: paths and labels."""
    paths, labels = [], []
    for label, name in enumerate(CLASSES):
        for i in range(each):
            paths.append(f"{name}-{i}.png")
            labels.append(label)
            cv2.imwrite(str(root / paths[-1]), flat(*COLOURS[name], 32, 32)[..., ::-1])
    return paths, np.array(labels, np.int64)


def by_name(record):
    return {row.name: row for row in record.rows}


def test_a_model_that_sees_colour_alone_falls_under_colour_shifts_and_not_under_the_others(tmp_path, classifier):
    record = evaluate_shifts(classifier, tmp_path, *pictures(tmp_path))
    rows = by_name(record)
    assert [row.name for row in record.rows] == ["none", *(shift.name for shift in SHIFTS)]
    assert {row.n for row in record.rows} == {3}
    # All three means are equal on grey, and the first class wins the tie.
    assert rows["grey"].accuracy.value == pytest.approx(1 / 3)
    assert rows["grey"].drop == pytest.approx(2 / 3)
    # A flat picture becomes the reference, and each other picture is of another class.
    assert rows["colour transfer"].accuracy.value == 0
    for name in rows.keys() - {"grey", "colour transfer"}:
        assert (rows[name].accuracy.value, rows[name].drop, rows[name].p_value) == (1, 0, 1), name


def test_intervals_are_wilsons_and_p_values_mcnemars(tmp_path, classifier):
    rows = by_name(evaluate_shifts(classifier, tmp_path, *pictures(tmp_path)))
    # With all of n right Wilson's lower end is n / (n + z^2).
    assert rows["none"].accuracy.low == pytest.approx(3 / (3 + 1.959964**2))
    assert rows["none"].accuracy.high == 1
    # Lost without gain: 2 of 2 images, 2 / 2^2; 3 of 3 images, 2 / 2^3.
    assert rows["grey"].p_value == pytest.approx(0.5)
    assert rows["colour transfer"].p_value == pytest.approx(0.25)


def test_mean_and_worst_leave_the_unshifted_images_out(tmp_path, classifier):
    paths, labels = pictures(tmp_path)
    record = evaluate_shifts(classifier, tmp_path, paths, labels)
    assert record.mean_accuracy == pytest.approx((11 + 1 / 3 + 0) / 13)
    assert record.worst.name == "colour transfer"
    # All labels wrong in such a way that the model is right on no picture but where it lost its way.
    wrong = evaluate_shifts(classifier, tmp_path, paths, (labels + 1) % 3)
    assert wrong.rows[0].accuracy.value == 0
    assert by_name(wrong)["grey"].drop == pytest.approx(-1 / 3)
    assert wrong.worst.name == "hue -8"


def test_an_unreadable_image_is_left_out_of_every_row_and_named(tmp_path, classifier):
    paths, labels = pictures(tmp_path)
    whole = evaluate_shifts(classifier, tmp_path, paths, labels)
    (tmp_path / "broken.png").write_bytes(b"not an image")
    record = evaluate_shifts(
        classifier, tmp_path, [*paths, "broken.png", "missing.png"], np.append(labels, [0, 0]), seed=1
    )
    assert list(record.failed) == ["broken.png", "missing.png"]
    assert "not a readable image" in record.failed["broken.png"]
    assert record.rows == whole.rows


def test_the_same_seed_gives_the_same_record_and_another_seed_other_references(tmp_path, classifier):
    paths, labels = pictures(tmp_path, each=2)
    records = [evaluate_shifts(classifier, tmp_path, paths, labels, seed) for seed in range(5)]
    assert evaluate_shifts(classifier, tmp_path, paths, labels, 3) == records[3]
    assert len({by_name(record)["colour transfer"].accuracy.value for record in records}) > 1
    assert len({record.rows[:10] for record in records}) == 1


def test_the_reference_is_uniform_over_the_other_images(tmp_path, classifier):
    # Right only when the reference is the one other picture of the class, 1 of 5.
    paths, labels = pictures(tmp_path, each=2)
    shares = [
        by_name(evaluate_shifts(classifier, tmp_path, paths, labels, seed))["colour transfer"].accuracy.value
        for seed in range(20)
    ]
    # 120 draws: mean 0.2, standard error 0.037.
    assert np.mean(shares) == pytest.approx(0.2, abs=0.11)


def test_progress_counts_every_image(tmp_path, classifier):
    paths, labels = pictures(tmp_path)
    calls = []
    evaluate_shifts(classifier, tmp_path, [*paths, "gone.png"], np.append(labels, 0), on_image=lambda: calls.append(1))
    assert len(calls) == 4


def test_one_image_is_classified_before_the_next_is_read(tmp_path, classifier):
    paths, labels = pictures(tmp_path)
    sizes = []

    class Counting:
        contract = classifier.contract

        def __call__(self, images):
            images = list(images)
            sizes.append(len(images))
            return classifier(images)

    evaluate_shifts(Counting(), tmp_path, paths, labels)
    assert sizes == [14, 14, 14]


def test_the_record_is_plain_json(tmp_path, classifier):
    paths, labels = pictures(tmp_path)
    record = evaluate_shifts(classifier, tmp_path, [*paths, "gone.png"], np.append(labels, 0), seed=7)
    loaded = json.loads(json.dumps(record.to_dict()))
    assert list(loaded) == ["schema_version", "seed", "rows", "mean_accuracy", "worst", "failed"]
    assert (loaded["schema_version"], loaded["seed"], loaded["worst"]) == (1, 7, "colour transfer")
    assert loaded["rows"][0] == {
        "name": "none",
        "n": 3,
        "accuracy": {"value": 1, "low": pytest.approx(3 / (3 + 1.959964**2)), "high": 1},
        "drop": 0,
        "p_value": 1,
    }
    assert list(loaded["failed"]) == ["gone.png"]


def test_one_readable_image_is_too_few_for_the_colour_transfer(tmp_path, classifier):
    paths, labels = pictures(tmp_path)
    with pytest.raises(AllkitError, match="at least two readable images"):
        evaluate_shifts(classifier, tmp_path, ["gone.png", paths[0]], labels[:2])


def test_no_readable_image_is_an_error_with_the_reason(tmp_path, classifier):
    with pytest.raises(AllkitError, match=r"no image in .* could be evaluated: .*gone\.png"):
        evaluate_shifts(classifier, tmp_path, ["gone.png"], np.array([0]))
    with pytest.raises(AllkitError, match="the list is empty"):
        evaluate_shifts(classifier, tmp_path, [], np.array([], np.int64))


def test_a_model_without_finite_probabilities_is_an_error(tmp_path, monkeypatch):
    broken = Classifier(tiny_model(tmp_path / "m.onnx"), device="cpu")
    nothing = Output(np.full((1, 3), np.nan, np.float32), np.zeros(1, np.float32))
    monkeypatch.setattr(
        broken._model, "run", lambda batch, maps: Output(*(v.repeat(len(batch), 0) for v in nothing[:2]))
    )
    with pytest.raises(AllkitError, match="invalid probabilities"):
        evaluate_shifts(broken, tmp_path, *pictures(tmp_path))


def test_the_unshifted_row_is_what_the_model_says_of_the_files_themselves(tmp_path):
    model = Classifier(
        tiny_model(tmp_path / "half.onnx", pixels=PixelPath(8, shrink="linear", jpeg_scale=2)), device="cpu"
    )
    paths = []
    for i in range(40):
        image = np.random.default_rng(i).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        paths.append(f"{i}.jpg")
        cv2.imwrite(
            str(tmp_path / paths[-1]), image, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        )
    told = [CLASSES.index(prediction.label) for prediction in model(tmp_path / path for path in paths)]
    halves = [decode((tmp_path / path).read_bytes(), 2) for path in paths]
    by_hand = [int(model.contract.pixels.fit(half).mean((0, 1)).argmax()) for half in halves]
    assert told == by_hand
    # Linear shrinking of the whole file looks at other pixels, and answers otherwise.
    full = [PixelPath(8, shrink="linear").load(tmp_path / path) for path in paths]
    assert told != [int(image.mean((0, 1)).argmax()) for image in full]
    assert evaluate_shifts(model, tmp_path, paths, np.array(told)).rows[0].accuracy.value == 1


def test_images_of_a_group_speak_once(tmp_path, classifier):
    # Grey makes everything red: six of nine images lost, in two groups of three.
    paths, labels = pictures(tmp_path, 3)
    alone, grouped = (
        by_name(evaluate_shifts(classifier, tmp_path, paths, labels, groups=groups))["grey"]
        for groups in (None, labels)
    )
    assert alone.drop == grouped.drop == pytest.approx(2 / 3)
    assert alone.p_value == pytest.approx(2 / 2**6)
    assert grouped.p_value == pytest.approx(2 / 2**2)
    assert grouped.accuracy.low < alone.accuracy.low
