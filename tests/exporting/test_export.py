import shutil

import numpy as np
import onnx
import pytest

from allkit.training.backend import prepare

prepare()

import keras  # noqa: E402

from allkit import Classifier  # noqa: E402
from allkit.errors import AllkitError  # noqa: E402
from allkit.exporting import precision as precision_room  # noqa: E402
from allkit.exporting import prepare as room  # noqa: E402
from allkit.exporting.export import export_run  # noqa: E402
from allkit.exporting.fold import folded  # noqa: E402
from allkit.exporting.gate import Gate, check  # noqa: E402
from allkit.exporting.options import ExportOptions  # noqa: E402
from allkit.exporting.prepare import verification_images  # noqa: E402
from allkit.imaging.pixel_path import PixelPath  # noqa: E402
from allkit.metrics import expected_calibration_error  # noqa: E402
from allkit.model.contract import METADATA_KEY  # noqa: E402
from allkit.runs.run import Run  # noqa: E402

pytestmark = pytest.mark.slow


def make(run, data, out, **options):
    return export_run(
        run, data, out, ExportOptions([run.folder], out, **{"precisions": ("fp32",), **options}), lambda text: None
    )


@pytest.fixture(scope="module")
def every(finished_run, smears, tmp_path_factory):
    """All precisions with a heat map."""
    out = tmp_path_factory.mktemp("every")
    # One epoch on 36 images: a network that hesitates, and 4 validation images that a single flip drops by a quarter.
    return make(finished_run, smears, out, precisions=("fp32", "fp16", "int8"), heatmap=True, max_drop=1.0)


@pytest.fixture(scope="module")
def exported(finished_run, smears, tmp_path_factory):
    return make(finished_run, smears, tmp_path_factory.mktemp("exported"))["fp32"]


def test_the_file_is_named_by_architecture_width_size_and_precision(exported):
    assert exported.path.name == "vgg16x0.0625-32-fp32.onnx"
    assert {path.name for path in exported.path.parent.iterdir()} == {
        "vgg16x0.0625-32-fp32.onnx",
        "vgg16x0.0625-32-fp32.md",
        "vgg16x0.0625-32-fp32.reliability.png",
    }


def test_the_verification_was_on_every_image_there_is(every):
    # 48 images in all: fewer than the 64 that a larger set would give.
    assert [result.contract.verification["n"] for result in every.values()] == [48] * 3
    assert all(result.contract.verification["max_probability_difference"] < 1e-4 for result in every.values())


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
    # Of features with the identity as covariance the mean squared distance is their number (here 16); a covariance
    # of so few images is shrunk, which makes it less.
    assert np.mean(np.square(familiar)) == pytest.approx(16, rel=0.25)
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
    with pytest.raises(AllkitError, match="is not exported: its graph does not agree"):
        make(finished_run, smears, tmp_path / "out", precisions=("int8", "fp16"))
    assert not (tmp_path / "out").exists()


