import io
import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import PIL.Image
import pytest

from allkit import AllkitError, Classifier, Prediction
from allkit.classification.rows import OPTIONAL, columns
from allkit.runtime.session import Output
from models import flat, tiny_model


@pytest.fixture
def classifier(tmp_path):
    return Classifier(tiny_model(tmp_path / "m.onnx"), device="cpu", batch_size=2)


def encoded(image: np.ndarray, suffix: str, *options: int) -> bytes:
    """An RGB image as a file's content."""
    return cv2.imencode(suffix, image[:, :, ::-1], options)[1].tobytes()


def test_a_prediction_holds_label_confidence_and_one_probability_a_class(classifier):
    (prediction,) = classifier([flat(64, 96, 0)])
    assert prediction.label == "green"
    assert prediction.confidence == pytest.approx(8 / 13, abs=1e-6)
    assert prediction.probabilities == pytest.approx({"red": 4 / 13, "green": 8 / 13, "blue": 1 / 13}, abs=1e-6)
    assert list(prediction.probabilities) == ["red", "green", "blue"]
    assert prediction.error is None


def test_paths_bytes_and_arrays_of_one_image_give_one_answer(classifier, tmp_path):
    image = flat(10, 20, 200, 12, 12)
    path = tmp_path / "image.png"
    path.write_bytes(encoded(image, ".png"))
    predictions = list(classifier([path, str(path), path.read_bytes(), image]))
    assert predictions == [predictions[0]] * 4
    assert predictions[0].label == "blue"


