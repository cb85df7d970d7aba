"""The road from a tree to a measured model, on the command line."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import cv2
import pytest
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

from allkit.cli.main import cli
from allkit.data.index import read, scan
from allkit.data.protocol import listed_split
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.runs.run import Run
from trees import make_tree, write_image

pytestmark = pytest.mark.slow

SLIM = ["--recipe", "scratch", "--size", "32", "--width", "0.0625", "--split", "random"]


def invoke(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def model(finished_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("models")
    result = invoke("export", "--runs", finished_run.folder.parent, "--size", 32, "--out", out)
    assert result.exit_code == 0, result.output
    assert "largest probability difference" in result.output
    return out / "vgg16x0.0625-32-fp32.onnx"


def test_train_fills_a_run_folder_that_a_later_command_finds(smears, tmp_path):
    words = ["train", "--data", smears, *SLIM, "--epochs", "1", "--batch-size", "16", "--dropout", "0.5", "--seed", "4"]
    result = invoke(*words, "--no-reflection", "--shrink", "linear", "--jpeg-scale", "2", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "95 % Wilson interval" in result.output
    run = Run.open(tmp_path / "run")
    assert run.finished
    assert (run.settings.seed, run.settings.width) == (4, 0.0625)
    assert run.settings.pixels == PixelPath(32, shrink="linear", jpeg_scale=2)
    recipe = run.settings.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.dropout, recipe.reflection) == (1, 16, 0.5, False)
    again = invoke(*words, "--out", tmp_path / "run", "--no-reflection", "--resume")
    assert again.exit_code == 0
    assert "is finished already" in again.output


def test_train_goes_on_with_an_unfinished_run_but_not_under_other_settings(finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run.folder, folder)
    (folder / "metrics.json").unlink()
    with pytest.raises(AllkitError, match=r"started with width 0\.0625, not 0\.5"):
        invoke("train", "--out", folder, "--resume", "--width", "0.5")
    with pytest.raises(AllkitError, match="started with epochs 1, not 9"):
        invoke("train", "--out", folder, "--resume", "--epochs", "9")
    result = invoke("train", "--out", folder, "--resume")
    assert result.exit_code == 0, result.output
    assert Run.open(folder).finished


def test_resume_refuses_another_protocol_and_a_folder_without_a_run(finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run.folder, folder)
    (folder / "metrics.json").unlink()
    with pytest.raises(AllkitError, match="started with split random, not grouped"):
        invoke("train", "--out", folder, "--resume", "--split", "grouped")
    with pytest.raises(AllkitError, match="there is no run in"):
        invoke("train", "--out", tmp_path / "typo", "--resume")
    # Its making was truncated: nobody knows any more what it was to be.
    (tmp_path / "typo").mkdir()
    shutil.copy(folder / "split.json", tmp_path / "typo")
    with pytest.raises(AllkitError, match=r"there is no run in .*: leave out --resume to start one"):
        invoke("train", "--out", tmp_path / "typo", "--resume")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--folds", "2", "--split", "split.json", "--out", "cv"], "a cross-validation makes its own splits"),
        (["--folds", "2", "--out", "cv", "--teacher", "."], "would be tested on images that"),
        (["--folds", "2", "--out", "cv", "--weights", "."], "would be tested on images that"),
        (["--weights", ".", "--out", "."], "cannot learn from itself"),
        (["--groups", "patients.csv", "--split", "random"], "a file of groups is for the grouped split"),
    ],
)
def test_options_that_contradict_each_other_are_refused(words, reason):
    with pytest.raises(AllkitError, match=reason):
        invoke("train", *words)


def test_an_interrupted_training_says_how_to_resume_and_gives_status_130(smears, tmp_path):
    words = [*map(str, ["train", "--data", smears, *SLIM, "--epochs", "9999", "--out", tmp_path / "run"])]
    with subprocess.Popen([sys.executable, "-m", "allkit", *words], stderr=subprocess.PIPE, text=True) as process:
        told = ""
        while not told.startswith("epoch   2"):
            told = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        *_, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"resume after the last finished epoch with: allkit train --out {tmp_path / 'run'} --resume" in told
    assert len(Run.open(tmp_path / "run").read_history()) >= 2


def test_a_training_that_fails_in_its_first_epoch_leaves_no_run(smears, tmp_path):
    words = ["train", "--data", smears, *SLIM, "--epochs", "1", "--learning-rate", "1e30", "--out", tmp_path / "run"]
    with pytest.raises(AllkitError, match="diverged in epoch 1"):
        invoke(*words)
    assert not (tmp_path / "run").exists()


def test_a_training_writes_its_curves_for_tensorboard(smears, tmp_path):
    words = ["train", "--data", smears, *SLIM, "--epochs", "2", "--out", tmp_path / "run"]
    assert invoke(*words, "--tensorboard", tmp_path / "board").exit_code == 0
    (file,) = (tmp_path / "board" / "run" / "validation").iterdir()
    shown = [
        (event.step, value.tag, make_ndarray(value.tensor).item())
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
    ]
    history = Run.open(tmp_path / "run").read_history()
    assert [value for _, tag, value in shown if tag == "epoch_accuracy"] == pytest.approx(
        [row["validation_accuracy"] for row in history], rel=1e-5
    )
    assert [step for step, tag, _ in shown if tag == "epoch_loss"] == [0, 1]


def test_a_preview_shows_augmented_images_and_trains_nothing(smears, tmp_path):
    words = ["train", "--data", smears, *SLIM, "--out", tmp_path / "run", "--preview", tmp_path / "look.png"]
    assert invoke(*words).exit_code == 0
    assert cv2.imread(str(tmp_path / "look.png")) is not None
    assert not (tmp_path / "run").exists()


def test_folds_and_several_resumed_sizes_need_a_folder():
    for words in (["--folds", "2"], ["--resume", "--size", "32", "--size", "64"]):
        result = invoke("train", *words)
        assert result.exit_code == 2
        assert "--out" in result.stderr


def test_folds_of_different_settings_are_not_pooled(finished_run, tmp_path):
    from allkit.training.cross_validation import pool

    with pytest.raises(AllkitError, match="was trained with other settings"):
        pool([finished_run, finished_run], tmp_path)


def test_a_run_in_bfloat16_is_exported_in_float32(smears, tmp_path):
    words = ["train", "--data", smears, *SLIM, "--epochs", "1", "--precision", "bf16", "--out", tmp_path / "run"]
    assert invoke(*words).exit_code == 0
    result = invoke("export", "--run", tmp_path / "run", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "same class on 100.0%" in result.output


def test_train_uses_a_given_split(finished_run, smears, tmp_path):
    split = finished_run.folder / "split.json"
    words = ["train", "--data", smears, *SLIM, "--epochs", "1"]
    result = invoke(*words, "--split", split, "--out", tmp_path / "run")
    assert result.exit_code == 0
    groups, n = len(set(finished_run.split.groups.values())), len(finished_run.split.groups)
    assert f"random (paper protocol) split: {groups} groups of {n} images" in result.stderr
    assert Run.open(tmp_path / "run").split == finished_run.split


def test_teachers_are_recorded_without_their_folders(finished_run, smears, tmp_path):
    words = ["train", "--data", smears, *SLIM, "--epochs", "1", "--split", finished_run.folder / "split.json"]
    words += ["--teacher", finished_run.folder, "--teacher", finished_run.folder, "--out", tmp_path / "pupil"]
    assert invoke(*words).exit_code == 0
    run = Run.open(tmp_path / "pupil")
    assert run.settings.recipe.teacher == (str(finished_run.folder),) * 2
    assert run.metrics()["settings"]["recipe"]["teacher"] == [finished_run.folder.name] * 2
    with pytest.raises(AllkitError, match="nowhere is not a run folder"):
        invoke(*words[:-4], "--teacher", tmp_path / "nowhere", "--out", tmp_path / "other")


def test_a_training_is_gone_on_with_though_its_beginning_is_named_from_where_one_stands(
    finished_run, smears, tmp_path, monkeypatch
):
    monkeypatch.chdir(finished_run.folder.parent)
    words = ["train", "--data", smears, *SLIM[:-2], "--split", "tiny/split.json", "--epochs", "1"]
    words += ["--weights", "tiny", "--teacher", "tiny", "--out", tmp_path / "run"]
    assert invoke(*words).exit_code == 0
    (tmp_path / "run" / "metrics.json").unlink()
    assert invoke(*words, "--resume").exit_code == 0
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AllkitError, match="started with weights"):
        invoke(*words, "--resume")


def test_a_folder_with_a_run_in_it_is_not_trained_over(finished_run, smears):
    with pytest.raises(AllkitError, match="--resume"):
        invoke("train", "--data", smears, *SLIM, "--out", finished_run.folder)


def test_paper_weights_do_not_fit_another_width(smears, tmp_path):
    with pytest.raises(AllkitError, match="--width 1"):
        invoke("train", "--data", smears, *SLIM, "--recipe", "paper", "--out", tmp_path / "run")


def test_too_few_images_for_groups_name_the_way_out(smears, tmp_path):
    with pytest.raises(AllkitError, match="--split random"):
        invoke("train", "--data", smears, *SLIM, "--split", "grouped", "--out", tmp_path / "run")


def test_cross_validation_pools_one_prediction_an_image(smears, tmp_path):
    words = ["train", "--data", smears, *SLIM, "--epochs", "1", "--folds", "2", "--out", tmp_path / "cv"]
    result = invoke(*words, "--split", "grouped", "--block-length", "2")
    assert result.exit_code == 0, result.output
    assert "2 folds of the grouped split" in result.output
    record = json.loads((tmp_path / "cv" / "metrics.json").read_text())
    assert record["metrics"]["n"] == 48
    assert sum(fold["n"]["test"] for fold in record["folds"]) == 48
    rights = [fold["accuracy"]["value"] * fold["n"]["test"] for fold in record["folds"]]
    assert record["metrics"]["accuracy"]["value"] == pytest.approx(sum(rights) / 48)
    assert record["split"]["protocol"] == "grouped"
    assert record["split"]["parameters"]["block_length"] == 2
    assert record["baseline"]["method"] == "nearest colour histogram"
    assert (tmp_path / "cv" / "confusion.png").is_file()


@pytest.fixture(scope="module")
def first_fold(smears, tmp_path_factory):
    """A cross-validation of two folds, the second of which was never begun; returns its folder and its options."""
    out = tmp_path_factory.mktemp("begun") / "cv"
    words = ["train", *SLIM, "--epochs", "1", "--folds", "2", "--seed", "5"]
    assert invoke(*words, "--data", smears, "--out", out).exit_code == 0
    shutil.rmtree(out / "fold-2")
    (out / "metrics.json").unlink()
    return out, words


def test_a_cross_validation_goes_on_with_the_same_images_in_another_place(first_fold, smears, tmp_path):
    begun, words = first_fold
    shutil.copytree(begun, tmp_path / "cv")
    shutil.copytree(smears, tmp_path / "mount")
    result = invoke(*words, "--data", tmp_path / "mount", "--out", tmp_path / "cv", "--resume")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "cv" / "metrics.json").read_text())["metrics"]["n"] == 48


def test_what_could_not_be_pooled_is_refused_before_it_is_trained(first_fold, smears, tmp_path):
    begun, words = first_fold
    shutil.copytree(begun, tmp_path / "cv")
    shutil.copytree(smears, tmp_path / "other")
    first, second = sorted((tmp_path / "other" / "Dull").iterdir())[:2]
    shutil.copy(second, first)
    rest = ["--out", tmp_path / "cv", "--resume"]
    with pytest.raises(AllkitError, match=rf"fold-2 would have other settings .*Dull/{first.name} has other content"):
        invoke(*words, "--data", tmp_path / "other", *rest)
    # An option that was left out, not one that was changed.
    with pytest.raises(AllkitError, match=r"fold-2 would have other settings than .*fold-1 \(seed 0, not 5\)"):
        invoke(*words[:-2], "--data", smears, *rest)
    with pytest.raises(AllkitError, match=r"fold-1 was trained with other settings \(folds 2, not 3\)"):
        invoke(*words, "--folds", "3", "--data", smears, *rest)
    with pytest.raises(AllkitError, match="is a run and no cross-validation"):
        invoke(*words, "--data", smears, "--out", tmp_path / "cv" / "fold-1", "--resume")
    assert not (tmp_path / "cv" / "fold-2").exists()


def test_no_statistics_can_be_asked_for_and_are_kept(smears, tmp_path):
    words = ["train", "--data", smears, *SLIM, "--epochs", "1", "--out", tmp_path / "run"]
    result = invoke(*words, "--plain-statistics", "none")
    assert result.exit_code == 0, result.output
    assert Run.open(tmp_path / "run").settings.recipe.plain_statistics is None
    assert Run.open(tmp_path / "run").metrics()["settings"]["recipe"]["plain_statistics"] is None
    assert invoke(*words, "--plain-statistics", "none", "--resume").exit_code == 0
    with pytest.raises(AllkitError, match=r"started with plain statistics none, not 0\.5"):
        invoke(*words, "--plain-statistics", "0.5", "--resume")
    assert invoke(*words, "--plain-statistics", "half").exit_code == 2


@pytest.fixture
def waiting(finished_run, tmp_path):
    """The folder of an unfinished run on a split that groups.csv made, and that file."""
    groups = tmp_path / "groups.csv"
    groups.write_text(
        "\n".join(["path,patient", *(f"{path},{i // 2}" for i, path in enumerate(finished_run.split.groups))])
    )
    images = read(scan(finished_run.settings.data))
    split = listed_split(images, finished_run.settings.seed, groups)
    Run.create(tmp_path / "run", finished_run.settings, split)
    return tmp_path / "run", groups


def test_resume_refuses_other_groups_and_another_split_by_content(waiting, finished_run, tmp_path):
    folder, groups = waiting
    words = ["train", "--out", folder, "--resume"]
    renamed = shutil.copy(groups, tmp_path / "renamed.csv")
    other = tmp_path / "other.csv"
    other.write_text(groups.read_text().replace(",3\n", ",4\n"))
    assert other.read_text() != groups.read_text()
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (groups, other)]
    with pytest.raises(AllkitError, match=rf"started with groups file {digests[0]}, not file {digests[1]}"):
        invoke(*words, "--groups", other)
    with pytest.raises(AllkitError, match="started with block length none, not 3"):
        invoke(*words, "--block-length", "3")
    with pytest.raises(AllkitError, match="started with a split of protocol grouped, not random"):
        invoke(*words, "--split", finished_run.folder / "split.json")
    split = Run.open(folder).split
    swapped = {**split.parts, "train": split.parts["validation"], "validation": split.parts["train"]}
    replace(split, parts=swapped).save(tmp_path / "swapped.json")
    with pytest.raises(AllkitError, match=f"started with a split of hash {split.hash}, not"):
        invoke(*words, "--split", tmp_path / "swapped.json")
    # The same content under another name is the same.
    result = invoke(*words, "--groups", renamed, "--split", "grouped")
    assert result.exit_code == 0, result.output
    assert invoke(*words, "--split", folder / "split.json").exit_code == 0


def test_a_split_from_a_file_is_not_taken_for_one_of_the_seed(finished_run, tmp_path):
    settings = replace(finished_run.settings, seed=9)
    Run.create(tmp_path / "run", settings, finished_run.split)
    with pytest.raises(AllkitError, match="started with a split of seed 3, not 9"):
        invoke("train", "--out", tmp_path / "run", "--resume", "--split", "random")


def test_export_of_a_size_without_a_run_names_those_there_are(finished_run):
    with pytest.raises(AllkitError, match="runs at 32 px"):
        invoke("export", "--runs", finished_run.folder.parent, "--size", 200)
    with pytest.raises(AllkitError, match="trained at 32 px, not 64"):
        invoke("export", "--run", finished_run.folder, "--size", 64)


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