def test_an_unfinished_run_names_the_command_that_finishes_it(finished_run, smears, tmp_path):
    shutil.copytree(finished_run.folder, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    with pytest.raises(AllkitError, match="--resume"):
        make(Run.open(tmp_path / "run"), smears, tmp_path / "out")


def test_a_damaged_model_file_is_named(finished_run, smears, tmp_path):
    shutil.copytree(finished_run.folder, tmp_path / "run")
    (tmp_path / "run" / "model.keras").write_bytes(b"no model")
    with pytest.raises(AllkitError, match=r"model\.keras cannot be loaded"):
        make(Run.open(tmp_path / "run"), smears, tmp_path / "out")


@pytest.mark.parametrize("name", ["metrics.json", "predictions.csv"])
def test_a_damaged_record_is_named_before_anything_is_computed(finished_run, smears, tmp_path, name):
    shutil.copytree(finished_run.folder, tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(b"{}")
    told = []
    with pytest.raises(AllkitError, match=name):
        export_run(
            Run.open(tmp_path / "run"), smears, tmp_path, ExportOptions([tmp_path / "run"], tmp_path), told.append
        )
    assert told == []


def test_images_that_changed_since_the_training_are_refused(finished_run, smears, tmp_path):
    shutil.copytree(smears, tmp_path / "moved")
    changed = tmp_path / "moved" / finished_run.split.parts["validation"][0]
    changed.write_bytes(changed.read_bytes() + b"\0")
    with pytest.raises(AllkitError, match="has changed since the run was trained"):
        verification_images(finished_run.split, tmp_path / "moved", PixelPath(32))


def test_the_metadata_holds_one_contract(exported):
    entries = [entry for entry in onnx.load(exported.path).metadata_props if entry.key == METADATA_KEY]
    assert len(entries) == 1


def test_each_precision_is_a_file_that_is_run_like_any_other(every, finished_run, smears):
    assert list(every) == ["fp32", "fp16", "int8"]
    paths = [smears / path for path in finished_run.split.parts["test"]]
    rows = {}
    for precision, result in every.items():
        assert result.path.name == f"vgg16x0.0625-32-{precision}.onnx"
        classifier = Classifier(result.path, device="cpu", heatmaps=True)
        assert classifier.contract.precision == precision
        predictions = list(classifier(paths))
        rows[precision] = np.array([list(p.probabilities.values()) for p in predictions])
        assert all(p.heatmap.shape == (1, 1) for p in predictions)
    assert np.abs(rows["fp16"] - rows["fp32"]).max() < 0.01
    assert 0 < np.abs(rows["int8"] - rows["fp32"]).max() < 0.2


def test_the_heat_map_is_verified_against_automatic_differentiation(every):
    assert every["fp32"].contract.verification["max_heatmap_difference"] < 1e-4
    assert every["fp32"].contract.heatmap == {
        "method": "hirescam",
        "layer": "block5_pool",
        "height": 1,
        "width": 1,
        "stride_px": 32,
    }


def test_the_contract_records_gate_time_and_how_int8_was_chosen(every, finished_run):
    contracts = {precision: result.contract for precision, result in every.items()}
    assert contracts["fp32"].gate is None
    assert contracts["fp16"].gate["n"] == contracts["int8"].gate["n"] == 4
    assert contracts["fp16"].quantisation is None
    assert 0 < contracts["fp16"].gate["max_distance_difference"] < contracts["int8"].gate["max_distance_difference"]
    assert 0 < contracts["fp16"].gate["median_heatmap_difference"] < contracts["int8"].gate["median_heatmap_difference"]
    record = contracts["int8"].quantisation
    assert record["calibration_images"] == len(finished_run.split.parts["train"])
    assert set(record["methods"]) == {"min-max", "entropy", "percentile"}
    assert [len(row["float_layers"]) for row in record["candidates"]] == [0, 1, 2, 3, 4]
    fastest = min(record["candidates"], key=lambda row: row["ms"])
    assert record["float_layers"] == fastest["float_layers"]
    for contract in contracts.values():
        assert contract.latency["fp32_ms"] == contracts["fp32"].latency["ms"] > 0


def test_the_figures_of_a_file_are_its_own(every, finished_run, smears):
    paths, labels, _ = finished_run.read_predictions()
    for result in every.values():
        predictions = list(Classifier(result.path, device="cpu")(smears / path for path in paths))
        right = [p.label == path.split("/")[0] for p, path in zip(predictions, paths, strict=True)]
        assert result.contract.accuracy["value"] == np.mean(right)
        assert result.contract.accuracy["n"] == len(labels)


def test_the_card_of_an_int8_file_shows_the_choice(every):
    text = every["int8"].card.read_text()
    for words in ("percentile", "In float:", "block1_conv1, block1_conv2", "hirescam of block5_pool", "below fp32"):
        assert words in text


def test_a_variant_that_loses_too_much_is_not_written_and_the_others_are(finished_run, smears, tmp_path, monkeypatch):
    def flipped(proto, prepared, max_drop):
        reference = prepared.reference
        return check(reference, reference[:, ::-1], reference.argmax(1), max_drop)

    monkeypatch.setattr(precision_room, "_judge", flipped)
    results = make(finished_run, smears, tmp_path, precisions=("int8", "fp16", "fp32"))
    for precision in ("int8", "fp16"):
        assert isinstance(results[precision], AllkitError)
        assert "it loses too much accuracy: accuracy 0.00% on 4 validation images" in str(results[precision])
    assert {path.name for path in tmp_path.glob("*.onnx")} == {"vgg16x0.0625-32-fp32.onnx"}


def test_int8_leaves_the_layers_in_float_that_lose_most(finished_run, smears, tmp_path, monkeypatch):
    def picky(proto, prepared, max_drop):
        """Passes nothing in which block3_conv1 is int8, and finds block2_conv2 nearly as bad."""
        int8 = {item.name.split(".")[0] for item in proto.graph.initializer if item.name.endswith(".weight_quantized")}
        losses = {"block3_conv1": 0.2, "block2_conv2": 0.1}
        lost = sum(loss for layer, loss in losses.items() if layer in int8)
        return Gate(100, 1 - lost, lost, lost, 1.0, lost, 0.15)

    monkeypatch.setattr(precision_room, "_judge", picky)
    record = make(finished_run, smears, tmp_path, precisions=("int8",))["int8"].contract.quantisation
    assert record["float_layers"] == ["block3_conv1"]
    assert [row["passed"] for row in record["candidates"]] == [False] * 5 + [True]
    assert [row["ms"] is None for row in record["candidates"]] == [True] * 5 + [False]


def test_int8_is_calibrated_by_the_method_that_is_nearest_to_float(finished_run, smears, tmp_path, monkeypatch):
    # The one that is farthest gets an image more right.
    found = iter([Gate(100, 0.98, 0.0, 0.01, 1.0, 0.002, 0.01), Gate(100, 0.99, -0.01, 0.2, 0.9, 0.5, 0.01)])
    nearest = Gate(100, 0.98, 0.0, 0.01, 1.0, 0.001, 0.01)
    monkeypatch.setattr(precision_room, "_judge", lambda *_: next(found, nearest))
    record = make(finished_run, smears, tmp_path, precisions=("int8",))["int8"].contract.quantisation
    assert list(record["methods"]) == ["min-max", "entropy", "percentile"]
    assert record["method"] == "percentile"
