import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from allkit.data.split import Split
from allkit.errors import AllkitError
from allkit.runs.history import Epoch
from allkit.runs.run import Run, begun
from run_folders import SPLIT, make, settings


def test_a_run_reads_back_what_was_created(tmp_path):
    made = make(tmp_path / "run", finished=False)
    assert Run.open(tmp_path / "run") == made
    assert made.settings.name == "vgg16x0.25-64"
    assert not made.finished


def test_a_folder_with_something_in_it_is_not_overwritten(tmp_path):
    make(tmp_path / "run")
    with pytest.raises(AllkitError, match="--resume"):
        make(tmp_path / "run")


def test_a_run_that_never_finished_an_epoch_may_be_started_anew(tmp_path):
    make(tmp_path / "run", size_px=64, finished=False)
    assert make(tmp_path / "run", size_px=96, finished=False) == Run.open(tmp_path / "run")
    assert Run.open(tmp_path / "run").settings.pixels.size_px == 96


@pytest.mark.parametrize("left", [[], [".allkit-0123456789abcdef.json"], ["split.json"], ["split.json", "temporary"]])
def test_a_run_whose_making_was_cut_short_may_be_started_anew(tmp_path, left):
    folder = tmp_path / "run"
    assert not begun(folder)
    folder.mkdir()
    for name in left:
        (folder / name.replace("temporary", ".allkit-0123456789abcdef.json")).write_text("{")
    assert not begun(folder)
    assert make(folder, finished=False) == Run.open(folder)
    assert begun(folder)
    assert {path.name for path in folder.iterdir()} == {"run.json", "split.json"}


@pytest.mark.parametrize("after", ["mkdir", "split.json", "run.json"])
def test_whenever_its_making_is_killed_a_run_may_be_started_anew(tmp_path, after):
    """The process ends as by SIGKILL, when the file has been written under its temporary name."""
    code = (
        "import os, sys; from pathlib import Path; sys.path[:0] = sys.argv[3:];"
        "real = os.replace;"
        "os.replace = lambda a, b: os._exit(9) if Path(b).name == sys.argv[2] else real(a, b);"
        "from run_folders import make; make(Path(sys.argv[1]), finished=False)"
    )
    folder = tmp_path / "run"
    if after == "mkdir":
        folder.mkdir()
    else:
        tests = Path(__file__).parents[1]
        process = subprocess.run([sys.executable, "-c", code, folder, after, tests], capture_output=True, check=False)
        assert process.returncode == 9, process.stderr
    assert not begun(folder)
    make(folder, finished=False)
    assert {path.name for path in folder.iterdir()} == {"run.json", "split.json"}


def test_what_is_no_run_folder_is_named(tmp_path):
    with pytest.raises(AllkitError, match="not a run folder"):
        Run.open(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(AllkitError, match="damaged"):
        Run.open(tmp_path)


def test_a_finished_training_leaves_every_file_of_a_run(finished_run):
    names = {path.name for path in finished_run.folder.iterdir()}
    assert names == {
        "run.json",
        "split.json",
        "history.csv",
        "model.keras",
        "predictions.csv",
        "metrics.json",
        "curves.png",
        "confusion.png",
    }
    assert Run.open(finished_run.folder) == finished_run


def test_the_record_says_what_was_trained_and_how_well(finished_run):
    record = json.loads((finished_run.folder / "metrics.json").read_text())
    test_part = finished_run.split.parts["test"]
    assert record["metrics"]["n"] == len(test_part)
    assert record["metrics"]["accuracy"].keys() == {"value", "low", "high"}
    assert record["split"]["hash"] == finished_run.split.hash
    assert record["settings"]["recipe"]["name"] == "scratch"
    assert record["settings"]["seed"] == 3
    assert "data" not in record["settings"]
    assert {"allkit", "keras", "tensorflow", "numpy"} <= record["versions"].keys()
    assert record["training_seconds"] > 0


def test_the_predictions_file_gives_the_accuracy_of_the_record(finished_run):
    lines = (finished_run.folder / "predictions.csv").read_text().splitlines()
    assert lines[0] == "path,truth,Dull,Vivid"
    rows = [line.split(",") for line in lines[1:]]
    assert [row[0] for row in rows] == list(finished_run.split.parts["test"])
    predicted = [finished_run.settings.classes[int(np.argmax([float(p) for p in row[2:]]))] for row in rows]
    right = [label == row[1] for label, row in zip(predicted, rows, strict=True)]
    assert np.mean(right) == finished_run.metrics()["metrics"]["accuracy"]["value"]


@pytest.fixture
def whole(tmp_path) -> Run:
    """A run of two classes whose test part has paths that are hard on CSV files, with all that is read of it."""
    test = ("A/a\rb.png", 'A/a,"b".png', "B/b\nc.png")
    parts = {"train": ("A/1.png",), "validation": ("B/1.png",), "test": test}
    paths = [path for part in parts.values() for path in part]
    split = Split("random", {"seed": 0}, parts, dict.fromkeys(paths, "0"), dict.fromkeys(paths, 0))
    run = Run.create(tmp_path / "run", settings(), split)
    run.write_history([Epoch(i, 0.5, 0.75, 0.25, 0.5, 1e-3, 1.0) for i in (1, 2)])
    run.write_predictions(test, np.array([0, 0, 1]), np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]))
    return run


