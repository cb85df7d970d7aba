"""`allkit train --resume` on the command line."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from allkit.cli.main import cli
from allkit.data.index import read, scan
from allkit.data.protocol import listed_split
from allkit.errors import AllkitError
from allkit.runs.run import Run

pytestmark = pytest.mark.slow

SLIM = ["--recipe", "scratch", "--architecture", "patchvgg", "--size", "32", "--width", "0.0625", "--split", "random"]


def invoke(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


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


def test_a_training_is_gone_on_with_though_its_beginning_is_named_from_where_one_stands(
    finished_run, smears, tmp_path, monkeypatch
):
    monkeypatch.chdir(finished_run.folder.parent)
    words = ["train", "--data", smears, *SLIM[:-2], "--split", "tiny/split.json", "--epochs", "1"]
    words += ["--architecture", "vgg16", "--weights", "tiny", "--out", tmp_path / "run"]
    assert invoke(*words).exit_code == 0
    (tmp_path / "run" / "metrics.json").unlink()
    assert invoke(*words, "--resume").exit_code == 0
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AllkitError, match="started with weights"):
        invoke(*words, "--resume")


def test_a_folder_with_a_run_in_it_is_not_trained_over(finished_run, smears):
    with pytest.raises(AllkitError, match="--resume"):
        invoke("train", "--data", smears, *SLIM, "--out", finished_run.folder)


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
