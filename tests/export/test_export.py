import shutil

import numpy as np
import onnx
import pytest

from allkit.training.backend import prepare

prepare()

import keras  # noqa: E402

from allkit import Classifier  # noqa: E402
from allkit.contract import METADATA_KEY  # noqa: E402
from allkit.errors import AllkitError  # noqa: E402
from allkit.export import export as room  # noqa: E402
from allkit.export.export import export, verification_images  # noqa: E402
from allkit.export.fold import folded  # noqa: E402
from allkit.images import PixelPath  # noqa: E402
from allkit.stats import expected_calibration_error  # noqa: E402
from allkit.training.run import Run  # noqa: E402


@pytest.fixture(scope="module")
def exported(finished_run, smears, tmp_path_factory):
    return export(finished_run, smears, tmp_path_factory.mktemp("exported"))


def test_the_file_is_named_by_architecture_width_size_and_precision(exported):
    assert exported.path.name == "vgg16x0.0625-32-fp32.onnx"
    assert {path.name for path in exported.path.parent.iterdir()} == {
        "vgg16x0.0625-32-fp32.onnx",
        "vgg16x0.0625-32-fp32.md",
        "vgg16x0.0625-32-fp32.reliability.png",
    }


def test_the_verification_passed_on_every_image_there_is(exported):
    assert exported.verification.passed
    # 48 images in all: fewer than the 64 that a larger set would give.
    assert exported.verification.n == 48


def test_the_graph_is_plain_vgg16_with_a_named_dynamic_batch(exported):
    graph = onnx.load(exported.path).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Conv") == 13
    assert kinds.count("MaxPool") == 5
    assert not {"BatchNormalization", "Dropout"} & set(kinds)
    (image,), outputs = graph.input, {output.name: output for output in graph.output}
    assert outputs.keys() == {"probabilities", "distance"}
    probabilities = outputs["probabilities"]
    assert (image.name, image.type.tensor_type.elem_type) == ("image", onnx.TensorProto.UINT8)
    assert [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim] == ["batch", 32, 32, 3]
    assert [d.dim_param or d.dim_value for d in probabilities.type.tensor_type.shape.dim] == ["batch", 2]


def test_the_contract_says_what_the_run_says(exported, finished_run):
    contract = Classifier(exported.path, device="cpu").contract
    record = finished_run.metrics()
    assert contract.classes == ("Dull", "Vivid")
    assert contract.pixels == PixelPath(32)
    assert (contract.width, contract.precision) == (0.0625, "fp32")
    assert contract.accuracy["value"] == record["metrics"]["accuracy"]["value"]
    assert (contract.accuracy["n"], contract.accuracy["part"]) == (record["metrics"]["n"], "test")
    assert contract.baseline == record["baseline"]
    assert contract.split["protocol"] == "random (paper protocol)"
    assert contract.split["hash"] == finished_run.split.hash
    assert contract.verification["n"] == 48
    assert contract.intended_use == "research; not for diagnosis"


def test_the_file_gives_the_calibrated_probabilities_of_the_run(exported, finished_run, smears):
    paths, labels, probabilities = finished_run.read_predictions()
    classifier = Classifier(exported.path, device="cpu")
    got = np.array([list(p.probabilities.values()) for p in classifier(smears / path for path in paths)])
    # p ** (1 / T), normalised, is softmax(log p / T).
    powers = probabilities ** (1 / classifier.contract.temperature)
    assert np.allclose(got, powers / powers.sum(1, keepdims=True), atol=1e-4)
    calibration = classifier.contract.calibration
    assert calibration["n"] == len(labels)
    assert calibration["ece_after"] == pytest.approx(expected_calibration_error(got, labels), abs=1e-3)


def test_the_conformal_threshold_covers_the_validation_images_as_promised(exported, finished_run, smears):
    classifier = Classifier(exported.path, device="cpu")
    paths = finished_run.split.parts["validation"]
    predictions = classifier(smears / path for path in paths)
    covered = [path.split("/")[0] in p.prediction_set for path, p in zip(paths, predictions, strict=True)]
    assert np.mean(covered) >= 0.95
    assert classifier.contract.abstention["n"] == len(paths)


def test_the_distance_grows_away_from_the_training_images(exported, finished_run, smears):
    classifier = Classifier(exported.path, device="cpu")
    familiar = [p.distance for p in classifier(smears / path for path in finished_run.split.parts["train"])]
    # Of features with the identity as covariance the mean squared distance is their number (here 16).
    assert np.mean(np.square(familiar)) == pytest.approx(16, rel=0.15)
    (white,) = classifier([np.full((32, 32, 3), 255, np.uint8)])
    assert white.unfamiliar
    assert white.distance > max(familiar)


def test_the_card_is_for_a_person(exported):
    text = exported.card.read_text()
    for words in (
        "not for diagnosis",
        "Dull, Vivid",
        "random (paper protocol)",
        "Wilson interval",
        "nearest colour histogram",
        "48 images",
        exported.path.name,
    ):
        assert words in text


def test_a_failed_verification_leaves_nothing_behind(finished_run, smears, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "folded", lambda model, settings: keras.models.clone_model(folded(model, settings)))
    with pytest.raises(AllkitError, match="is not written, it does not agree"):
        export(finished_run, smears, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unfinished_run_names_the_command_that_finishes_it(finished_run, smears, tmp_path):
    shutil.copytree(finished_run.folder, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    with pytest.raises(AllkitError, match="--resume"):
        export(Run.open(tmp_path / "run"), smears, tmp_path / "out")


def test_a_damaged_model_file_is_named(finished_run, smears, tmp_path):
    shutil.copytree(finished_run.folder, tmp_path / "run")
    (tmp_path / "run" / "model.keras").write_bytes(b"no model")
    with pytest.raises(AllkitError, match=r"model\.keras cannot be loaded"):
        export(Run.open(tmp_path / "run"), smears, tmp_path / "out")


def test_images_that_changed_since_the_training_are_refused(finished_run, smears, tmp_path):
    shutil.copytree(smears, tmp_path / "moved")
    changed = tmp_path / "moved" / finished_run.split.parts["validation"][0]
    changed.write_bytes(changed.read_bytes() + b"\0")
    with pytest.raises(AllkitError, match="has changed since the run was trained"):
        verification_images(finished_run.split, tmp_path / "moved", PixelPath(32))


def test_the_metadata_holds_one_contract(exported):
    entries = [entry for entry in onnx.load(exported.path).metadata_props if entry.key == METADATA_KEY]
    assert len(entries) == 1