def test_predictions_come_back_whatever_line_ends_are_in_the_paths(whole):
    paths, labels, probabilities = Run.open(whole.folder).read_predictions()
    assert tuple(paths) == whole.split.parts["test"]
    assert labels.tolist() == [0, 0, 1]
    assert probabilities.tolist() == [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]
    # As many rows for a program that opens the file as text.
    with (whole.folder / "predictions.csv").open(encoding="utf-8") as stream:
        assert len(list(csv.reader(stream))) == 4


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("path,truth,A,B", "path,truth,B,A", "other columns"),
        ("0.750000,0.250000", "0.150000,0.250000", "do not add up to 1"),
        ("0.750000,0.250000", "nan,0.250000", "not readable"),
        ("0.750000,0.250000", "7,-6", "not readable"),
        ("0.750000,0.250000", "0.75", "has 3 fields"),
        (",B,", ",A,", "does not hold the images of the test part"),
        (",B,", ",C,", "does not hold the images of the test part"),
        ("B/b", "B/x", "does not hold the images of the test part"),
        ("B/b", "\x00", "(?s)."),
    ],
)
def test_predictions_that_are_damaged_or_of_another_split_are_refused(whole, old, new, reason):
    path = whole.folder / "predictions.csv"
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode(), 1))
    with pytest.raises(AllkitError, match=reason) as caught:
        whole.read_predictions()
    assert "train again" in str(caught.value)


def test_the_history_comes_back_as_numbers(whole):
    assert [row["epoch"] for row in whole.read_history()] == [1, 2]
    assert whole.read_history()[1] == {
        "epoch": 2,
        "loss": 0.5,
        "accuracy": 0.75,
        "validation_loss": 0.25,
        "validation_accuracy": 0.5,
        "learning_rate": 1e-3,
        "seconds": 1.0,
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.75", "1.5"), ("0.75", "inf"), ("0.75", "x"), ("0.75", ""), ("\n2,", "\n3,"), ("accuracy", "a"), ("0.5", "-1")],
)
def test_a_history_that_no_training_writes_is_refused(whole, old, new):
    path = whole.folder / "history.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(AllkitError, match=r"history\.csv.*train again"):
        whole.read_history()


@pytest.mark.parametrize("text", ['{"a":1}', "epoch,loss\n"])
def test_a_history_without_an_epoch_is_refused(whole, text):
    (whole.folder / "history.csv").write_text(text)
    with pytest.raises(AllkitError, match=r"history\.csv has no epochs: train again"):
        whole.read_history()


def test_a_folder_of_images_or_a_class_that_no_record_can_hold_is_refused_before_the_training(tmp_path):
    for change, reason in (({"data": "\udcff"}, "a name that a record cannot hold"), ({"classes": ("A", "a")}, "case")):
        with pytest.raises(AllkitError, match=reason):
            Run.create(tmp_path / "run", replace(settings(), **change), SPLIT)


def test_a_record_of_metrics_that_contradicts_itself_is_refused(finished_run, tmp_path):
    run = Run(tmp_path, finished_run.settings, finished_run.split)
    for change, reason in (
        (lambda record: record["metrics"].update(n=record["metrics"]["n"] + 1), "does not hold"),
        (lambda record: record["metrics"]["confusion"].pop(), "is not 2 x 2"),
        (lambda record: record["metrics"]["accuracy"].update(low=1.0, value=0.0), "inside its interval"),
        (lambda record: record["settings"].update(classes=["Vivid", "Dull"]), "other classes"),
        (lambda record: record["metrics"].update(mcc=3), "mcc"),
        (lambda record: record.pop("versions"), "versions"),
    ):
        record = finished_run.metrics()
        change(record)
        run.write_metrics(record)
        with pytest.raises(AllkitError, match=rf"metrics\.json is not readable.*{reason}"):
            run.metrics()


def test_a_cross_validation_is_named_with_its_folds(tmp_path):
    for fold in ("fold-1", "fold-2"):
        (tmp_path / fold).mkdir()
        (tmp_path / fold / "run.json").write_text("{}")
    with pytest.raises(AllkitError, match=r"is a cross-validation: name one of its runs, .*fold-1 \(fold-1, fold-2\)"):
        Run.open(tmp_path)
