"""`allkit evaluate` on the command line."""

import hashlib
import json
import os
import shutil

import pytest
from click.testing import CliRunner

from allkit.cli.main import cli
from allkit.errors import AllkitError
from trees import make_tree, write_image

pytestmark = pytest.mark.slow


def invoke(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def model(finished_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("models")
    result = invoke("export", "--runs", finished_run.folder.parent, "--size", 32, "--out", out)
    assert result.exit_code == 0, result.output
    assert "largest probability difference" in result.output
    return out / "vgg16x0.0625-32-fp32.onnx"


def test_evaluate_on_the_test_part_agrees_with_the_record_of_the_run(model, finished_run, smears):
    words = ["evaluate", model, "--data", smears, "--split", finished_run.folder / "split.json", "--json"]
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["part"] == "test"
    groups = len(set(finished_run.split.groups.values()))
    assert f"random (paper protocol) split: {groups} groups of 48 images" in result.stderr
    assert record["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert record["split"]["hash"] == finished_run.split.hash
    assert record["metrics"]["confusion"] == finished_run.metrics()["metrics"]["confusion"]


def test_the_test_part_of_a_models_own_split_needs_no_file(model, finished_run, smears, tmp_path):
    words = ["evaluate", model, "--json"]
    given = invoke(*words, "--data", smears, "--split", finished_run.folder / "split.json")
    record = json.loads(given.stdout)
    assert json.loads(invoke(*words, "--data", smears, "--part", "test").stdout) == record
    # A superset under other names: whatever else is there, the part is the same.
    for path in smears.rglob("*.png"):
        target = tmp_path / "more" / path.parent.name / f"copy of {path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for i in range(9):
        write_image(tmp_path / "more" / "Dull" / f"other-{i}.png", 1000 + i)
    result = invoke(*words, "--data", tmp_path / "more", "--part", "test")
    n = len(finished_run.split.parts["test"])
    assert f"{n} of {n} images of the test part" in result.stderr
    assert f"its split has {len(set(finished_run.split.groups.values()))} groups" in result.stderr
    found = json.loads(result.stdout)
    assert found["metrics"]["confusion"] == record["metrics"]["confusion"]
    assert found["baseline"] == record["baseline"]


def test_a_part_is_measured_as_far_as_it_is_there(model, finished_run, smears, tmp_path):
    test = finished_run.split.parts["test"]
    for path in test[:1] + test[-1:]:
        (tmp_path / "few" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(smears / path, tmp_path / "few" / path)
    result = invoke("evaluate", model, "--data", tmp_path / "few", "--part", "test", "--json")
    assert f"2 of {len(test)} images of the test part" in result.stderr
    found = json.loads(result.stdout)
    assert found["metrics"]["n"] == 2
    assert found["baseline"]["method"] == "nearest colour histogram, leaving one out"
    make_tree(tmp_path / "others", {"Dull": 25, "Vivid": 25}, size_px=16)
    with pytest.raises(AllkitError, match=f"none of the {len(test)} images of the test part"):
        invoke("evaluate", model, "--data", tmp_path / "others", "--part", "test")


def test_evaluate_compares_models_in_pairs_and_under_shifts(model, finished_run, smears):
    split = finished_run.folder / "split.json"
    result = invoke("evaluate", model, model, "--data", smears, "--split", split, "--shift", "--json")
    record = json.loads(result.stdout)
    assert len(record["evaluations"]) == 2
    (pair,) = record["pairs"]
    assert (pair["difference"], pair["p_value"]) == (0, 1)
    shifts = record["evaluations"][0]["shifts"]
    assert shifts["rows"][0]["accuracy"] == record["evaluations"][0]["metrics"]["accuracy"]
    assert len(shifts["rows"]) == 14
    shown = invoke("evaluate", model, model, "--data", smears, "--split", split)
    assert "exact McNemar test" in shown.stdout
    assert "accuracy of the certain images" in shown.stdout


def test_evaluate_prints_tables_and_leaves_training_images_out(model, finished_run, smears):
    result = invoke("evaluate", model, "--data", smears)
    assert result.exit_code == 0
    assert "confusion matrix" in result.stdout
    trained = 48 - len(finished_run.split.parts["test"])
    assert f"n = {48 - trained}" in result.stdout
    assert f"{trained} of 48 images were trained on" in result.stderr
    kept = json.loads(invoke("evaluate", model, "--data", smears, "--include-trained", "--json").stdout)
    assert kept["metrics"]["n"] == 48
    assert kept["seen_in_training"] == "yes"
    assert kept["trained_on"]["left_out"] == 0


def test_evaluate_names_what_cannot_be_measured_without_what_was_trained_on(model, finished_run, smears, tmp_path):
    for path in finished_run.split.parts["train"]:
        (tmp_path / "train" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(smears / path, tmp_path / "train" / path)
    n = len(finished_run.split.parts["train"])
    with pytest.raises(AllkitError, match=f"was trained on all {n} images"):
        invoke("evaluate", model, "--data", tmp_path / "train")
    found = json.loads(invoke("evaluate", model, "--data", tmp_path / "train", "--part", "train", "--json").stdout)
    assert (found["metrics"]["n"], found["seen_in_training"]) == (n, "yes")


def test_evaluate_names_an_unreadable_image_and_exits_with_1(model, smears, tmp_path):
    shutil.copytree(smears, tmp_path / "tree")
    (tmp_path / "tree" / "Dull" / "broken.png").write_bytes(b"no image")
    result = invoke("evaluate", model, "--data", tmp_path / "tree")
    assert result.exit_code == 1
    assert "Dull/broken.png: not a readable image" in result.stderr
    assert "of 48 images were trained on" in result.stderr


def test_evaluate_refuses_a_class_that_the_model_does_not_know(model, smears, tmp_path):
    shutil.copytree(smears, tmp_path / "tree")
    os.rename(tmp_path / "tree" / "Dull", tmp_path / "tree" / "Unknown")
    with pytest.raises(AllkitError, match="does not know the class 'Unknown'"):
        invoke("evaluate", model, "--data", tmp_path / "tree")