def test_a_grey_png_has_equal_channels(tmp_path):
    model = tiny_model(tmp_path / "m.onnx", classes=("red", "green", "blue", "none"))
    grey = cv2.imencode(".png", np.full((9, 9), 64, np.uint8))[1].tobytes()
    (prediction,) = Classifier(model, device="cpu")([grey])
    # Odds 2**2 : 2**2 : 2**2 : 2**0.
    assert list(prediction.probabilities.values()) == pytest.approx([4 / 13, 4 / 13, 4 / 13, 1 / 13], abs=1e-6)


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF segment that holds only the orientation tag 0x0112 (a SHORT)."""
    tiff = b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01" + bytes([0, orientation, 0, 0]) + b"\0\0\0\0"
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:]


@pytest.mark.parametrize(
    ("orientation", "top_level"),
    [
        (1, 64 / 2),  # as stored: the top half shows both sides
        (3, 64 / 2),
        (6, 64),  # turned clockwise: the bright left side becomes the top
        (8, 0),  # turned anticlockwise: the dark right side becomes the top
    ],
)
def test_a_jpeg_is_turned_upright_by_its_exif_orientation(tmp_path, orientation, top_level):
    stored = np.zeros((16, 16, 3), np.uint8)
    stored[:, :8] = 64
    jpeg = with_orientation(encoded(stored, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 100), orientation)
    model = tiny_model(tmp_path / "m.onnx", classes=("red", "green", "blue", "none"), size_px=16, top_rows=8)
    (prediction,) = Classifier(model, device="cpu")([jpeg])
    odds = 2 ** (top_level / 32)
    assert prediction.probabilities["none"] == pytest.approx(1 / (3 * odds + 1), abs=0.005)


def test_an_error_stands_in_its_place(classifier, tmp_path):
    missing = tmp_path / "missing.png"
    predictions = list(classifier([flat(99, 0, 0), missing, b"not an image", np.zeros((4, 4)), flat(0, 99, 0)]))
    assert [prediction.label for prediction in predictions] == ["red", None, None, None, "green"]
    assert "missing.png" in predictions[1].error
    assert predictions[1] == Prediction(error=predictions[1].error)
    assert "float64" in predictions[3].error


def test_an_endless_source_is_classified_lazily(classifier):
    colours = itertools.cycle([flat(99, 0, 0), flat(0, 99, 0), flat(0, 0, 99)])
    labels = [prediction.label for prediction in itertools.islice(classifier(colours), 7)]
    assert labels == ["red", "green", "blue", "red", "green", "blue", "red"]


def test_no_images_give_no_predictions(classifier):
    assert list(classifier([])) == []


def test_one_image_of_any_kind_gives_one_prediction(classifier, tmp_path):
    image = flat(10, 20, 200, 12, 12)
    path = tmp_path / "image.png"
    path.write_bytes(encoded(image, ".png"))
    data = path.read_bytes()
    (expected,) = classifier([image])
    with PIL.Image.open(path) as picture:
        kinds = [path, str(path), data, bytearray(data), memoryview(data), image, picture, PIL.Image.fromarray(image)]
        for one in kinds:
            assert classifier(one) == expected, type(one)
        assert list(classifier(kinds)) == [expected] * len(kinds)
    assert list(classifier(np.stack([image, image]))) == [expected] * 2
    assert "no.png" in classifier(tmp_path / "no.png").error


def test_a_pil_image_is_turned_upright_and_loses_nothing(classifier):
    image = np.concatenate([flat(200, 0, 0, 12, 12), flat(0, 0, 200, 12, 12)])
    picture = PIL.Image.open(io.BytesIO(encoded(image, ".png")))
    exif = picture.getexif()
    # 6: the first row of the file is the right side of the picture.
    exif[0x0112] = 6
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    assert classifier(PIL.Image.open(buffer)) == classifier(np.rot90(image, -1))
    assert "mode I;16" in classifier(PIL.Image.fromarray(np.zeros((12, 12), np.uint16))).error
    assert "not int" in classifier([5]).__next__().error


def test_arrays_may_have_the_channel_order_of_opencv(tmp_path):
    model = tiny_model(tmp_path / "m.onnx")
    image = flat(10, 20, 200, 12, 12)
    bgr = Classifier(model, device="cpu", color="bgr")
    assert bgr(image[..., ::-1]) == Classifier(model, device="cpu")(image)
    # Files say themselves what their channels are.
    assert bgr(encoded(image, ".png")) == bgr(image[..., ::-1])
    with pytest.raises(AllkitError, match="unknown color 'BGR'"):
        Classifier(model, color="BGR")


def test_a_prediction_as_a_dictionary_has_the_names_of_the_csv(classifier):
    found = classifier(flat(64, 96, 0)).to_dict()
    assert found | {"prediction_set": None} == {
        "label": "green",
        "confidence": 0.615385,
        "red": 0.307692,
        "green": 0.615385,
        "blue": 0.076923,
        "error": None,
        "prediction_set": None,
        "uncertain": found["uncertain"],
        "unfamiliar": found["unfamiliar"],
        "trained_on": None,
        "warning": None,
    }
    assert list(found) == [name for name in columns(["red", "green", "blue"], OPTIONAL) if name != "path"]


@pytest.mark.parametrize("row", [[float("nan"), 0.5, 0.5], [1.5, -0.25, -0.25], [0.2, 0.2, 0.2], [float("inf"), 0, 0]])
def test_what_is_no_distribution_labels_nothing(tmp_path, monkeypatch, row):
    classifier = Classifier(tiny_model(tmp_path / "m.onnx"), device="cpu")
    output = Output(np.array([row], np.float32), np.zeros(1, np.float32))
    monkeypatch.setattr(classifier._model, "run", lambda batch, heatmaps: output)
    (prediction,) = classifier([flat(0, 0, 0)])
    assert prediction.label is None
    assert "invalid probabilities" in prediction.error


@pytest.mark.parametrize("name", ["batch_size", "workers", "threads"])
def test_a_plan_of_less_than_one_is_refused(tmp_path, name):
    with pytest.raises(AllkitError, match=f"{name.replace('_', ' ')} 0"):
        Classifier(tiny_model(tmp_path / "m.onnx"), **{name: 0})


def test_what_is_given_of_the_plan_is_taken_and_the_rest_is_chosen(tmp_path):
    model = tiny_model(tmp_path / "m.onnx")
    chosen = Classifier(model, device="cpu").plan
    given = Classifier(model, device="cpu", workers=3, threads=1).plan
    assert given == replace(chosen, workers=3, threads=1)


def test_several_threads_may_call_it_at_once(tmp_path):
    classify = Classifier(tiny_model(tmp_path / "m.onnx"), device="cpu", batch_size=2, workers=1, threads=1)
    images = [[flat(10 * thread, 20 * number, 200) for number in range(12)] for thread in range(8)]
    expected = [list(classify(some)) for some in images]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(lambda some: list(classify(some)), images)) == expected


def test_classifying_loads_nothing_of_the_training_stack(tmp_path):
    code = (
        "import sys\nimport allkit, allkit.cli.classify\n"
        "light = {'onnxruntime', 'cv2', 'rich'} & set(sys.modules)\nassert not light, light\n"
        "import numpy as np\n"
        "clf = allkit.Classifier(sys.argv[1], device='auto')\n"
        "assert [p.label for p in clf([np.full((8, 8, 3), (99, 0, 0), np.uint8)])] == ['red']\n"
        "from click.testing import CliRunner\n"
        "assert CliRunner().invoke(allkit.cli.classify.classify, ['gone.png', '--model', sys.argv[1]]).exit_code == 1\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'sklearn', 'onnx', 'tf2onnx', 'kagglehub'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    path = tiny_model(tmp_path / "m.onnx")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_real_images_are_all_readable(classifier, shared_data):
    paths = sorted((shared_data / "all" / "Pre").iterdir())[:5]
    predictions = list(classifier(paths))
    assert len(predictions) == 5
    for prediction in predictions:
        assert prediction.error is None
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_doubt_follows_the_thresholds_of_the_contract(tmp_path):
    path = tiny_model(
        tmp_path / "m.onnx",
        abstention={"coverage": 0.9, "threshold": 0.25},
        familiarity={"method": "none", "threshold": 50.0},
    )
    # Odds 4:2:1, 8:1:1 and 4:2:4: from a quarter on, two classes, one, and two; distances 32, 32 and 160 / 3.
    two, one, three = Classifier(path, device="cpu")([flat(64, 32, 0), flat(96, 0, 0), flat(64, 32, 64)])
    assert (two.prediction_set, two.uncertain) == (("red", "green"), True)
    assert (one.prediction_set, one.uncertain) == (("red",), False)
    assert (three.uncertain, three.unfamiliar) == (True, True)
    assert (one.distance, one.unfamiliar) == (pytest.approx(32), False)


def test_heat_maps_are_given_only_by_a_model_that_has_them(tmp_path):
    with pytest.raises(AllkitError, match="has no heat map"):
        Classifier(tiny_model(tmp_path / "m.onnx"), device="cpu", heatmaps=True)
