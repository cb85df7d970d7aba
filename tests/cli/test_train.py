"""`allkit train` on the command line."""

import json

import cv2
import pytest
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

from allkit.cli.main import cli
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.runs.run import Run

pytestmark = pytest.mark.slow

SLIM = ["--recipe", "scratch", "--architecture", "patchvgg", "--size", "32", "--width", "0.0625", "--split", "random"]


def invoke(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


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


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--folds", "2", "--split", "split.json", "--out", "cv"], "a cross-validation makes its own splits"),
        (["--folds", "2", "--out", "cv", "--weights", "."], "would be tested on images that"),
        (["--weights", ".", "--out", "."], "cannot learn from itself"),
        (["--groups", "patients.csv", "--split", "random"], "a file of groups is for the grouped split"),
    ],
)
def test_options_that_contradict_each_other_are_refused(words, reason):
    with pytest.raises(AllkitError, match=reason):
        invoke("train", *words)


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
